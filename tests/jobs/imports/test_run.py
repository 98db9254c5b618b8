"""Whole imports of a folder with one row of each defect, whose answer can be read off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from conf.errors import DataError
from conf.loading import load
from conf.settings import Settings
from jobs import barrier
from jobs.imports.run import run
from jobs.lake import Lake
from jobs.tables import EVENTS, IMPORTS, ITEMS, REJECTS, USERS
from stores.control import Control

NOW = datetime(2024, 1, 29, tzinfo=UTC)
ALL = (ITEMS, USERS, EVENTS, REJECTS, IMPORTS)

ITEM_LINES = [
    b"item_id,title,genres,maturity,regions,year,duration_min,status,note",
    b'alien,"Alien, the film",Sci-Fi|Horror,3,US|GB,1979,117,active,x',  # 2
    b"clue,Clue,Comedy,,,,,,",  # 3: nothing known, so the strictest
    b"10,Ten,,0,*,,,inactive,",  # 4
    b"9,Nine,,0,*,,,,",  # 5
    b"clue,Again,,0,*,,,,",  # 6
    b",No id,,0,*,,,,",  # 7
    b"x,Too mature,,5,*,,,,",  # 8
    b"y,Short",  # 9
]
EVENT_LINES = [
    b"user_id,item_id,timestamp,event_type,watch_duration_sec,completed,rating,device,position",
    b"ann,alien,2024-01-27T10:00:00Z,watch,6000,true,,tv,2",  # 2
    b"ann,alien,1706350000,impression,,,,tv,0",  # 3
    b"ann,clue,2024-01-27T11:00:00Z,,,,4.5,,",  # 4: a bare rating, liked
    b"bob,clue,2024-01-27T12:00:00Z,,,,3.5,,",  # 5: a bare rating, not liked
    b"bob,10,2024-01-28T15:30:00Z,rate,,,2,,",  # 6
    b"cat,9,2024-01-26 08:15,,,,,,",  # 7: neither type nor rating: a watch
    b"ann,alien,2024-01-27T10:00:00Z,watch,6000,true,,tv,2",  # 8
    b"ann,nothing,2024-01-27T10:00:00Z,watch,,,,,",  # 9
    b"ann,alien,tomorrow,watch,,,,,",  # 10
    b"ann,alien,2031-01-29T00:11:00Z,watch,,,,,",  # 11
    b"ann,alien,2024-01-29T00:10:00Z,watch,,false,,,",  # 12: just within the ten minutes
    b"ann,alien,2024-01-27T10:00:00Z,stare,,,,,",  # 13
    b"ann,alien,2024-01-27T10:00:00Z,rate,,,6,,",  # 14
    b"ann,alien,2024-01-27T10:00:00Z,rate,,,,,",  # 15
    b"ann,alien,,watch,,,,,",  # 16
    b"u" * 65 + b",alien,2024-01-27T10:00:00Z,watch,,,,,",  # 17
    b"ann,caf\xe9,2024-01-27T10:00:00Z,watch,,,,,",  # 18
    b"ann,alien,2024-01-27T10:00:00Z,watch,-5,,,,",  # 19
    b"ann,alien,2024-01-27T10:00:00Z",  # 20
]
REJECTED = {
    ("items.csv", 6): "item_id is given twice",
    ("items.csv", 7): "item_id is missing",
    ("items.csv", 8): "maturity is not 0 to 4",
    ("items.csv", 9): "wrong number of columns",
    ("events.csv", 8): "event is given twice",
    ("events.csv", 9): "item_id is not in the catalogue",
    ("events.csv", 10): "timestamp cannot be read",
    ("events.csv", 11): "timestamp is in the future",
    ("events.csv", 13): "unknown event_type",
    ("events.csv", 14): "rating is not 0.5 to 5",
    ("events.csv", 15): "a rate event without a rating",
    ("events.csv", 16): "timestamp is missing",
    ("events.csv", 17): "user_id is longer than 64 bytes",
    ("events.csv", 18): "not valid UTF-8",
    ("events.csv", 19): "watch_duration_sec is below 0 or above 100 million",
    ("events.csv", 20): "wrong number of columns",
    ("users.csv", 4): "region has more than 6 bytes",
}
USER_LINES = [
    b"user_id,age_band,gender,region,maturity_limit",
    b"ann,25-34,female,US,4",
    b"dan,,,,",  # seen nowhere else; nothing known
    b"eve,,,ATLANTIS,",
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, lines in {"items": ITEM_LINES, "events": EVENT_LINES, "users": USER_LINES}.items():
        (folder / f"{name}.csv").write_bytes(b"\n".join(lines) + b"\n")
    return folder


def lenient(settings: Settings, share: float = 0.9) -> Settings:
    return load({"TOPSHELF_HOME": str(settings.home)}, [f"data.max_reject_share={share}"]).settings


def events_of(lake: Lake) -> set[tuple[Any, ...]]:
    columns = ("user_id", "item_id", "event_type", "watch_duration_sec", "completed", "rating")
    return {tuple(row[column] for column in columns) for row in lake.read(EVENTS).collect()}


def test_every_row_is_taken_or_rejected_with_its_line(lake: Lake, settings: Settings, data: Path) -> None:
    said: list[str] = []
    report = run(lake, data, lenient(settings), NOW, progress=said.append)

    rejects = lake.read(REJECTS).collect()
    assert {(row["file"], row["line"]): row["reason"] for row in rejects} == REJECTED
    rows = {(row["file"], row["line"]): row["row"] for row in rejects}
    assert rows["events.csv", 13] == "ann,alien,2024-01-27T10:00:00Z,stare,,,,,"
    assert rows["events.csv", 18].startswith("ann,caf\ufffd,")
    assert report.rejects["wrong number of columns"] == 2
    assert {file.name: (file.read, file.rejected, file.new) for file in report.files} == {
        "items.csv": (8, 4, 4), "users.csv": (3, 1, 2), "events.csv": (19, 12, 7),
    }  # fmt: skip

    items = {row["item_id"]: row for row in lake.read(ITEMS).collect()}
    assert {name: row["item_no"] for name, row in items.items()} == {"9": 0, "10": 1, "alien": 2, "clue": 3}
    assert (items["alien"]["title"], items["alien"]["genres"]) == ("Alien, the film", ["Sci-Fi", "Horror"])
    assert (items["alien"]["maturity"], items["alien"]["regions"], items["alien"]["year"]) == (3, ["US", "GB"], 1979)
    assert (items["clue"]["maturity"], items["clue"]["regions"], items["clue"]["status"]) == (4, [], "active")
    assert items["10"]["status"] == "inactive"

    users = {row["user_id"]: (row["region"], row["maturity_limit"]) for row in lake.read(USERS).collect()}
    assert users == {"ann": ("US", 4), "dan": (None, 0), "bob": (None, 0), "cat": (None, 0)}

    assert events_of(lake) == {
        ("ann", "alien", "watch", 6000, True, None),
        ("ann", "alien", "impression", None, None, None),
        ("ann", "clue", "watch", None, True, None),
        ("ann", "clue", "rate", None, None, 4.5),
        ("bob", "clue", "watch", None, False, None),
        ("bob", "clue", "rate", None, None, 3.5),
        ("bob", "10", "rate", None, None, 2.0),
        ("cat", "9", "watch", None, True, None),
        ("ann", "alien", "watch", None, False, None),
    }
    shown = lake.read(EVENTS).where("event_type = 'impression'").collect()[0]
    assert (shown["context"]["device"], shown["context"]["position"], shown["hour"]) == ("tv", 0, -1)
    assert str(shown["date"]) == "2024-01-01"
    assert shown["timestamp"] == shown["ingested_at"]
    assert report.profile == "live"
    assert str(report.first_hour) == "2024-01-26T08:00Z"
    assert load({"TOPSHELF_HOME": str(settings.home)}).settings.data.partitions_end is None
    assert any("not taken, for there is no place for it: note" in note for note in report.notes)
    assert any(text.startswith("checking events.csv") for text in said)

    versions = lake.versions(*ALL)
    dataset = (settings.home / "dataset.yaml").stat().st_mtime_ns
    again = run(lake, data, lenient(settings), NOW + timedelta(days=30))
    assert not again.changed
    assert lake.versions(*ALL) == versions
    assert (settings.home / "dataset.yaml").stat().st_mtime_ns == dataset

    # A changed folder: one item renamed, one left out, one more; one more event.
    lines = [ITEM_LINES[0], *ITEM_LINES[3:5], ITEM_LINES[1].replace(b"1979", b"1980"), b"8,Eight,,1,*,,,,"]
    (data / "items.csv").write_bytes(b"\n".join(lines))
    (data / "events.csv").write_bytes(b"\n".join([*EVENT_LINES, b"dan,clue,2024-01-28T20:00:00Z,click,,,,,"]))
    changed = run(lake, data, lenient(settings), NOW)
    assert (changed.table("items").new, changed.table("items").changed) == (1, 1)
    assert (changed.table("users").new, changed.table("events").new) == (0, 1)
    found = {row["item_id"]: (row["item_no"], row["year"]) for row in lake.read(ITEMS).collect()}
    assert found == {"9": (0, None), "10": (1, None), "alien": (2, 1980), "clue": (3, None), "8": (4, None)}


def test_too_many_bad_rows_stop_the_import(lake: Lake, settings: Settings, data: Path) -> None:
    with pytest.raises(DataError) as stopped:
        run(lake, data, lenient(settings, 0.55), NOW)
    assert "events.csv: 12 of 19 rows (63.2%)" in str(stopped.value)
    assert "events.csv line 8: event is given twice" in str(stopped.value)
    assert lake.versions(ITEMS, USERS, EVENTS, IMPORTS) == dict.fromkeys(("items", "users", "events", "imports"))
    assert lake.read(REJECTS).count() == len(REJECTED)
    assert not (settings.home / "dataset.yaml").exists()


def test_an_import_killed_on_the_way_is_finished_by_the_next(
    lake: Lake, settings: Settings, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("jobs.imports.run.write_dataset", _fail)
        with pytest.raises(OSError, match="disk full"):
            run(lake, data, lenient(settings), NOW)
    assert lake.version(IMPORTS) is None
    before = lake.versions(ITEMS, USERS, EVENTS)
    report = run(lake, data, lenient(settings), NOW)
    assert lake.versions(ITEMS, USERS, EVENTS) == before
    assert (settings.home / "dataset.yaml").exists()
    assert lake.read(IMPORTS).select("import_id").collect()[0]["import_id"] == report.import_id
    assert report.profile == "live"


def _fail(*_: object) -> None:
    raise OSError("disk full")


def test_rows_of_who_was_forgotten_are_counted_and_left_out_whatever_is_wrong_with_them(
    lake: Lake, settings: Settings, data: Path
) -> None:
    barrier.settle(lake, settings, Control.first("s").with_forgotten(["ann"], 1, "ab" * 32))
    report = run(lake, data, lenient(settings), NOW)
    assert report.erased > 10
    assert report.read + report.erased == len(ITEM_LINES) + len(EVENT_LINES) + len(USER_LINES) - 3  # without headers
    assert {row["user_id"] for row in lake.read(USERS).collect()} == {"bob", "cat", "dan"}
    assert {event[0] for event in events_of(lake)} == {"bob", "cat"}
    assert [row["row"] for row in lake.read(REJECTS).collect() if "ann" in row["row"]] == []
    assert not run(lake, data, lenient(settings), NOW).changed
