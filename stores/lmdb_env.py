"""One LMDB environment a path and process, opened on first use.

LMDB allows a file to be opened once in a process, and never to be carried over a fork; this module keeps to both.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lmdb

from stores.base import StoreFull, StoreUnavailable

MAX_READERS = 1024
"""Threads of all processes that may read at once."""
GIB = 1 << 30
FULL_BELOW_BYTES = 1 << 20
"""What LMDB writes at once is less. A write that fits the disk in part only fails as an input/output error."""

_lock = threading.Lock()
_open: dict[str, _Shared] = {}


class _Shared:
    def __init__(self, env: Any, identity: tuple[int, int], names: Iterable[bytes]) -> None:
        self.env = env
        self.identity = identity
        self.users = 0
        # All at once, before any thread has a transaction: open_db waits for the writer's lock with Python's own
        # lock held, so a writing thread of this process would never get on to release it.
        self.databases = {name: env.open_db(name) for name in names}


class LmdbFolder:
    """A lazily opened LMDB environment with named databases. Thread-safe; a forked child opens its own.

    sync: every commit is on disk when it returns. Without it a commit may be lost when the machine (not the
    process) fails, and the file stays sound all the same.
    """

    def __init__(self, path: Path, map_size_gb: int, databases: Sequence[bytes], sync: bool = True) -> None:
        self.path = path
        self._names = tuple(databases)
        self._map_size = map_size_gb * GIB
        self._sync = sync
        self._held: tuple[int, _Shared] | None = None

    def exists(self) -> bool:
        """Whether something was ever written here.

        Raises:
            StoreUnavailable: the folder cannot be looked at.
        """
        if self._held is not None and self._held[0] == os.getpid():
            return True
        return self._is_there()

    def _is_there(self) -> bool:
        try:
            return (self.path / "data.mdb").stat().st_size > 0
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreUnavailable(f"the store {self.path} cannot be opened: {error.strerror}") from error

    def environment(self) -> Any:
        """The open environment; created where nothing was.

        Raises:
            StoreUnavailable: it cannot be opened.
        """
        return self._shared().env

    def database(self, name: bytes) -> Any:
        """One of the databases, created where it was missing."""
        return self._shared().databases[name]

    def reopen_if_replaced(self) -> None:
        """Follow a store whose file was put back from elsewhere under the same path."""
        held = self._held
        if held is not None and self._is_there() and _identity(self.path) != held[1].identity:
            self.close()

    def close(self) -> None:
        """Let go of the file. Transactions of other threads end first: they hold the environment themselves."""
        with _lock:
            held, self._held = self._held, None
            if held is None or held[0] != os.getpid():
                return
            held[1].users -= 1
            if held[1].users == 0:
                for key, shared in list(_open.items()):
                    if shared is held[1]:
                        del _open[key]

    def _shared(self) -> _Shared:
        held = self._held
        if held is not None and held[0] == os.getpid():
            return held[1]
        with _lock:
            if self._held is None or self._held[0] != os.getpid():
                self._held = (os.getpid(), self._join())
            return self._held[1]

    def _join(self) -> _Shared:
        key = str(self.path.absolute())
        shared = _open.get(key)
        if shared is None or (self._is_there() and _identity(self.path) != shared.identity):
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                env = lmdb.open(
                    str(self.path),
                    map_size=self._map_size,
                    max_dbs=4,
                    max_readers=MAX_READERS,
                    metasync=self._sync,
                    meminit=False,
                )
                env.reader_check()
                shared = _open[key] = _Shared(env, _identity(self.path), self._names)
            except (OSError, lmdb.Error) as error:
                raise StoreUnavailable(f"the store {self.path} cannot be opened: {error}") from error
        shared.users += 1
        return shared


def as_store_error(error: lmdb.Error, path: Path) -> StoreFull | StoreUnavailable:
    """What an LMDB error means to a caller of the store."""
    if isinstance(error, lmdb.MapFullError):
        return StoreFull(f"the store {path} has reached store.map_size_gb: raise it and publish again")
    if isinstance(error, lmdb.DiskError) or _is_full(path):
        return StoreFull(f"the disk of {path} is full: make room on it and publish again")
    return StoreUnavailable(f"the store {path} failed: {error}")


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path).free < FULL_BELOW_BYTES
    except OSError:
        return False


def _forget_inherited() -> None:
    """In a forked child: the parent's environments are closed here (the parent keeps its own), its lock is new."""
    global _lock  # noqa: PLW0603  # a thread of the parent may have held the old one
    _lock = threading.Lock()
    for shared in _open.values():
        shared.env.close()
    _open.clear()


os.register_at_fork(after_in_child=_forget_inherited)


def _identity(path: Path) -> tuple[int, int]:
    status = (path / "data.mdb").stat()
    return status.st_dev, status.st_ino
