"""What is read from a lake, what is given to the pipeline, and what is read back from a store."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from bench.relevance import pipeline
from bench.relevance.__main__ import main
from bench.relevance.interactions import read
from bench.relevance.parts import Run, item_item, ranker, two_tower
from bench.relevance.pipeline import read_back, settings_of, without_tags, write_training
from bench.relevance.splits import by_user
from jobs.tables import EVENTS, ITEMS, USERS
from tests.bench.relevance_data import holding_out, learnt
from tests.cli import scored_home
from tests.cli.conftest import write

NO_SUMMARY = {"steps": [], "metrics": {}}
START = datetime(2020, 1, 1, tzinfo=UTC)


def event(user: str, item: int, minute: int, kind: str = "watch", **more: object) -> dict[str, object]:
    moment = START + timedelta(minutes=minute)
    return {"event_id": f"{user}{item}{minute}{kind}", "user_id": user, "item_id": f"m{item}", "event_type": kind,
            "timestamp": moment, "ingested_at": moment, "date": moment.date(), "hour": -1, **more}  # fmt: skip


def lake(home: Path, users: int = 1) -> None:
    """Six films of 100 minutes; every user liked all of them, one a minute, the higher numbers first."""
    films = [
        {"item_no": number, "item_id": f"m{number}", "genres": ["Sci-Fi"], "cast": [], "maturity": 0,
         "regions": ["*"], "status": "active", "duration_min": 100}
        for number in range(6)
    ]  # fmt: skip
    names = [f"u{number}" for number in range(users)]
    write(home, ITEMS, films)
    write(home, USERS, [{"user_id": name, "maturity_limit": 0} for name in names])
    liked = [event(name, 5 - minute, minute, completed=True) for name in names for minute in range(6)]
    rated = [event(name, 5 - minute, minute, "rate", rating=4.5) for name in names for minute in range(6)]
    write(home, EVENTS, [*liked, *rated])


def test_positives_are_watches_to_the_end_or_over_half_of_it_at_their_first_time(tmp_path):
    lake(tmp_path)
    events = [
        event("ann", 0, 9, completed=True), event("ann", 0, 4, completed=True), event("ann", 1, 1, completed=False),
        event("ann", 2, 2, watch_duration_sec=3001), event("ann", 3, 3, watch_duration_sec=3000),
        event("ann", 4, 5, "click"), event("bob", 5, 6, completed=True),
    ]  # fmt: skip
    write(tmp_path, EVENTS, events)
    found = read(settings_of(tmp_path))
    minutes = (found.time - int(START.timestamp()) * 10**6) // 60_000_000
    assert found.user_ids == ["ann", "bob"]
    assert np.stack([found.user, found.item, minutes], 1).tolist() == [[0, 2, 2], [0, 0, 4], [1, 5, 6]]


def test_the_pipeline_is_given_the_training_part_and_nothing_later(tmp_path):
    lake(tmp_path)
    settings = settings_of(tmp_path)
    data = read(settings)
    write_training(settings, data, by_user(data), tmp_path / "training")
    events = pq.read_table(tmp_path / "training" / "events.parquet").to_pylist()
    assert sorted((row["event_type"], row["item_id"]) for row in events) == sorted(
        (kind, f"m{item}") for kind in ("watch", "rate") for item in range(1, 6)
    )
    assert {row["rating"] for row in events if row["event_type"] == "rate"} == {4.5}
    items = pq.read_table(tmp_path / "training" / "items.parquet")
    assert items["item_id"].to_pylist() == [f"m{number}" for number in range(6)]
    assert "item_no" not in items.column_names


def test_tags_are_left_out(tmp_path):
    folder = tmp_path / "movielens"
    folder.mkdir()
    for name, header in (("movies", "movieId,title,genres"), ("ratings", "userId,movieId,rating,timestamp"),
                         ("tags", "userId,movieId,tag,timestamp")):  # fmt: skip
        (folder / f"{name}.csv").write_text(header + "\n")
    without_tags(folder, tmp_path / "links")
    assert sorted(path.name for path in (tmp_path / "links").iterdir()) == ["movies.csv", "ratings.csv"]


def test_lists_are_read_from_the_store_and_whoever_has_none_gets_what_is_popular(tmp_path):
    settings = scored_home.make(tmp_path)
    past = learnt([0, 1, 2], [0], items=scored_home.FILMS)
    split = holding_out(past, [3], [1])
    order = [f"m{number}" for number in reversed(range(scored_home.FILMS))]
    seen = split.training.seen(split.measured)
    plain = read_back(settings, ["ann", "nobody"], order[::-1], seen, NO_SUMMARY)
    assert plain.listed.tolist() == [True, False]
    assert plain.lists[1, :3].tolist() == [1, 2, 3]
    assert not set(plain.lists[0].tolist()) & {0, 1, 2, 3, 4, 5}, "seen, inactive, for adults, or not licensed"
    turned = read_back(settings, ["ann", "nobody"], order, (np.zeros(3, np.int64), np.zeros(0, np.int32)), NO_SUMMARY)
    there = plain.lists[0] >= 0
    assert (turned.lists[0, there] == scored_home.FILMS - 1 - plain.lists[0, there]).all()

    run = Run(plain, split, ["ann", "nobody"])
    towers = two_tower(run)
    places = {item: place for place, item in enumerate(towers[0].tolist())}
    from_towers = [places[item] for item in plain.lists[0, there].tolist()]
    assert from_towers == sorted(from_towers), "an untrained ranker leaves the order of the towers"
    assert towers[1].tolist() == plain.lists[1].tolist()
    few = np.arange(scored_home.FILMS) % 3 == 1
    narrow = two_tower(Run(plain, replace(split, among=few), ["ann", "nobody"]))[0].tolist()
    assert [item for item in narrow if item >= 0] == [item for item in towers[0].tolist() if item % 3 == 1]
    allowed = [item for item in towers[0].tolist() if item > 5]
    assert ranker(run)[0, : len(allowed)].tolist() == allowed


def test_the_item_item_part_is_ordered_by_what_the_watches_speak_for(tmp_path):
    settings = scored_home.make(tmp_path)
    split = holding_out(learnt([0, 1, 2], [0], items=scored_home.FILMS), [3], [1])
    ids = [f"m{number}" for number in range(scored_home.FILMS)]
    stored = read_back(settings, ["ann", "nobody"], ids, split.training.seen(split.measured), NO_SUMMARY)
    run = Run(stored, split, ["ann", "nobody"])
    spoken_for = scored_home.WATCHED[0] + 1
    alone = np.full((scored_home.FILMS, 1), -1, np.int32)
    alone[scored_home.WATCHED[0]] = spoken_for
    told = replace(run.scorer.model.item_item, items=alone, weights=np.ones((scored_home.FILMS, 1), np.float32))
    run.scorer.model = replace(run.scorer.model, item_item=told)
    found = item_item(run)
    assert found[0, 0] == spoken_for
    assert found[1].tolist() == stored.lists[1].tolist()


def test_a_run_without_seeds_measures_the_peers(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pipeline, "topshelf", lambda home, *_: lake(home, users=3))
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "events.csv").write_text("user_id,item_id,timestamp\n")
    result = CliRunner().invoke(main, ["--data", str(folder), "--seeds", "0", "--keep", str(tmp_path / "kept")])
    assert result.exit_code == 0, result.output
    values = {line["case"]: line["value"] for line in map(json.loads, result.stdout.splitlines())}
    assert values["user.popularity.recall@10"] == 1, "the one item left"
    assert values["user.ease-r.coverage@20"] == pytest.approx(1 / 6, abs=1e-4)
    assert {f"user.{peer}.recall@20" for peer in ("als", "bpr")} <= values.keys()
