"""Immutable folders of arrays, known by the digest of what is in them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conf.errors import DataError

MANIFEST = "manifest.json"
_BLOCK = 1 << 20


Fill = Callable[[Path], None]
"""Writes files into an empty folder."""


def publish_folder(
    root: Path,
    arrays: Mapping[str, NDArray[Any]],
    documents: Mapping[str, Any],
    head: Mapping[str, Any],
    digits: int,
    folders: Mapping[str, Fill] = MappingProxyType({}),
) -> str:
    """Write arrays (.npy), documents (.json) and folders with a manifest into a folder named by the manifest's digest.

    folders: by name, what fills each; the manifest has the digests of their files too.

    The folder appears whole, synced to disk, or not at all. Returns its name, of `digits` hexadecimal digits.
    """
    partial = root / f".partial-{uuid.uuid4().hex}"
    partial.mkdir(parents=True)
    try:
        for name, array in arrays.items():
            with (partial / f"{name}.npy").open("wb") as file:
                np.save(file, np.ascontiguousarray(array), allow_pickle=False)
                _sync(file.fileno())
        for name, document in documents.items():
            _write(partial / f"{name}.json", _json(document))
        for name, fill in folders.items():
            _filled(partial / name, fill)
        paths = sorted(path for path in partial.rglob("*") if path.is_file())
        files = {str(path.relative_to(partial)): _digest(path) for path in paths}
        manifest = _json({**head, "files": files})
        _write(partial / MANIFEST, manifest)
        sync_folder(partial)
        name = hashlib.sha256(manifest).hexdigest()[:digits]
        _settle(partial, root / name)
        sync_folder(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return name


def read_folder(
    folder: Path, name: str, verify: bool
) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, Any]]:
    """Manifest, arrays by name (mapped, read-only) and documents by name. Files of folders within are only verified.

    Raises:
        DataError: something is missing or differs from what the manifest, or the folder's name, says.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
        if hashlib.sha256(text).hexdigest()[: len(name)] != name:
            raise DataError(f"{folder / MANIFEST} does not belong to {name}: its digest differs")
        manifest: dict[str, Any] = json.loads(text)
        arrays, documents = {}, {}
        for file, digest in manifest["files"].items():
            path = folder / file
            if verify and _digest(path) != digest:
                raise DataError(f"{path} has changed since it was written: its SHA-256 differs")
            if "/" in file:
                continue
            if path.suffix == ".npy":
                arrays[path.stem] = _map(path)
            else:
                documents[path.stem] = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{folder} is not a folder of this product's arrays: {error!r}") from error
    return manifest, arrays, documents


def _filled(folder: Path, fill: Fill) -> None:
    folder.mkdir()
    fill(folder)
    for path in folder.iterdir():
        with path.open("rb") as file:
            _sync(file.fileno())
    sync_folder(folder)


def _map(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    # A view as a plain array: memmap's own indexing costs some microseconds more each time.
    return array.view(np.ndarray)


def _settle(partial: Path, final: Path) -> None:
    """Move a finished folder to its name. Where a sound one is there already, that one stays."""
    if final.exists():
        try:
            read_folder(final, final.name, verify=True)
            return
        except DataError:
            final.rename(partial.with_name(f"{partial.name}-damaged"))
    partial.rename(final)
    shutil.rmtree(partial.with_name(f"{partial.name}-damaged"), ignore_errors=True)


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1).encode()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        _sync(file.fileno())


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Have what was made and renamed in a folder outlive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
