"""The contract of every store of lists, and of the control record that decides which lists are live.

A store keeps, for each user and variant, a ring of the last three rows. A generation becomes visible by one
compare-and-set of the control record, never by the rows alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType

from conf.errors import PermanentError, RetryableError
from stores.control import Control
from stores.records import CorruptRecord, StoredList, decode_row, row_generation

MAX_USER_ID_BYTES = 64
MAX_ROW_BYTES = 1024
"""Of a row with its key: one DynamoDB write unit."""
ROW_OVERHEAD = 6
"""Bytes, at most, that a store charges for a row beside user_id and blob: names of attributes, and the sort key."""
CHAMPION, CHALLENGER = VARIANTS = ("champion", "challenger")
RING = 3


class StoreUnavailable(RetryableError):
    """The store did not answer."""


class StoreTimeout(StoreUnavailable):
    """The store did not answer within the time it was given."""


class StoreThrottled(StoreUnavailable):
    """The store went on asking to slow down for longer than a writer waits."""


class StoreFull(PermanentError):
    """The store has no room left."""


class StoreMissing(PermanentError):
    """The store's tables are not there; `topshelf store create` makes them."""


class StoreMisshaped(PermanentError):
    """There is a table of that name, but with other keys or columns than this product's."""


class StoreDenied(PermanentError):
    """Credentials are missing, wrong, or do not allow it."""


class ControlConflict(RetryableError):
    """Someone else changed the control record since it was read."""


class LeaseLost(PermanentError):
    """The control record names another attempt as the one that may write."""


@dataclass(frozen=True)
class Row:
    user_id: str
    variant: int
    """Index into VARIANTS."""
    position: int
    """Place in the user's ring, 0 to 2."""
    blob: bytes
    """From `records.encode_row`."""


@dataclass(frozen=True)
class Rejected:
    user_id: str
    variant: int
    reason: str


@dataclass(frozen=True)
class WriteReport:
    """rows given = written + len(rejected) + erased."""

    written: int
    rejected: tuple[Rejected, ...]
    bytes: int
    """Of the rows written, keys and attribute names included: what the store charges by."""
    units: float = 0
    """Write units that the store charged; 0 where it has none."""
    throttled: int = 0
    """Times that the store asked to slow down."""
    erased: int = 0
    """Rows left out, for the control record bars their users."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds a store waits, and whether it tries again."""

    connect: float
    read: float
    retries: int
    """Further tries of a call that may be repeated; 0 in the service, whose time budget has no room for one."""


PATIENT = Timeouts(connect=5, read=20, retries=8)
"""For batch work and commands."""


