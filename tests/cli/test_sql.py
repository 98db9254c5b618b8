"""`topshelf sql`: the views, the forms of output, and what it says when it cannot answer."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.lake import Lake
from jobs.tables import REJECTS
from tests.cli.conftest import Topshelf

pytestmark = pytest.mark.usefixtures("small_lake")


def ask(topshelf: Topshelf, query: str) -> list[dict[str, object]]:
    result = topshelf("sql", query, "--json")
    assert result.exit_code == 0, result.stderr
    rows = json.loads(result.stdout)
    assert isinstance(rows, list)
    return rows


def test_lists_are_each_users_live_list(topshelf: Topshelf) -> None:
    assert ask(topshelf, "SELECT * FROM lists ORDER BY user_id") == [
        {"user_id": "ann", "generation": 3, "hour": "2026-01-01T05:00:00Z", "variant": "champion",
         "items": ["m0", "m1", "m2"]},
        {"user_id": "bob", "generation": 3, "hour": "2026-01-01T05:00:00Z", "variant": "champion",
         "items": ["m2", "m0"]},
    ]  # fmt: skip


def test_recommendation_items_have_rank_and_reason_in_the_words_of_the_rules(topshelf: Topshelf) -> None:
    rows = ask(topshelf, "SELECT * FROM recommendation_items ORDER BY user_id, rank")
    assert [(row["user_id"], row["rank"], row["item_id"], row["reason"]) for row in rows] == [
        ("ann", 1, "m0", "Picked for you"),
        ("ann", 2, "m1", "Because you watched Alien"),
        ("ann", 3, "m2", "Because you like Sci-Fi"),
        ("bob", 1, "m2", "Picked for you"),
        ("bob", 2, "m0", "Popular now"),
    ]
    assert list(rows[0]) == ["user_id", "item_id", "rank", "score", "source", "reason", "hour", "variant"]


def test_the_printed_table_reads_well(topshelf: Topshelf) -> None:
    result = topshelf("sql", "SELECT title, year, NULL AS nothing, 1 / 3 AS third FROM items WHERE item_no = 1")
    lines = [line.split() for line in result.stdout.splitlines() if line.strip(" ─")]
    assert lines == [["title", "year", "nothing", "third"], ["Blade", "[Runner]", "1980", "–", "0.3333"]]


def test_a_long_answer_is_cut_and_says_so(topshelf: Topshelf) -> None:
    cut = topshelf("sql", "SELECT title FROM items ORDER BY item_no", "--limit", "2")
    assert "Alien" in cut.stdout
    assert "It's" not in cut.stdout
    assert "the first 2 rows" in cut.stderr
    whole = topshelf("sql", "SELECT title FROM items ORDER BY item_no", "--limit", "0")
    assert "It's" in whole.stdout
    assert whole.stderr == ""


def test_csv_keeps_lists_in_one_cell(topshelf: Topshelf) -> None:
    result = topshelf("sql", "SELECT user_id, items, NULL AS nothing FROM lists ORDER BY user_id", "--csv")
    rows = list(csv.reader(io.StringIO(result.stdout)))
    assert rows == [["user_id", "items", "nothing"], ["ann", '["m0", "m1", "m2"]', ""], ["bob", '["m2", "m0"]', ""]]


def test_parquet_is_written_whole(topshelf: Topshelf, tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    result = topshelf("sql", "SELECT item_id, score FROM recommendation_items", "--parquet", str(path))
    assert "5 rows written" in result.stderr
    assert pq.read_table(path).num_rows == 5
    assert list(tmp_path.glob("*.partial")) == []


def test_a_parquet_file_that_cannot_be_written_is_named(topshelf: Topshelf, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in ("nowhere", "file"):
        path = tmp_path / folder / "out.parquet"
        result = topshelf("sql", "SELECT item_id FROM items", "--parquet", str(path))
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: {path} cannot be written: ")


def test_a_limit_below_0_is_a_usage_error(topshelf: Topshelf) -> None:
    result = topshelf("sql", "SELECT item_id FROM items", "--limit", "-5")
    assert result.exit_code == 2
    assert "--limit" in result.stderr


def test_no_rows_are_an_empty_array(topshelf: Topshelf) -> None:
    assert ask(topshelf, "SELECT * FROM items WHERE false") == []


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT * FROM film", "there is no table film; there are: items, users,"),
        ("SELECT * FROM events", "events is not there yet: `topshelf import DIR` writes it"),
        ("SELECT * FROM popularity", "popularity is not there yet: `topshelf run` writes it"),
        (f"SELECT * FROM {REJECTS.name}", "when it meets a row that it cannot take"),
        ("SELECT titel FROM items", "titel"),
        ("SELEC", "syntax error"),
        ("SELECT CAST(title AS INT) FROM items", "Could not convert string"),
    ],
)
@pytest.mark.parametrize("form", ["table", "--json"])
def test_what_cannot_be_answered_says_why(topshelf: Topshelf, query: str, says: str, form: str) -> None:
    result = topshelf("sql", query, *([form] if form != "table" else []))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert says in result.stderr


@pytest.mark.parametrize(
    "query",
    [
        "DROP VIEW lists",
        "CREATE TABLE mine AS SELECT 1",
        "COPY items TO 'stolen.csv'",
        "SELECT 1; DROP VIEW lists",
        "SELECT * FROM read_csv('/etc/hostname')",
        "SELECT * FROM '/etc/hostname'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
    ],
)
def test_nothing_but_the_tables_can_be_read_and_nothing_written(topshelf: Topshelf, query: str) -> None:
    assert topshelf("sql", query).exit_code == 1


def test_without_a_query_it_lists_what_there_is(topshelf: Topshelf) -> None:
    lines = topshelf("sql").stdout.splitlines()
    assert any("items" in line and "item_no, item_id, title" in line and "Not yet" not in line for line in lines)
    assert any("events" in line and "Not yet: `topshelf import DIR` writes it" in line for line in lines)
    assert any("recommendation_items" in line and "reason" in line for line in lines)


def test_views_before_anything_was_published_name_the_command(
    topshelf: Topshelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPSHELF_HOME", "/nowhere")
    result = topshelf("sql", "SELECT * FROM lists")
    assert (result.exit_code, result.stderr) == (1, "error: lists is not there yet: `topshelf run` writes it\n")


def test_tables_that_spark_wrote_are_read(topshelf: Topshelf, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"import_id": "i", "file": "events.csv", "line": 7, "reason": "unparsable date", "row": "a,b"}
    lake.append(REJECTS, lake.spark.createDataFrame([row], REJECTS.schema))
    monkeypatch.setenv("TOPSHELF_HOME", str(Path(lake.root).parent))
    assert ask(topshelf, "SELECT * FROM rejects") == [row]
