"""Forgetting users: barred at once, then removed from every place, then searched for. See docs/privacy.md.

The barrier list comes first, so that nothing brings back what is removed: services know the users no more, and no load,
ingest, import or plan takes a row of theirs. Each step may be repeated, and one that was stopped is gone on with by the
same call.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from conf.errors import DataError, RetryableError
from conf.settings import Settings
from jobs import barrier, erasing, ingest, proof, served, traces
from jobs.alone import alone
from jobs.lake import Lake
from jobs.proof import Proof
from jobs.publish import control_of
from jobs.served import DAMAGED
from stores.barrier import hash_of
from stores.base import MAX_USER_ID_BYTES, VARIANTS, Store
from stores.forgetting import bar
from stores.opening import open_eventlog_reader
from stores.sessions.base import Sessions

SEALED_SECONDS = 60.0
"""Services seal their logs two looks at the control record after a user was barred."""
LOOK_SECONDS = 0.5

Elsewhere = Callable[[Collection[str]], Mapping[str, int]]
"""Removes users from a place that batch steps know nothing of; what was removed, by user."""


@dataclass(frozen=True)
class Forgetting:
    """What an erasure works with.

    open_lake: called once nobody else works on the lake.
    elsewhere: further places, by name.
    """

    settings: Settings
    store: Store
    sessions: Sessions
    open_lake: Callable[[], Lake]
    now: Callable[[], datetime]
    say: Callable[[str], None]
    elsewhere: Mapping[str, Elsewhere]

    def run(self, user_ids: Collection[str]) -> dict[str, Proof]:
        """Forget users; the proof of each, which is in the home folder, too.

        Raises:
            DataError: an id is none; a segment of the event log is damaged.
            PermanentError: the barrier list of the control record is full.
            RetryableError: a service still writes to a log that names them, or a store is away; what was done is done.
        """
        users = sorted(set(user_ids))
        _check(users)
        began = self.now()
        control_of(self.store, barrier.key_of(self.settings))
        control = bar(self.store, users, int(began.timestamp() * 1000))
        assert control.barrier is not None  # they are on it
        proofs = {user: self._proof(f"{control.barrier.hash_of(user):016x}", began) for user in users}
        self.say(f"barred: {len(users):,} users are unknown to services, loads and ingest from now on")
        self._from_stores(proofs)
        with alone(self.settings.home, lambda: self.say("waiting for the runs under way, which work on the lake")):
            lake = self.open_lake()
            barrier.settle(lake, self.settings, control)
            self._from_logs(lake, proofs)
            self._from_tables(lake, proofs)
            for place, remove in self.elsewhere.items():
                self._note(proofs, place, remove(users))
            # Nothing can be on its way any more that was sent before the barrier was seen.
            self._from_stores(proofs)
            self._scrub(proofs)
            return self._searched(lake, proofs)

    def check(self, user_ids: Collection[str]) -> dict[str, Proof]:
        """Search every place for users again; nothing is removed. Works beside others.

        Raises:
            DataError: an id is none, or was never forgotten.
        """
        users = sorted(set(user_ids))
        _check(users)
        control = self.store.read_control()
        key = control.barrier.key if control is not None and control.barrier else barrier.key_of(self.settings)
        proofs = {}
        for user in users:
            found = None if key is None else proof.load(self.settings, f"{hash_of(bytes.fromhex(key), user):016x}")
            if found is None:
                raise DataError(f"there is no proof that {user[:40]!r} was ever forgotten here: run `topshelf forget`")
            proofs[user] = found
        return self._searched(self.open_lake(), proofs)

    def _proof(self, hashed: str, began: datetime) -> Proof:
        found = proof.load(self.settings, hashed) or Proof(hashed, began.isoformat())
        found.searched_at, found.found = None, []
        proof.save(self.settings, found)
        return found

    def _note(self, proofs: Mapping[str, Proof], place: str, removed: Mapping[str, int], left: str = "") -> None:
        self.say(f"{place}: {sum(removed.values()):,} removed" + (f"; {left}" if left else ""))
        for user, each in proofs.items():
            each.removed(place, removed.get(user, 0), self.now(), left)
            proof.save(self.settings, each)

    def _from_stores(self, proofs: Mapping[str, Proof]) -> None:
        rows, events = Counter[str](), Counter[str]()
        for user in proofs:
            rows[user] = sum(len(self.store.ring(user, variant)) for variant in range(len(VARIANTS)))
            self.store.delete(user)
            events[user] = len(self.sessions.read(user))
            self.sessions.forget(user)
        self._note(proofs, "ring", rows)
        self._note(proofs, "session", events)

    def _scrub(self, proofs: Mapping[str, Proof]) -> None:
        for place, part in (("ring", self.store), ("session", self.sessions)):
            self.say(f"{place}: compacting")
            left = part.scrub()
            self._note(proofs, place, {}, left)

    def _from_logs(self, lake: Lake, proofs: Mapping[str, Proof]) -> None:
        """Move what the logs hold of others into the lake, then remove the parts that name the users."""
        settings, barred = self.settings, barrier.load(lake, self.settings)
        for folder in (settings.eventlog_path, settings.shown_path):
            self._until_sealed(folder, proofs.keys())
        if settings.eventlog.kind == "kafka":
            self._note(proofs, "event log", {}, self._kafka())
        elif named := {each.name for each in traces.segments_naming(settings.eventlog_path, proofs.keys())}:
            with closing(open_eventlog_reader(settings)) as reader:
                ingest.run(lake, reader, settings.eventlog_path, self.now, barred)
            gone = ingest.drop_segments(settings.eventlog_path, named)
            self._note(proofs, "event log, segments", dict.fromkeys(proofs, gone))
        pages = list(traces.segments_naming(settings.shown_path, proofs.keys()))
        if pages:
            served.drain(lake, settings.shown_path, barred)
            for segment in traces.segments_naming(settings.shown_path, proofs.keys()):
                if segment.path.suffix == DAMAGED:
                    segment.path.unlink()
            self._note(proofs, "log of what was shown, segments", dict.fromkeys(proofs, len(pages)))

    def _until_sealed(self, folder: Path, users: Collection[str]) -> None:
        deadline = time.monotonic() + SEALED_SECONDS
        told = False
        while growing := [each.name for each in traces.segments_naming(folder, users) if not each.sealed]:
            if time.monotonic() > deadline:
                raise RetryableError(
                    f"a service still writes to segment {growing[0]} of {folder}, which names the user: look at its "
                    "/readyz, or restart it, and run this again"
                )
            if not told:
                self.say(f"{folder.name}: waiting for services to begin new segments")
                told = True
            time.sleep(LOOK_SECONDS)

    def _kafka(self) -> str:
        with closing(open_eventlog_reader(self.settings)) as reader:
            gone_by = reader.gone_by(self.now().timestamp())
        topic = self.settings.kafka.topic
        if gone_by is None:
            return f"the topic {topic} keeps what it has for ever: set its retention.ms"
        return f"the topic {topic} has dropped it by {datetime.fromtimestamp(gone_by, UTC):%Y-%m-%d %H:%M} UTC"

    def _from_tables(self, lake: Lake, proofs: Mapping[str, Proof]) -> None:
        for table in erasing.personal():
            if lake.exists(table):
                self._note(proofs, f"table {table.name}", erasing.erase(lake, table, proofs.keys()))

    def _searched(self, lake: Lake, proofs: dict[str, Proof]) -> dict[str, Proof]:
        found = traces.find(self.settings, lake, self.store, self.sessions, proofs.keys(), self.say)
        for user, each in proofs.items():
            each.found, each.searched_at = found[user], self.now().isoformat()
            proof.save(self.settings, each)
        return proofs


def _check(users: Collection[str]) -> None:
    for user in users:
        size = len(user.encode(errors="replace"))
        if not 0 < size <= MAX_USER_ID_BYTES:
            raise DataError(f"{user[:40]!r} is no user id: it has 1 to {MAX_USER_ID_BYTES} bytes, not {size}")