class Store(ABC):
    """A key-value store of lists. Safe to share between threads; connects on first use, so after a fork."""

    @abstractmethod
    def create(self) -> None:
        """Make the tables where they are missing; a store that is there stays as it is. May be repeated.

        Raises:
            StoreMisshaped: there is a table of that name with another shape.
            StoreDenied, StoreUnavailable: as for every call.
        """

    @abstractmethod
    def check(self) -> str:
        """Look whether a publication could be written; returns what is there, in one line for a person.

        Raises:
            StoreMissing, StoreMisshaped, StoreDenied, StoreUnavailable, StoreThrottled, StoreFull: the text says
                in words what is wrong and how to mend it.
        """

    @abstractmethod
    def read_control(self) -> Control | None:
        """The control record, as the last completed `swap_control` left it; None in a store that never had one.

        Raises:
            StoreUnavailable: it could not be read.
            StoreMissing: there is no table.
            StoreDenied: the credentials do not allow it.
        """

    @abstractmethod
    def swap_control(self, expected: Control | None, new: Control) -> None:
        """Replace the control record, durably, if it is still `expected` (None: if there is none).

        `new.version` must be `expected.version + 1` (1 for the first).

        Raises:
            ControlConflict: it is no longer `expected`; nothing was changed.
        """

    @abstractmethod
    def write(self, rows: Iterable[Row], lease: int) -> WriteReport:
        """Write rows in batches, each durable when it is done; the control record is read with every batch: whether
        the lease still holds, and whose rows are left out because they were forgotten.

        Rows are taken from the iterator as there is room for them, so memory does not grow with their number. A row
        that cannot be stored (user_id or row too long, or refused by the store for what it is) is reported as
        rejected; the others go on. What a busy store did not take is given again until it is taken.
        May be repeated: the same rows leave the same store. A row never replaces one of a later lease, as far as the
        store can tell: by its transaction (embedded) or by its write timestamp (CQL); DynamoDB can not. One lease
        writes the same bytes for the same place whenever it writes it, as a plan that is a table makes sure of.

        Raises:
            LeaseLost: the control record's lease is not `lease`; batches before that stay written.
            StoreUnavailable: the store stopped answering; batches before that stay written.
            StoreThrottled: it kept on asking to slow down.
            StoreFull: there is no room.
        """

    @abstractmethod
    def ring(self, user_id: str, variant: int = 0) -> dict[int, bytes]:
        """The user's rows by their place in the ring, at most three; empty for an unknown user. One read.

        Raises:
            StoreTimeout: no answer in time.
            StoreUnavailable: no answer.
        """

    @abstractmethod
    def delete(self, user_id: str) -> None:
        """Remove every row of a user, durably. Unknown users are fine.

        Of a user whom the control record bars no writer brings a row back, but for what one had on its way when it
        last read the record: so delete again once no load is under way. (Embedded and CQL need not wait.)
        """

    @abstractmethod
    def scrub(self) -> str:
        """Have the bytes of deleted rows leave the store's files, while others read and write. May be repeated.

        Returns, for a person, what is left and until when; empty: nothing is.

        Raises:
            StoreFull: there is no room for that.
            StoreUnavailable: as for every call.
        """

    @abstractmethod
    def count(self) -> int:
        """Number of rows, all generations and ring positions together. Reads the whole store: for small ones."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and files. The store may be used again: it reconnects."""

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def row_problem(row: Row) -> str | None:
    """Why a row cannot be stored anywhere; None when it can."""
    try:
        key = len(row.user_id.encode())
    except UnicodeEncodeError:
        return "user_id cannot be written as UTF-8"
    if not 0 < key <= MAX_USER_ID_BYTES:
        return f"user_id has {key} bytes; 1 to {MAX_USER_ID_BYTES} fit"
    if not (0 <= row.variant < len(VARIANTS) and 0 <= row.position < RING):
        return f"there is no variant {row.variant}, position {row.position}"
    size = len(row.blob) + key + ROW_OVERHEAD
    if size > MAX_ROW_BYTES:
        return f"row and key have {size} bytes; {MAX_ROW_BYTES} fit"
    return None


def newest(
    ring: Mapping[int, bytes],
    control: Control,
    on_corrupt: Callable[[CorruptRecord], None] | None = None,
    since: int = 0,
) -> list[int]:
    """The places of a ring whose rows readers may see, the newest row's first.

    Rows of later, aborted and bad generations, and of those before `since`, are passed over. A row whose checksum does
    not hold is reported to `on_corrupt` and passed over as well.
    """
    seen: list[tuple[int, int]] = []
    for place, blob in ring.items():
        try:
            generation = row_generation(blob)
        except CorruptRecord as error:
            if on_corrupt is not None:
                on_corrupt(error)
            continue
        if generation >= since and control.shows(generation):
            seen.append((generation, place))
    return [place for _, place in sorted(seen, reverse=True)]


def choose(
    ring: Mapping[int, bytes],
    control: Control,
    on_corrupt: Callable[[CorruptRecord], None] | None = None,
    since: int = 0,
) -> StoredList | None:
    """The newest list of a ring that readers may see, of generation `since` or later; None when there is none.

    A row that cannot be decoded is reported to `on_corrupt` and passed over, so the user gets the list before it.
    """
    for place in newest(ring, control, on_corrupt, since):
        try:
            return decode_row(ring[place])
        except CorruptRecord as error:
            if on_corrupt is not None:
                on_corrupt(error)
    return None
