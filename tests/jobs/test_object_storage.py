"""A lake on a server that speaks S3: what Spark writes there, Spark and every other reader find."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cli.query import Query
from conf.errors import ConfigError
from conf.hours import Hour
from conf.loading import load
from conf.rules import load_rules
from conf.settings import Settings
from jobs import examples, states
from jobs.example_files import StoredExamples
from jobs.lake import Lake
from jobs.spark import spark_conf
from jobs.tables import EVENTS, ITEMS, TRAINING_EXAMPLES, USERS
from tests.jobs.conftest import HOUR, at, put_events, put_items, put_users
from tests.services.servers import ObjectStorage

NEXT = Hour(HOUR.end)


@pytest.fixture
def lake(
    spark: SparkSession, object_storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Lake]:
    for name, value in object_storage.env.items():
        monkeypatch.setenv(name, value)
    root = f"s3a://{object_storage.bucket}/{tmp_path.name}"
    conf = spark_conf(load({}, [f"lake.root={root}"]).settings, object_storage.env)
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    for name, value in conf.items():
        hadoop.set(name.removeprefix("spark.hadoop."), value)
    # Of a JVM that started without the environment of this test.
    hadoop.set("fs.s3a.access.key", object_storage.secret)
    hadoop.set("fs.s3a.secret.key", object_storage.secret)
    return Lake(spark, root)


def test_tables_are_written_and_every_reader_finds_them(lake: Lake, settings: Settings) -> None:
    put_items(lake, *[{"item_id": f"i{number}"} for number in range(6)])
    put_users(lake, {"user_id": "ann"})
    start = at("01-01 00:00")
    put_events(lake, *[{"user_id": "ann", "item_id": f"i{n}", "timestamp": start + timedelta(hours=n)} for n in (0, 1)])
    made = examples.run(lake, HOUR.date, HOUR.end, settings)
    assert made.positives == 2
    stored = StoredExamples(lake.path(TRAINING_EXAMPLES), HOUR.date)
    assert sum(len(batch) for batch in stored.batches({"train", "valid", "holdout"})) == made.examples

    query = Query(lake.root, load_rules())
    assert query.ask("SELECT count(*), min(item_id) FROM items").fetchall() == [(6, "i0")]
    assert query.written(EVENTS)
    assert lake.disk_bytes(EVENTS) > 0

    lake.upsert(ITEMS, lake.read(ITEMS).where("item_no = 3").withColumn("title", F.lit("Another")))
    assert (lake.version(ITEMS), lake.commit(ITEMS, 1)["operation"]) == (1, "MERGE")
    assert query.ask("SELECT title FROM items WHERE item_no = 3").fetchall() == [("Another",)]
    lake.compact(ITEMS)
    lake.remove_replaced(ITEMS, 200)
    assert lake.read(ITEMS).count() == 6


def test_states_are_told_apart_by_their_hours(lake: Lake) -> None:
    def people(*names: str) -> DataFrame:
        return lake.spark.createDataFrame([(name, 0) for name in names], "user_id string, maturity_limit int").select(
            *[F.col(field.name) if field.name in ("user_id", "maturity_limit") else F.lit(None).cast(field.dataType)
              .alias(field.name) for field in USERS.schema]
        )  # fmt: skip

    states.overwrite(lake, USERS, people("ann", "bob"), HOUR)
    states.merge(lake, USERS, people("cyd"), people("bob").select("user_id"), NEXT)
    assert states.hour_of(lake, USERS) == NEXT
    assert {row["user_id"] for row in states.read(lake, USERS, HOUR).collect()} == {"ann", "bob"}
    assert {row["user_id"] for row in states.read(lake, USERS, NEXT).collect()} == {"ann", "cyd"}


def test_endpoint_and_region_are_those_of_the_other_clients(object_storage: ObjectStorage) -> None:
    settings = load({}, ["lake.root=s3a://bucket/lake"]).settings
    plain, other = spark_conf(settings, {}), spark_conf(settings, object_storage.env)
    assert not [name for name in plain if "s3a" in name]
    assert other["spark.hadoop.fs.s3a.endpoint"] == object_storage.endpoint
    assert other["spark.hadoop.fs.s3a.endpoint.region"] == "us-east-1"
    assert "hadoop-aws" in plain["spark.jars"]
    assert "hadoop-aws" not in spark_conf(load({}).settings, {})["spark.jars"]


def test_without_its_jars_it_says_how_to_fetch_them(tmp_path: Path) -> None:
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "delta.jar").touch()
    settings = load({}, ["lake.root=s3a://bucket/lake", f"spark.jars_dir={tmp_path / 'jars'}"]).settings
    with pytest.raises(ConfigError, match=r"no jars in .*jars-s3a: fetch them with `topshelf jars`"):
        spark_conf(settings, {})
