"""What each hour made and from what, as small JSON files: how one step of an hour tells the next."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from conf.errors import DataError
from conf.hours import Hour
from conf.settings import Settings
from jobs.lake import write_json
from stores.base import CHALLENGER, CHAMPION
from stores.control import Control


@dataclass(frozen=True)
class BuiltOther:
    """The artefact of the same hour with the model that is being tried. artefact_id None: it could not be made."""

    artefact_id: str | None
    model_id: str
    problem: str = ""


@dataclass(frozen=True)
class Built:
    """The serving artefact of an hour."""

    artefact_id: str
    model_id: str
    items: int
    genre_names: list[str]
    segments: list[str]
    """Stored rows name genres and segments by their place in these, so later artefacts only append."""
    challenger: BuiltOther | None = None
    problem: str = ""
    """Why a simpler order stands in for the model's ranker; empty: it does not."""

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Built:
        """From what `asdict` makes of one."""
        other = fields.get("challenger")
        return cls(**{**fields, "challenger": BuiltOther(**other) if other else None})


@dataclass(frozen=True)
class Tried:
    """What of an hour's scoring was made with the model that is being tried."""

    model_id: str
    model_version: str
    artefact_id: str
    scored: int
    changed: int
    simpler: int = 0
    since: str = ""
    whole: str = ""
    narrowed: tuple[int, ...] = ()
    """As in Scored."""
    prepared: int = 0
    """Percent of users for whom its lists are made."""

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Tried:
        """From what `asdict` makes of one."""
        return cls(**{**fields, "narrowed": tuple(fields.get("narrowed", ()))})


@dataclass(frozen=True)
class Scored:
    """What an hour's scoring read and made: the first half of a publication's manifest. Counts are of both variants."""

    model_id: str
    model_version: str
    artefact_id: str
    scored: int
    changed: int
    unchanged: int
    versions: dict[str, int | None]
    """Delta version of every table read."""
    challenger: Tried | None = None
    simpler: int = 0
    """Lists that a simpler order made, for the ranker gave no numbers or could not be loaded."""
    problem: str = ""
    """Why there are any; empty: there are none."""
    control: str = ""
    """What the store's control record had of generations and rollout when the lists were made; empty: not noted."""
    hidden: tuple[int, ...] = ()
    """Attempts whose plans readers did not see and nobody had taken over."""
    backfill: str = ""
    """Of an hour that was earlier than what readers had: as of what its lists were compared. They are not published."""
    retrieval: str = ""
    """A digest of the settings retrieval.*, which enter every list."""
    since: str = ""
    """The hour whose lists those of this one were built upon; empty: everybody active was scored."""
    whole: str = ""
    """The hour in which everybody active was scored last, this one or an earlier one."""
    narrowed: tuple[int, ...] = ()
    """Items that fewer might be shown than in the hour that was built upon."""
    whom: str = ""
    """Who was scored, in words."""

    def made(self) -> dict[str, dict[str, Any]]:
        """By variant, what later hours have to know of the lists in order to build upon them."""

        def each(scored: Scored | Tried) -> dict[str, Any]:
            names = ("model_id", "artefact_id", "whole", "scored", "simpler")
            return {"retrieval": self.retrieval, **{name: getattr(scored, name) for name in names}}

        other = self.challenger
        tried = {} if other is None else {CHALLENGER: {**each(other), "prepared": other.prepared}}
        return {CHAMPION: each(self.of_champion()), **tried}

    def of_champion(self) -> Scored:
        """Without what was made with the model that is being tried."""
        tried = self.challenger
        if tried is None:
            return self
        return replace(
            self,
            scored=self.scored - tried.scored,
            changed=self.changed - tried.changed,
            unchanged=self.unchanged - (tried.scored - tried.changed),
            simpler=self.simpler - tried.simpler,
            challenger=None,
        )

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Scored:
        """From what `asdict` makes of one."""
        tried = fields.get("challenger")
        return cls(
            **{
                **fields,
                "challenger": Tried.of(tried) if tried else None,
                **{name: tuple(fields.get(name, ())) for name in ("hidden", "narrowed")},
            }
        )


@dataclass(frozen=True)
class Worked:
    """What the rows of user_features of an hour depend on, beside users and their events (`jobs.feature_changes`)."""

    items: int | None
    """Version of the table."""
    history: tuple[str, ...]
    """Names of the files with imported events."""
    settings: str
    """Digest of those that features read."""


