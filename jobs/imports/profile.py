"""Whether the data is a live stream or a finished record, and the file that tells the settings so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import yaml

from conf.errors import DataError
from conf.hours import Hour
from conf.loading import DATASET_FILE

Profile = Literal["live", "historical"]

FINISHED_AFTER = timedelta(days=7)
"""A record whose newest event is older than this when it is imported is taken for finished."""


@dataclass(frozen=True)
class Dataset:
    """What dataset.yaml says."""

    profile: Profile
    start: Hour
    end: Hour | None

    def tree(self) -> dict[str, Any]:
        return {
            "data": {
                "profile": self.profile,
                "partitions_start": self.start.start.isoformat(),
                "partitions_end": None if self.end is None else self.end.start.isoformat(),
            }
        }


def choose(first: Hour, last: Hour, now: datetime, asked: Profile | None) -> tuple[Dataset, str]:
    """The profile of events between two hours, and the reason in a sentence.

    Live data is worked on from its first hour on, without an end; a finished record only in its last hour.
    """
    age = now - last.end
    finished = age > FINISHED_AFTER
    profile: Profile = asked or ("historical" if finished else "live")
    if asked:
        why = f"{asked}, as asked with --profile"
    elif finished:
        why = (
            f"historical: the newest event ({last}) is older than {FINISHED_AFTER.days} days, so this is a finished "
            "record; all of it is the window, every user is active, and the hour to run is its last one"
        )
    else:
        why = f"live: the newest event ({last}) is not older than {FINISHED_AFTER.days} days"
    return (Dataset(profile, last, last) if profile == "historical" else Dataset(profile, first, None)), why


def read_dataset(home: Path) -> Dataset | None:
    """What an earlier import wrote; None where none did.

    Raises:
        DataError: the file is not as an import writes it.
    """
    path = home / DATASET_FILE
    if not path.exists():
        return None
    try:
        data = yaml.safe_load(path.read_text())["data"]
        start, end = data["partitions_start"], data["partitions_end"]
        return Dataset(data["profile"], _hour(start), None if end is None else _hour(end))
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not as an import writes it ({error}); remove it and import again") from error


def write_dataset(home: Path, dataset: Dataset) -> None:
    """Write the file whole or not at all."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / DATASET_FILE
    partial = path.with_name(path.name + ".partial")
    partial.write_text(
        "# Written by `topshelf import`. Your own settings go into settings.yaml.\n" + yaml.safe_dump(dataset.tree())
    )
    partial.replace(path)


def _hour(value: str | datetime) -> Hour:
    return Hour.of(value if isinstance(value, datetime) else datetime.fromisoformat(value))
