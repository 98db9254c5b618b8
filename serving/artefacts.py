"""The artefacts that a process has loaded, and those that it could not load."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from conf.errors import DataError
from stores.artefact import Artefact, load_artefact
from stores.folders import MANIFEST

Signature = tuple[tuple[str, int, int, int], ...]


class Artefacts:
    """Of one folder. Not thread-safe: the follower's alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._loaded: dict[str, Artefact] = {}
        self._damaged: dict[str, tuple[Signature, str]] = {}

    def loaded(self, artefact_id: str) -> Artefact | None:
        return self._loaded.get(artefact_id)

    def get(self, artefact_id: str) -> Artefact:
        """The artefact, every file of it compared with its checksum when it is loaded.

        One that failed is read again only once its folder has changed: to look for it costs next to nothing.

        Raises:
            DataError: it is missing, half there or damaged.
        """
        artefact = self._loaded.get(artefact_id)
        if artefact is not None:
            return artefact
        signature = _signature(self._root / artefact_id)
        before = self._damaged.get(artefact_id)
        if before is not None and before[0] == signature:
            raise DataError(before[1])
        try:
            artefact = load_artefact(self._root, artefact_id)
        except DataError as error:
            text = f"{error}; `topshelf run --republish` writes it anew"
            self._damaged[artefact_id] = signature, text
            raise DataError(text) from error
        # Built here rather than within the first request that needs it.
        len(artefact.item_no)
        self._damaged.pop(artefact_id, None)
        self._loaded[artefact_id] = artefact
        return artefact

    def newest(self) -> Artefact | None:
        """The artefact of the latest hour that can be loaded; None where none can."""
        found = [(_made_for(folder), folder.name) for folder in _folders(self._root)]
        for _, name in sorted(found, reverse=True):
            try:
                return self.get(name)
            except DataError:
                continue
        return None

    def keep_only(self, artefact_ids: Collection[str]) -> None:
        self._loaded = {name: artefact for name, artefact in self._loaded.items() if name in artefact_ids}


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith(".")]


def _made_for(folder: Path) -> str:
    try:
        return str(json.loads((folder / MANIFEST).read_bytes())["made_for"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _signature(folder: Path) -> Signature:
    """Changes with any file that is added, removed, written or put in the place of another."""
    try:
        stats = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    except OSError:
        return ()
    return tuple((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
