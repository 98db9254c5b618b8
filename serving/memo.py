"""The home pages that this process made last, each for as long as all that it was made from stays the same.

Someone who opens the app again may have done nothing that changes their page. It is then answered from here, after the
look-ups of the list and the session have shown that neither has changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from serving.order import FirstTier
from serving.page import Page
from serving.request import Request
from serving.snapshot import Snapshot
from stores.records import HEADER_BYTES
from stores.sessions.base import SessionEvent

MOST_EVENTS = 64
"""A page for a longer session is always made anew: what is kept stays small, and comparing it cheap."""
_QUARTER = 6 * 3600


class Basis(NamedTuple):
    """All that decides the first home page of a user that does not explore, but for licences and promotions."""

    snapshot: Snapshot
    rows: tuple[tuple[int, bytes], ...]
    """Place and header of each row of the ring: generation, watermark and checksum say which row it is."""
    events: tuple[SessionEvent, ...]
    limit: int
    maturity_limit: int | None
    region: str | None
    tier: str | None
    quarter: int
    """Of a day, since the epoch: the context term is one for all of it."""


class Made(NamedTuple):
    basis: Basis
    since: float
    before: float
    """Epoch seconds, exclusive: the time in which no licence or promotion begins or ends."""
    page: Page
    first: FirstTier


def basis(
    snapshot: Snapshot, ring: Mapping[int, bytes], events: tuple[SessionEvent, ...], request: Request, as_of: float
) -> Basis | None:
    """What a page would be made from; None where it is not worth remembering."""
    if len(events) > MOST_EVENTS:
        return None
    return Basis(
        snapshot,
        tuple([(place, blob[:HEADER_BYTES]) for place, blob in ring.items()]),
        events,
        request.limit,
        request.maturity_limit,
        request.region,
        request.tier,
        int(as_of // _QUARTER),
    )


@dataclass
class PageMemo:
    """The last page of each of the newest `size` users, of one snapshot and its challenger. Thread-safe without a lock.

    Memory: a page of 20 items takes 4 KB here, so 10,000 users take 40 MB in each worker.
    """

    size: int

    def __post_init__(self) -> None:
        self._newest: dict[str, Snapshot] = {}
        """By variant."""
        # Each of its methods is one step under the interpreter's lock.
        self._made: OrderedDict[str, Made] = OrderedDict()

    def __len__(self) -> int:
        return len(self._made)

    def get(self, user_id: str, wanted: Basis, now: float, as_of: float) -> Made | None:
        """The user's page, if it would be made just so again. Times are epoch seconds."""
        made = self._made.get(user_id)
        if made is None or made.basis != wanted:
            return None
        return made if made.since <= min(now, as_of) and max(now, as_of) < made.before else None

    def put(self, user_id: str, made: Made) -> None:
        """Remember a page. The first of another snapshot of its variant makes all before it forgotten."""
        snapshot = made.basis.snapshot
        if snapshot is not self._newest.get(snapshot.variant):
            self._newest[snapshot.variant], self._made = snapshot, OrderedDict()
        kept = self._made
        kept.pop(user_id, None)  # so that it moves to the end
        kept[user_id] = made
        if len(kept) > self.size:
            kept.popitem(last=False)
