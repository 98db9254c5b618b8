"""The whole barrier list, as batch steps need it: what the control record has and what the table `forgotten` has.

The key of its hashes is in the control record and, for steps that need no store and for a store that is made anew, in
a file of the home folder. Neither it nor any id is in the lake.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from conf.errors import DataError
from conf.settings import Settings
from jobs.lake import Lake
from jobs.tables import FORGOTTEN
from stores.barrier import HASH_BYTES, hash_of
from stores.control import Control

KEY_FILE = "barrier.key"
_FIELDS = re.compile(r"[,;|:\t\s\"{}]+")
_BLOCK = 64
"""Bytes of a block of SHA-256, to which HMAC pads its key."""


@dataclass(frozen=True)
class Barred:
    """Everybody who was forgotten. False where nobody was."""

    key: bytes = b""
    hashes: frozenset[int] = frozenset()
    upto: int = 0
    """Moment, epoch milliseconds, up to which the control record's entries are among them; 0: no record was asked."""

    def __bool__(self) -> bool:
        return bool(self.hashes)

    def bars(self, user_id: str) -> bool:
        return bool(self.hashes) and hash_of(self.key, user_id) in self.hashes

    def names(self, row: str) -> bool:
        """Whether a field of a row as it stood in a file, of whatever form, is one of them."""
        return any(self.bars(field) for field in _FIELDS.split(row))

    def names_in(self, value: bytes | None) -> bool:
        """Whether a record of the event log that is no event is about one of them, as far as it can be told."""
        if not self.hashes or not value:
            return False
        # A user_id of JSON may be written with escapes, and have what parts fields in it.
        with suppress(ValueError, RecursionError):
            event = json.loads(value)
            if isinstance(event, dict) and self.bars(str(event.get("user_id"))):
                return True
        return self.names(value.decode(errors="replace"))

    def without(self, rows: DataFrame, column: str = "user_id") -> DataFrame:
        """The rows of users who were not forgotten, and of nobody."""
        if not self.hashes:
            return rows
        digits = [(f"{number:0{2 * HASH_BYTES}x}",) for number in sorted(self.hashes)]
        gone = rows.sparkSession.createDataFrame(digits, "_hash string")
        marked = rows.withColumn("_hash", self._hashed(F.col(column)))
        return marked.join(F.broadcast(gone), on="_hash", how="left_anti").drop("_hash")

    def _hashed(self, user_id: Column) -> Column:
        """HMAC-SHA256 in Spark's own terms: a Python worker would cost more than the query."""
        inner, outer = (bytearray(byte ^ pad for byte in self.key.ljust(_BLOCK, b"\0")) for pad in (0x36, 0x5C))
        first = F.sha2(F.concat(F.lit(inner), F.encode(user_id, "utf-8")), 256)
        return F.substring(F.sha2(F.concat(F.lit(outer), F.unhex(first)), 256), 1, 2 * HASH_BYTES)


NOBODY = Barred()


def load(lake: Lake, settings: Settings, control: Control | None = None) -> Barred:
    """Everybody who was forgotten, as far as the lake knows, and the `control` record where it is given.

    Raises:
        DataError: there is a list and the file with its key is gone.
    """
    barrier = None if control is None else control.barrier
    file = settings.home / KEY_FILE
    key = bytes.fromhex(barrier.key) if barrier is not None else _read(file)
    if key is None:
        if lake.exists(FORGOTTEN):
            raise DataError(
                f"{file} is gone, without which nobody can be told from those who were forgotten: put it back from a "
                "copy, or run `topshelf forget` with any id of theirs, which writes it anew from the store"
            )
        return NOBODY
    found = {int(row["hash"], 16) for row in lake.read(FORGOTTEN).select("hash").collect()}
    if barrier is None:
        return Barred(key, frozenset(found))
    return Barred(key, frozenset(found | barrier.hashes), barrier.moment)


def key_of(settings: Settings) -> str | None:
    """The key of the list, for a store that is made anew; None: nobody was ever forgotten here."""
    key = _read(settings.home / KEY_FILE)
    return None if key is None else key.hex()


def settle(lake: Lake, settings: Settings, control: Control) -> None:
    """Take over into key file and table what the control record has, which forgets it in time. May be repeated."""
    barrier = control.barrier
    if barrier is None:
        return
    _keep(settings.home / KEY_FILE, barrier.key)
    if not barrier.entries:
        return
    rows = [(f"{number:016x}", datetime.fromtimestamp(moment / 1000, UTC)) for moment, number in barrier.entries]
    added = lake.spark.createDataFrame(rows, FORGOTTEN.schema)
    lake.append_new(FORGOTTEN, added, lake.read(FORGOTTEN))


def _read(file: Path) -> bytes | None:
    try:
        return bytes.fromhex(file.read_text().strip())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DataError(f"{file} holds no key of a barrier list: put it back from a copy") from error


def _keep(file: Path, key: str) -> None:
    if file.exists() and file.read_text().strip() == key:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(key)
        opened.flush()
        os.fsync(opened.fileno())
    partial.replace(file)
