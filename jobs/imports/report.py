"""What an import did, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from conf.hours import Hour
from jobs.imports.layouts import Kind
from jobs.imports.profile import Profile


@dataclass
class FileCount:
    """Rows of one file. read = rejected + rows taken; new: rows that brought something the lake did not have."""

    name: str
    read: int
    rejected: int
    new: int = 0

    @property
    def share(self) -> float:
        return self.rejected / self.read if self.read else 0.0


@dataclass
class TableCount:
    """Rows that an import added to or changed in one table."""

    name: str
    new: int = 0
    changed: int = 0


@dataclass
class ImportReport:
    layout: Kind
    source: str
    import_id: str
    files: list[FileCount] = field(default_factory=list)
    tables: list[TableCount] = field(default_factory=list)
    rejects: dict[str, int] = field(default_factory=dict)
    """Rejected rows by reason, the most frequent first."""
    notes: list[str] = field(default_factory=list)
    """Sentences a person should read: assumptions made, columns left out, the profile and why."""
    profile: Profile = "live"
    first_hour: Hour | None = None
    last_hour: Hour | None = None
    erased: int = 0
    """Rows of users who were forgotten, which are in no other count."""
    changed: bool = False
    """Whether anything was written to items, users, events or rejects."""

    @property
    def read(self) -> int:
        return sum(file.read for file in self.files)

    @property
    def rejected(self) -> int:
        return sum(file.rejected for file in self.files)

    def table(self, name: str) -> TableCount:
        return next(table for table in self.tables if table.name == name)

    def file(self, name: str) -> FileCount:
        return next(file for file in self.files if file.name == name)