def has_later(control: Control, hour: Hour) -> bool:
    """Whether readers have a later hour, so that `hour` is worked out as of then and not published."""
    live = control.generation()
    return live is not None and Hour.parse(live.hour) > hour


def save(settings: Settings, hour: Hour, made: Built | Scored | Worked) -> None:
    """Remember what a step of `hour` made, over what it made before."""
    settings.manifests_path.mkdir(parents=True, exist_ok=True)
    write_json(_file(settings, hour, type(made)), asdict(made))


def built(settings: Settings, hour: Hour) -> Built:
    """The newest artefact of `hour`.

    Raises:
        DataError: none was made.
    """
    return Built.of(_load(settings, hour, Built))


def built_already(settings: Settings, hour: Hour) -> Built | None:
    """The newest artefact of `hour`; None: none was made."""
    return built(settings, hour) if _file(settings, hour, Built).exists() else None


def built_before(settings: Settings, hour: Hour) -> Built | None:
    """The artefact of the newest hour before `hour`; None: there was none. The same for every run of `hour`."""
    earlier = sorted(settings.manifests_path.glob("*.built.json"))
    before = [file for file in earlier if file.name < _file(settings, hour, Built).name]
    return Built.of(json.loads(before[-1].read_text())) if before else None


def built_from(settings: Settings, hour: Hour) -> set[str]:
    """Artefacts of `hour` and of later ones: those a run under way may still need."""
    names = sorted(settings.manifests_path.glob("*.built.json"))
    wanted = [file for file in names if file.name >= _file(settings, hour, Built).name]
    made = [Built.of(json.loads(file.read_text())) for file in wanted]
    others = {each.challenger.artefact_id for each in made if each.challenger is not None}
    return {each.artefact_id for each in made} | {other for other in others if other is not None}


def scored(settings: Settings, hour: Hour) -> Scored:
    """What the newest scoring of `hour` read and made.

    Raises:
        DataError: it was not scored.
    """
    return Scored.of(_load(settings, hour, Scored))


def scored_before(settings: Settings, hour: Hour) -> Scored | None:
    """What the newest scoring of `hour` read and made; None: it was not scored."""
    return scored(settings, hour) if _file(settings, hour, Scored).exists() else None


def worked_before(settings: Settings, hour: Hour) -> Worked | None:
    """What the newest user_features of `hour` depend on; None: it is not known."""
    file = _file(settings, hour, Worked)
    if not file.exists():
        return None
    fields = json.loads(file.read_text())
    return Worked(**{**fields, "history": tuple(fields["history"])})


def forget_before(settings: Settings, day: date) -> int:
    """Remove what hours of earlier days made, but for the newest artefact of them; returns how many files went.

    What is removed of an hour is how to read its tables as they were: they do not go back so far either.
    """
    files = sorted(settings.manifests_path.glob("*.json"))
    old = [file for file in files if file.name < f"{day:%Y%m%d}"]
    newest = [file for file in old if file.name.endswith(".built.json")][-1:]
    for file in set(old) - set(newest):
        file.unlink()
    return len(old) - len(newest)


def version_at(settings: Settings, hour: Hour, table: str) -> int | None:
    """The Delta version of a table that `hour` was scored with; None: it was not."""
    known = scored_before(settings, hour)
    return None if known is None else known.versions.get(table)


def _load(settings: Settings, hour: Hour, kind: type) -> dict[str, Any]:
    file = _file(settings, hour, kind)
    if not file.exists():
        raise DataError(f"hour {hour} has not been {kind.__name__.lower()}: run it with `topshelf run --hour {hour}`")
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def _file(settings: Settings, hour: Hour, kind: type) -> Path:
    return settings.manifests_path / f"{hour.start:%Y%m%dT%H}.{kind.__name__.lower()}.json"


def encoded_folder(settings: Settings, artefact_id: str) -> Path:
    """The model's own view of an artefact's items, which the workers of a scoring map into memory."""
    return settings.home / "scoring" / artefact_id


def remove_unused(settings: Settings, keep: Collection[str]) -> int:
    """Delete artefacts, and the models' views of them, other than `keep`; returns how many folders went.

    Whoever has one mapped into memory can go on reading it.
    """
    unused = [
        folder
        for root in (settings.artefacts_path, settings.home / "scoring")
        for folder in (root.iterdir() if root.exists() else ())
        if folder.is_dir() and folder.name not in keep
    ]
    for folder in unused:
        shutil.rmtree(folder)
    return len(unused)
