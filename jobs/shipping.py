"""The project's own code as one archive, for executors whose machines have the packages it needs, but not itself."""

from __future__ import annotations

import io
import os
import zipfile
from hashlib import sha256
from pathlib import Path

PACKAGES = ("conf", "models", "stores", "jobs")
"""What runs in an executor: jobs, and what they may import."""
ROOT = Path(__file__).parents[1]
_BEGINNING = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip can hold."""


def write_archive(folder: Path) -> Path:
    """Write the code into `folder`, named after its content: the same code is the same file, written once."""
    content = _archive()
    path = folder / f"topshelf-{sha256(content).hexdigest()[:16]}.zip"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(content)
        part.replace(path)
    return path


def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in PACKAGES:
            for file in sorted((ROOT / package).rglob("*.py")):
                entry = zipfile.ZipInfo(file.relative_to(ROOT).as_posix(), _BEGINNING)
                archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
