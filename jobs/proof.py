"""The proof of an erasure: what was removed where and when, and what a search found afterwards. It names nobody.

One JSON file a user in the folder `forgotten` of the home folder, named by the user's keyed hash: whoever knows the id
finds it with `topshelf forget --check`, and nobody else learns whose it is.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from conf.settings import Settings
from jobs.lake import write_json

FOLDER = "forgotten"


@dataclass
class Place:
    """What was done in one place, all runs for this user together."""

    place: str
    removed: int
    """Rows, events, files: what the place holds."""
    at: str
    """UTC, ISO 8601: when it was last gone through."""
    left: str = ""
    """What goes later, and by when."""


@dataclass(frozen=True)
class Trace:
    """Where something of a user was found."""

    place: str
    found: int


@dataclass
class Proof:
    hash: str
    forgotten_at: str
    """UTC, ISO 8601: when the user was first put on the barrier list."""
    places: list[Place] = field(default_factory=list)
    found: list[Trace] = field(default_factory=list)
    """What the last search found."""
    searched_at: str | None = None
    """None: an erasure is under way, or was stopped; the same command goes on with it."""

    @property
    def clean(self) -> bool:
        """Whether everything was gone through and then nothing found."""
        return self.searched_at is not None and not self.found

    def removed(self, place: str, count: int, at: datetime, left: str = "") -> None:
        """Note what a step did."""
        for known in self.places:
            if known.place == place:
                known.removed, known.at, known.left = known.removed + count, at.isoformat(), left
                return
        self.places.append(Place(place, count, at.isoformat(), left))

    def as_fields(self) -> dict[str, Any]:
        return {**asdict(self), "clean": self.clean}


def load(settings: Settings, hashed: str) -> Proof | None:
    """The proof of a user's hash; None: there is none."""
    file = _file(settings, hashed)
    if not file.exists():
        return None
    fields = json.loads(file.read_text())
    fields.pop("clean")
    fields["places"] = [Place(**place) for place in fields["places"]]
    fields["found"] = [Trace(**trace) for trace in fields["found"]]
    return Proof(**fields)


def save(settings: Settings, proof: Proof) -> None:
    """Write a proof down, over what was known before."""
    file = _file(settings, proof.hash)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, proof.as_fields())


def _file(settings: Settings, hashed: str) -> Path:
    return settings.home / FOLDER / f"{hashed}.json"
