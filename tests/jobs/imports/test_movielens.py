from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import SparkSession

from conf.settings import Settings
from jobs.imports.events import event_rows, expand
from jobs.imports.items import movielens_items
from jobs.imports.layouts import detect
from jobs.imports.reading import read_rows
from jobs.imports.run import run
from jobs.imports.users import movielens_users
from jobs.lake import Lake
from jobs.tables import EVENTS, ITEMS, USERS

NOW = datetime(2024, 1, 29, tzinfo=UTC)


def write(folder: Path, encoding: str, **files: str) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_bytes(text.encode(encoding))
    return folder


def test_movielens_csv(lake: Lake, settings: Settings, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "ml", "utf-8",
        movies__csv='movieId,title,genres\n2,"Matrix, The (1999)",Action|Sci-Fi\n10,Café,(no genres listed)\n',
        ratings__csv="userId,movieId,rating,timestamp\n1,2,4.0,964982703\n1,10,3.5,964982704\n",
        tags__csv="userId,movieId,tag,timestamp\n1,2,hackers,1\n2,2,hackers,2\n2,2,Robots,3\n",
        links__csv="movieId,imdbId\n2,7\n",
    )  # fmt: skip
    report = run(lake, folder, settings, NOW)

    matrix, cafe = lake.read(ITEMS).orderBy("item_no").collect()
    assert (matrix["item_no"], matrix["title"], matrix["year"], matrix["genres"]) == (
        0, "The Matrix", 1999, ["Action", "Sci-Fi"],
    )  # fmt: skip
    assert (matrix["description"], str(matrix["release_date"])) == ("hackers, Robots", "1999-01-01")
    assert (matrix["maturity"], matrix["regions"], matrix["status"], matrix["cast"]) == (0, ["*"], "active", [])
    assert (cafe["title"], cafe["year"], cafe["genres"], cafe["release_date"]) == ("Café", None, [], None)
    rows = {(r["item_id"], r["event_type"]): (r["completed"], r["rating"], r["watch_duration_sec"])
            for r in lake.read(EVENTS).collect()}  # fmt: skip
    assert rows == {
        ("2", "watch"): (True, None, None),
        ("2", "rate"): (None, 4.0, None),
        ("10", "watch"): (False, None, None),
        ("10", "rate"): (None, 3.5, None),
    }
    assert [row.asDict() for row in lake.read(USERS).select("user_id", "maturity_limit").collect()] == [
        {"user_id": "1", "maturity_limit": 0}
    ]
    assert (report.profile, str(report.last_hour)) == ("historical", "2000-07-30T18:00Z")
    assert any("no maturity column" in note for note in report.notes)
    assert any("licensed everywhere" in note for note in report.notes)
    assert any("the newest event (2000-07-30T18:00Z) is older than 7 days" in note for note in report.notes)


def test_old_movielens_dat(spark: SparkSession, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "dat", "latin-1",
        movies__dat="1::Amélie (2001)::Comedy|Romance\n2::Avventura, L' (1960)::Drama\n",
        ratings__dat="1::1::5::978300760\n1::2::3::978300761\n1::9::3::978300761\n1::2::0::978300762\n",
        users__dat="1::F::1::10::48067\n2::M::56::16::70072\n",
    )  # fmt: skip
    layout = detect(folder)
    assert layout.kind == "movielens-dat"
    rows = {role: read_rows(spark, source) for role, source in layout.sources.items()}
    items = movielens_items(rows["items"], None)
    assert {row["item_id"]: (row["title"], row["year"]) for row in items.collect()} == {
        "1": ("Amélie", 2001), "2": ("L'Avventura", 1960),
    }  # fmt: skip
    users = movielens_users(rows["users"]).collect()
    assert {row["user_id"]: (row["gender"], row["age_band"]) for row in users} == {
        "1": ("F", "Under 18"), "2": ("M", "56+"),
    }  # fmt: skip
    events = event_rows(rows["events"], items.select("item_id"), NOW, rating_required=True)
    assert {row["_line"]: row["_reason"] for row in events.collect()} == {
        1: None, 2: None, 3: "item_id is not in the catalogue", 4: "rating is not 0.5 to 5",
    }  # fmt: skip


def test_movielens_100k(spark: SparkSession, tmp_path: Path) -> None:
    flags = "0|0|0|0|0|1|0|0|1|0|0|0|0|0|0|0|0|0|0"
    folder = write(
        tmp_path / "100k", "latin-1",
        u__item=f"1|Léon (1994)|28-Oct-1994||http|{flags}\n2|unknown||||1{'|0' * 18}\n3|Short (1994)|x\n",
        u__data="196\t1\t3\t881250949\n196\t2\t5\t881250950\n7\t1\t\t881250950\n",
        u__user="196|24|M|technician|85711\n",
    )  # fmt: skip
    layout = detect(folder)
    rows = {role: read_rows(spark, source) for role, source in layout.sources.items()}
    items = movielens_items(rows["items"], None).orderBy("_line").collect()
    assert (items[0]["title"], items[0]["genres"], str(items[0]["release_date"])) == (
        "Léon", ["Comedy", "Drama"], "1994-10-28",
    )  # fmt: skip
    assert (items[1]["title"], items[1]["genres"], items[1]["release_date"]) == ("unknown", [], None)
    assert (items[2]["_line"], items[2]["_reason"]) == (3, "wrong number of columns")
    assert movielens_users(rows["users"]).collect()[0]["age_band"] == "18-24"
    known = spark.createDataFrame([("1",), ("2",)], "item_id STRING")
    events = event_rows(rows["events"], known, NOW, rating_required=True)
    assert {row["_line"]: row["_reason"] for row in events.collect()} == {1: None, 2: None, 3: "rating is missing"}
    made = expand(events.where("_reason IS NULL"))
    assert sorted((row["item_id"], row["event_type"], row["completed"]) for row in made.collect()) == [
        ("1", "rate", None), ("1", "watch", False), ("2", "rate", None), ("2", "watch", True),
    ]  # fmt: skip
    assert len({row["event_id"] for row in made.collect()}) == 4
