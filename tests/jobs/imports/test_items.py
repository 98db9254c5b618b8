from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.imports.items import changes, plain_title, tag_texts
from jobs.tables import ITEMS


def test_plain_titles(spark: SparkSession) -> None:
    titles = {
        "Toy Story (1995)": "Toy Story",
        "Matrix, The (1999)": "The Matrix",
        "City of Lost Children, The (Cité des enfants perdus, La) (1995)":
            "The City of Lost Children (La Cité des enfants perdus)",
        "Avventura, L' (1960)": "L'Avventura",
        "Good, the Bad and the Ugly, The (1966)": "The Good, the Bad and the Ugly",
        "Girl, Interrupted (1999)": "Girl, Interrupted",
        "Death Note (2006–2007)": "Death Note",
        "Superman/Doomsday (2007) ": "Superman/Doomsday",
        "Babylon 5": "Babylon 5",
        "2001: A Space Odyssey (1968)": "2001: A Space Odyssey",
        "(500) Days of Summer (2009)": "(500) Days of Summer",
    }  # fmt: skip
    frame = spark.createDataFrame([(title,) for title in titles], "title STRING")
    found = {
        row["title"]: row["plain"]
        for row in frame.select("title", plain_title(F.col("title")).alias("plain")).collect()
    }
    assert found == titles


def test_tags_become_a_text_the_most_frequent_first(spark: SparkSession) -> None:
    tags = spark.createDataFrame(
        [
            ("1", "space", None),
            ("1", "robots", None),
            ("1", "Space", None),
            ("1", "dull", "bad row"),
            ("2", "sad", None),
        ],
        "item_id STRING, tag STRING, _reason STRING",
    )
    texts = {row["item_id"]: row["description"] for row in tag_texts(tags).collect()}
    assert texts == {"1": "Space, robots", "2": "sad"}


def catalogue(spark: SparkSession, *rows: tuple[int | None, str, str]) -> DataFrame:
    frame = spark.createDataFrame(list(rows), "item_no INT, item_id STRING, title STRING")
    missing = [field for field in ITEMS.schema.fields if field.name not in frame.columns]
    return frame.select("*", *[F.lit(None).cast(field.dataType).alias(field.name) for field in missing])


@pytest.mark.parametrize("reverse", [False, True])
def test_numbers_go_on_after_the_highest_and_never_change(spark: SparkSession, reverse: bool) -> None:
    known = catalogue(spark, (0, "5", "five"), (1, "7", "seven"), (2, "gone", "gone"))
    told = [(None, "10", "ten"), (None, "9", "nine"), (None, "b", "b"), (None, "5", "FIVE"), (None, "7", "seven")]
    found = changes(catalogue(spark, *(reversed(told) if reverse else told)), known)
    assert {(row["item_id"], row["item_no"], row["is_new"]) for row in found.collect()} == {
        ("5", 0, False), ("9", 3, True), ("10", 4, True), ("b", 5, True),
    }  # fmt: skip
