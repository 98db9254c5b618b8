from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from conf.errors import DataError
from conf.hours import Hour
from conf.loading import load
from jobs.imports.profile import Dataset, choose, read_dataset, write_dataset

FIRST, LAST = Hour.parse("2024-01-01T00"), Hour.parse("2024-01-28T15")


@pytest.mark.parametrize(
    ("now", "asked", "wanted"),
    [
        (datetime(2024, 1, 29, tzinfo=UTC), None, Dataset("live", FIRST, None)),
        (datetime(2024, 2, 4, 16, tzinfo=UTC), None, Dataset("live", FIRST, None)),
        (datetime(2024, 2, 4, 16, 1, tzinfo=UTC), None, Dataset("historical", LAST, LAST)),
        (datetime(2024, 2, 4, 16, 1, tzinfo=UTC), "live", Dataset("live", FIRST, None)),
        (datetime(2024, 1, 29, tzinfo=UTC), "historical", Dataset("historical", LAST, LAST)),
    ],
)
def test_a_record_that_ended_over_a_week_ago_is_finished(now: datetime, asked: str | None, wanted: Dataset) -> None:
    dataset, why = choose(FIRST, LAST, now, asked)  # type: ignore[arg-type]  # one of the two names
    assert dataset == wanted
    assert why.startswith(wanted.profile)


def test_the_settings_read_what_is_written(tmp_path: Path) -> None:
    write_dataset(tmp_path, Dataset("historical", LAST, LAST))
    settings = load({"TOPSHELF_HOME": str(tmp_path)}).settings
    assert settings.data.profile == "historical"
    assert settings.data.partitions_start == settings.data.partitions_end == LAST.start
    assert settings.features.activity_window_days is None
    assert read_dataset(tmp_path) == Dataset("historical", LAST, LAST)
    assert [path.name for path in tmp_path.iterdir()] == ["dataset.yaml"]


def test_no_file_is_no_dataset_and_a_broken_one_is_named(tmp_path: Path) -> None:
    assert read_dataset(tmp_path) is None
    (tmp_path / "dataset.yaml").write_text("data: {profile: live}")
    with pytest.raises(DataError, match=r"dataset\.yaml is not as an import writes it"):
        read_dataset(tmp_path)
