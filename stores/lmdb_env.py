"""One LMDB environment a path and process, opened on first use.

LMDB allows a file to be opened once in a process, and never to be carried over a fork; this module keeps to both.

What is deleted stays in the file, in free pages and in the gaps of others, until chance writes over it. `compact` puts
a copy in the file's place that has none of it, while others read and write: readers go on with the file they have until
they look for another, and a writer that waited for its turn finds out and begins anew with the copy.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from stores.base import StoreFull, StoreUnavailable
from stores.folders import sync_folder

MAX_READERS = 1024
"""Threads of all processes that may read at once."""
GIB = 1 << 30
DATA, LOCK, COPY, OPENING = "data.mdb", "lock.mdb", "compacting", "opening.lock"
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
        self._data = str(path / DATA)
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
        return self._found() is not None

    def _is_replaced(self, shared: _Shared) -> bool:
        found = self._found()
        return found is not None and found != shared.identity

    def _found(self) -> tuple[int, int] | None:
        """What tells the file from another one; None: nothing is there."""
        try:
            status = os.stat(self._data)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(f"the store {self.path} cannot be opened: {error.strerror}") from error
        return (status.st_dev, status.st_ino) if status.st_size else None

    def environment(self) -> Any:
        """The open environment; created where nothing was.

        Raises:
            StoreUnavailable: it cannot be opened.
        """
        return self._shared().env

    def database(self, name: bytes) -> Any:
        """One of the databases, created where it was missing."""
        return self._shared().databases[name]

    @contextmanager
    def writing(self, name: bytes) -> Iterator[Any]:
        """A write transaction on a database, of the file that is there: an exception inside leaves it as it was."""
        while True:
            shared = self._shared()
            with shared.env.begin(db=shared.databases[name], write=True) as txn:
                # Compacted while we waited: what is written here would be gone.
                if not self._is_replaced(shared):
                    yield txn
                    return
            self.reopen_if_replaced()

    def compact(self) -> None:
        """Put a copy without anything deleted in the place of the file. Writers wait meanwhile, readers do not.

        A process that reads goes on with the old file, whose bytes are gone once the last of them has looked for
        another (`reopen_if_replaced`) or ended.

        Raises:
            StoreFull: there is no room for the copy.
            StoreUnavailable: it could not be made; the file is as it was.
        """
        copy = self.path / COPY
        try:
            with self.writing(self._names[0]):
                shutil.rmtree(copy, ignore_errors=True)
                copy.mkdir()
                self.environment().copy(str(copy), compact=True)
                with (copy / DATA).open("rb") as file:
                    os.fsync(file.fileno())
                with _opening(self.path, alone=True):
                    (copy / DATA).rename(self.path / DATA)
                    # It tells of the old file's transactions. Who has it open keeps it, and notices the new file.
                    (self.path / LOCK).unlink(missing_ok=True)
                sync_folder(self.path)
        except lmdb.Error as error:
            raise as_store_error(error, self.path) from error
        except OSError as error:
            raise StoreUnavailable(f"the store {self.path} cannot be compacted: {error.strerror}") from error
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        self.reopen_if_replaced()

    def reopen_if_replaced(self) -> None:
        """Follow a store whose file was put back from elsewhere under the same path, or compacted."""
        held = self._held
        if held is not None and self._is_replaced(held[1]):
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
        if shared is None or self._is_replaced(shared):
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                with _opening(self.path):
                    env = lmdb.open(
                        str(self.path),
                        map_size=self._map_size,
                        max_dbs=4,
                        max_readers=MAX_READERS,
                        metasync=self._sync,
                        meminit=False,
                    )
                    identity = _identity(self.path)
                env.reader_check()
                shared = _open[key] = _Shared(env, identity, self._names)
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


@contextmanager
def _opening(path: Path, alone: bool = False) -> Iterator[None]:
    """While data and lock file are opened together; `alone`: while both are replaced."""
    with (path / OPENING).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def _identity(path: Path) -> tuple[int, int]:
    status = (path / DATA).stat()
    return status.st_dev, status.st_ino
