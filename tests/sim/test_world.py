"""Properties of a small demo world, read from the files it writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from sim.world import WorldSummary, make_world

END = datetime(2026, 11, 23, 6, tzinfo=UTC)
START = END - timedelta(days=14)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> WorldSummary:
    return make_world(tmp_path_factory.mktemp("world") / "demo", users=1500, items=600, days=14, seed=3, end=END)


@pytest.fixture(scope="module")
def tables(world: WorldSummary) -> dict[str, pd.DataFrame]:
    return {name: pq.read_table(world.out / f"{name}.parquet").to_pandas() for name in ("items", "users", "events")}


@pytest.fixture(scope="module")
def joined(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Events with what is known of their item and user."""
    events = tables["events"].assign(position=[context["position"] for context in tables["events"]["context"]])
    return events.merge(tables["items"].drop(columns="rating"), on="item_id").merge(tables["users"], on="user_id")


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    small = {"users": 50, "items": 40, "days": 3, "end": END}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_world(tmp_path / name, seed=seed, **small)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert digests(tmp_path / "a")["events.parquet"] != digests(tmp_path / "c")["events.parquet"]
    make_world(tmp_path / "c", seed=1, **small)
    assert digests(tmp_path / "c") == digests(tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_counts_are_those_of_the_files(world: WorldSummary, tables: dict[str, pd.DataFrame]) -> None:
    assert (len(tables["users"]), len(tables["items"])) == (1500, 600)
    assert tables["events"]["event_type"].value_counts().to_dict() == world.events
    assert tables["items"]["title"].is_unique


def test_every_event_lies_inside_the_world_and_its_account(joined: pd.DataFrame) -> None:
    assert joined["timestamp"].min() >= pd.Timestamp(START)
    assert joined["timestamp"].max() < pd.Timestamp(END)
    assert (joined["timestamp"] >= joined["created_at"]).all()


def test_nobody_is_shown_what_they_may_not_see(joined: pd.DataFrame) -> None:
    assert (joined["available_from"].isna() | (joined["timestamp"] >= joined["available_from"])).all()
    assert (joined["available_until"].isna() | (joined["timestamp"] < joined["available_until"])).all()
    assert (pd.to_datetime(joined["release_date"], utc=True) <= joined["timestamp"]).all()
    assert (joined["maturity"] <= joined["maturity_limit"]).all()
    licensed = [
        region in regions or "*" in regions for region, regions in zip(joined["region"], joined["regions"], strict=True)
    ]
    assert all(licensed)
    assert joined["available_until"].notna().any()
    assert joined["available_from"].notna().any()


def test_an_event_of_a_kind_happens_once(tables: dict[str, pd.DataFrame]) -> None:
    assert not tables["events"].duplicated(["user_id", "event_type", "item_id", "timestamp"]).any()


def test_popularity_follows_zipf(tables: dict[str, pd.DataFrame]) -> None:
    events = tables["events"]
    shown = events[events["event_type"] == "impression"]["item_id"].value_counts().to_numpy()
    ranks = np.arange(1, 101)
    slope = np.polyfit(np.log(ranks), np.log(shown[:100]), 1)[0]
    assert -1.2 < slope < -0.5
    assert shown[:60].sum() > 0.4 * shown.sum()


def test_what_stands_first_is_clicked_more(joined: pd.DataFrame) -> None:
    counts = joined.pivot_table(index="position", columns="event_type", values="item_id", aggfunc="count")
    ctr = (counts["click"] / counts["impression"]).loc[0:5].to_numpy()
    assert (np.diff(ctr) < 0).all()
    assert ctr[0] > 2 * ctr[5]


def test_users_watch_what_suits_their_taste(joined: pd.DataFrame) -> None:
    """Who watched a genre once is likelier than others to watch it again."""
    watched = joined[joined["event_type"] == "watch"].assign(genre=lambda frame: frame["genres"].str[0])
    per_user = watched.groupby(["user_id", "genre"]).size().unstack(fill_value=0)
    per_user = per_user[per_user.sum(axis=1) >= 5]
    concentration = ((per_user.div(per_user.sum(axis=1), axis=0)) ** 2).sum(axis=1).mean()
    overall = ((per_user.sum() / per_user.to_numpy().sum()) ** 2).sum()
    assert concentration > 1.5 * overall


def test_evenings_are_busier_than_afternoons_and_new_titles_and_users_keep_coming(
    tables: dict[str, pd.DataFrame], joined: pd.DataFrame
) -> None:
    british = joined[joined["region"] == "GB"]["timestamp"].dt.hour.value_counts()
    assert british.loc[[19, 20, 21]].sum() > 1.5 * british.loc[[12, 13, 14]].sum()
    released = tables["items"]["available_from"].between(pd.Timestamp(START), pd.Timestamp(END))
    assert released.mean() > 0.08
    assert 0.1 < (tables["users"]["created_at"] > pd.Timestamp(START)).mean() < 0.3


def test_watches_are_partial_or_full(joined: pd.DataFrame) -> None:
    watches = joined[joined["event_type"] == "watch"]
    share = watches["watch_duration_sec"] / (60 * watches["duration_min"])
    assert (share[watches["completed"].astype(bool)] == 1).all()
    assert (share <= 1).all()
    assert 0.2 < watches["completed"].astype(bool).mean() < 0.7
    assert joined.loc[joined["event_type"] == "rate", "rating"].between(0.5, 5).all()


def test_a_world_of_one_of_each_and_nonsense(tmp_path: Path) -> None:
    assert make_world(tmp_path / "one", users=1, items=1, days=1, end=END).items == 1
    with pytest.raises(ValueError, match="at least one"):
        make_world(tmp_path / "none", users=0, end=END)
    with pytest.raises(ValueError, match="no timezone"):
        make_world(tmp_path / "none", end=datetime(2026, 1, 1))  # noqa: DTZ001  # that is the point
