"""Searching every place for what is left of users: stores, logs, tables, and all files of the home folder."""

from __future__ import annotations

import json
import mmap
import re
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from conf.settings import Settings
from jobs.erasing import count, personal
from jobs.lake import Lake
from jobs.proof import FOLDER, Trace
from stores.base import VARIANTS, Store
from stores.eventlog.framing import Segment, sealed_and_open_segments
from stores.lmdb_env import DATA
from stores.sessions.base import Sessions

DISTINCT_BYTES = 8
"""An id so long, and of more than digits, stands for nothing else: it is searched for as it is. A shorter one is in any
file by chance, and is searched for as a key, or where it is named as a user."""


def find(
    settings: Settings,
    lake: Lake,
    store: Store,
    sessions: Sessions,
    user_ids: Collection[str],
    say: Callable[[str], None],
) -> dict[str, list[Trace]]:
    """Where something of each user is; empty: nowhere."""
    found: dict[str, list[Trace]] = {}
    say("searching: store, sessions and logs")
    for user_id in user_ids:
        found[user_id] = [
            Trace("ring", sum(len(store.ring(user_id, variant)) for variant in range(len(VARIANTS)))),
            Trace("session", len(sessions.read(user_id))),
            *(Trace(f"file {folder.name}/{DATA}", _keys(folder / DATA, user_id)) for folder in _lmdb(settings)),
            *(
                Trace(f"log {folder.name}", sum(1 for _ in segments_naming(folder, [user_id])))
                for folder in (settings.eventlog_path, settings.shown_path)
            ),
        ]
    for table in personal():
        if lake.exists(table):
            say(f"searching: table {table.name}")
            for user_id, rows in count(lake, table, user_ids).items():
                found[user_id].append(Trace(f"table {table.name}", rows))
    say("searching: all other files")
    for path in _files(settings):
        for user_id in user_ids:
            with suppress(FileNotFoundError):  # removed meanwhile
                found[user_id].append(Trace(f"file {path.relative_to(settings.home)}", _times(path, naming(user_id))))
    return {user_id: [trace for trace in traces if trace.found] for user_id, traces in found.items()}


@lru_cache(maxsize=1024)
def naming(user_id: str) -> re.Pattern[bytes]:
    """What names a user in files of any kind: `user ID`, a member user_id of JSON, however deep, or a distinct id."""
    name = re.escape(user_id.encode())
    quoted = re.escape(json.dumps(user_id)[1:-1].encode())
    forms = [rb"user (?:%b)(?![\w-])" % name, rb'user_id\\*": ?\\*"(?:%b|%b)\\*"' % (name, quoted)]
    if len(user_id.encode()) >= DISTINCT_BYTES and not user_id.isdigit():
        forms.append(name)
    return re.compile(b"|".join(forms))


def segments_naming(folder: Path, user_ids: Collection[str]) -> Iterator[Segment]:
    """Segments of a log, and those that were set aside as damaged, with a line about one of the users."""
    lines = [rb'"user_id":%b' % json.dumps(user_id, ensure_ascii=False).encode() for user_id in user_ids]
    aside = (Segment(path.stem, path, sealed=True) for path in sorted(folder.glob("*.damaged")))
    for segment in (*sealed_and_open_segments(folder), *aside):
        with suppress(FileNotFoundError):  # removed meanwhile
            data = segment.path.read_bytes()
            if any(line in data for line in lines):
                yield segment


def _lmdb(settings: Settings) -> list[Path]:
    embedded = [settings.store_path] if settings.store.kind == "embedded" else []
    embedded += [settings.sessions_path] if settings.sessions.kind == "embedded" else []
    return [folder for folder in embedded if (folder / DATA).exists()]


def _keys(file: Path, user_id: str) -> int:
    """Times that the user stands in an LMDB file as a key, pages that nothing uses any more among them."""
    name = user_id.encode()
    # LMDB writes a key's length before it; the store of lists the user's own, before variant and position.
    session = struct.pack("<H", len(name)) + name
    row = struct.pack("<HB", len(name) + 3, len(name)) + name
    return _times(file, re.compile(b"|".join(map(re.escape, (session, row)))))


def _files(settings: Settings) -> Iterator[Path]:
    """Files of the home folder that no other search is for. Of tables it finds the logs: data files are compressed."""
    passed = {settings.home / FOLDER, settings.eventlog_path, settings.shown_path, *_lmdb(settings)}
    return _walk(settings.home, passed)


def _walk(folder: Path, passed: Collection[Path]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()) if folder.exists() else ():
        if path.is_dir() and not path.is_symlink():
            if path not in passed:
                yield from _walk(path, passed)
        elif path.is_file():
            yield path


def _times(file: Path, pattern: re.Pattern[bytes]) -> int:
    if not file.stat().st_size:
        return 0
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        view: Any = data
        return sum(1 for _ in pattern.finditer(view))
