"""What `make soak` did, as a table."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass, field

from tests.faults.reader import Found

HEADINGS = ("fault", "store", "times", "answers checked", "wrong", "older", "recovered rows", "seconds")


@dataclass
class Entry:
    fault: str
    store: str
    times: int = 0
    checked: int = 0
    wrong: int = 0
    older: int = 0
    recovered: int = 0
    """Rows that a later attempt wrote for users whom a failed one had planned."""
    seconds: float = 0


@dataclass
class Table:
    entries: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """A line for each kill."""
    _started: float = 0

    def start(self) -> None:
        self._started = time.monotonic()

    def add(self, fault: str, store: str, found: Found, recovered: int = 0, times: int = 1) -> None:
        """The same fault and store twice are one line."""
        entry = next((entry for entry in self.entries if (entry.fault, entry.store) == (fault, store)), None)
        if entry is None:
            entry = Entry(fault, store)
            self.entries.append(entry)
        entry.times += times
        entry.checked += found.checked
        entry.wrong += found.wrong
        entry.older += found.older
        entry.recovered += recovered
        entry.seconds += time.monotonic() - self._started
        self.start()

    def lines(self) -> list[str]:
        """Markdown."""
        numbers = [astuple(entry) for entry in self.entries]
        total = ["together", "", *(sum(row[column] for row in numbers) for column in range(2, len(HEADINGS)))]
        rows = [HEADINGS, ["---", "---", *["---:"] * (len(HEADINGS) - 2)], *numbers, total]
        return ["| " + " | ".join(_text(cell) for cell in row) + " |" for row in rows]


def _text(cell: object) -> str:
    return f"{cell:,.0f}" if isinstance(cell, int | float) else str(cell)
