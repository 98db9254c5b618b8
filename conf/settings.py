"""Every setting of the product, typed, frozen and validated once.

`conf.load` builds it; nothing else reads files or the environment.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from conf.event_settings import Eventlog, Kafka, Redis, Sessions, Stream
from conf.operations_settings import Alerts, Dagster, Health, Retention, Tracking
from conf.publication_settings import Gate, Prices, Publish
from conf.rollout_settings import Promotion, Rollout
from conf.section import Positive, Section, Share
from conf.serving_settings import Serving


class Lake(Section):
    root: str = Field(description="Folder or s3a:// address of the Delta tables; relative to the home folder")


class Spark(Section):
    master: str = Field(description="Spark master: local[*] or a cluster's address")
    launch: Literal["in_process", "submit"] = Field(
        description="Where Dagster's steps run: in the process of their run, or each in one that spark-submit starts"
    )
    python: str | None = Field(description="Python of a cluster's executors, on their machines; empty: this one's path")
    shuffle_partitions: Positive = Field(description="Partitions after a shuffle")
    driver_memory: str = Field(description="Memory of the driver (and of everything, in local mode)")
    jars_dir: str | None = Field(
        description="Folder of the jars for Delta and Kafka; empty: where `topshelf jars` put them"
    )
    conf: dict[str, str] = Field(description="Any further Spark setting, by its own name")


class Data(Section):
    profile: Literal["live", "historical"] = Field(
        description="live: events arrive by the hour; historical: a finished record, all of it is the window"
    )
    partitions_start: datetime | None = Field(description="First hour with data; set by the import")
    partitions_end: datetime | None = Field(description="Last hour of historical data; set by the import")
    watch: str | None = Field(
        description="Folder that the sensor new_files imports when its files have changed; empty: none"
    )
    max_reject_share: Share = Field(description="Share of bad rows above which an import stops, nothing imported")
    max_future_minutes: Positive = Field(description="How far ahead of its arrival an event may claim to be")
    max_past_days: Positive = Field(description="How far back an event that is sent to the service may lie")


class Features(Section):
    recent_watches: Positive = Field(description="Watches kept in order for each user")
    genre_step: float = Field(gt=0, description="What one watch adds to the weight of each of its genres")
    session_gap_minutes: Positive = Field(description="A pause this long ends a session")
    activity_window_days: Positive | None = Field(description="Users seen within it get lists; empty: everyone")
    popularity_half_life_days: float | None = Field(description="Decay of popularity; empty: none")
    trending_days: Positive = Field(description="Trend compares this many days with as many before them")
    new_release_days: Positive = Field(description="How long an item counts as a new release")
    cold_below_watches: Positive = Field(description="An item with fewer watches counts as cold")
    segment_min_users: Positive = Field(description="Smaller segments fall back on the global list")
    all_below_users: int = Field(
        ge=0,
        description="With fewer users, everybody's features are worked out: finding out whose changed takes longer",
    )


class Training(Section):
    window_days: Positive | None = Field(description="Days of events learnt from; empty: all of them")
    history: Positive = Field(description="Newest watches a training example and the user tower read")
    negatives: Positive = Field(description="Sampled negatives stored for each positive example")
    impressions_kept: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Share of ignored impressions learnt from; those kept count for those left out"
    )
    positive_share: Share = Field(description="A watch of more than this share of the item is a positive")
    max_model_age_hours: Positive = Field(description="An hour run trains first when the model is older")
    threads: Positive = Field(description="CPU threads of training; results are equal for equal counts")
    holdout_users: Positive = Field(description="Users, at most, whose held-out items are measured")


class Tower(Section):
    dim: Positive = Field(description="Numbers in a user's or item's vector")
    hidden: tuple[int, ...] = Field(description="Widths of the towers' hidden layers")
    epochs: Positive = Field(description="Passes over the examples, at most")
    min_steps: Positive = Field(description="Optimiser steps, at least: small data gets more passes")
    patience: Positive = Field(description="Epochs without a better validation score before stopping")
    batch: Positive = Field(description="Examples in a step")
    negatives: Positive = Field(description="Uniform negatives in a step, shared by its examples")
    examples_per_epoch: Positive = Field(description="Positives in an epoch, at most; every epoch draws others")
    examples_kept: Positive = Field(
        description="Positives held in memory, about: of more, those of a hashed share of the users are learnt from"
    )
    full_softmax_items: Positive = Field(
        description="The softmax is over all watched items where they are at most this many, else over a sample"
    )
    learning_rate: float = Field(gt=0, description="Peak of the learning-rate schedule")
    weight_decay: float = Field(ge=0, description="AdamW weight decay")
    dropout: Share = Field(description="Dropout inside the towers")
    id_dropout: Share = Field(description="Share of items trained on without their id, so that content counts")


class Ranker(Section):
    hidden: tuple[int, ...] = Field(description="Widths of the ranker's hidden layers")
    epochs: Positive = Field(description="Passes over the examples, at most")
    patience: Positive = Field(description="Epochs without a better validation score before stopping")
    batch: Positive = Field(description="Examples in a step")
    examples_per_epoch: Positive = Field(description="Examples in an epoch, at most; the next goes on from there")
    hard_negatives: Positive = Field(description="Negatives a positive, out of those the towers rank highest")
    easy_negatives: Positive = Field(description="Negatives a positive, out of the stored and the whole catalogue")
    learning_rate: float = Field(gt=0, description="Peak of the learning-rate schedule")
    dropout: Share = Field(description="Dropout inside the ranker")


class ItemItem(Section):
    keep: Positive = Field(description="Weights kept for each item, the strongest")
    exact_items: Positive = Field(
        description="Up to this many watched items the model has its closed form; more are regressed on neighbours"
    )
    max_watches: Positive = Field(description="Positives learnt from; of more, those of a share of the users")


class Retrieval(Section):
    ann: Positive = Field(description="Candidates nearest in the two-tower space")
    item_item: Positive = Field(description="Candidates that score highest in the item-item model")
    watches: Annotated[int, Field(ge=1, le=5)] = Field(description="Last watches whose similar items are taken")
    per_watch: Positive = Field(description="Similar items for each of them")
    genre_weight: float = Field(ge=0, description="A genre above this weight adds its popular items")
    per_genre: Positive = Field(description="Popular items for each such genre")
    trending: Positive = Field(description="Trending items")
    new: Positive = Field(description="New releases")
    total: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="Candidates a user, at most, after duplicates are removed"
    )
    list_size: Annotated[int, Field(ge=1, le=150)] = Field(description="Items kept in a user's list")
    genre_share: Share = Field(description="Share of a list that one primary genre may fill, while others last")
    batch_users: Positive = Field(description="Users scored together; every batch is padded to this size")
    fallback_list: Positive = Field(description="Length of the popular lists kept for genres, segments and all")
    keep_days: Annotated[int, Field(ge=0, le=60)] = Field(
        description="Days, at most, for which the list of an active user is kept where nothing of theirs changes; "
        "0: all are made anew every hour"
    )


class Store(Section):
    kind: Literal["embedded", "dynamodb", "scylla"] = Field(description="Which key-value store holds the lists")
    path: str = Field(description="Folder of the embedded store; relative to the home folder")
    map_size_gb: Positive = Field(description="Largest size the embedded store may grow to")


class Dynamodb(Section):
    endpoint: str | None = Field(
        description="Address of a DynamoDB Local, by default that of `topshelf services up`; empty: AWS itself"
    )
    region: str = Field(description="AWS region; credentials come the usual AWS ways")
    table: str = Field(min_length=3, max_length=255, description="Name of the table")
    billing: Literal["on_demand", "provisioned"] = Field(description="How `topshelf store create` has it charged")
    read_units: Positive = Field(description="Read units a second, where provisioned")
    write_units: Positive = Field(description="Write units a second, where provisioned")


class Scylla(Section):
    hosts: tuple[str, ...] = Field(
        min_length=1,
        description="Some nodes of the cluster (ScyllaDB, or Cassandra); the others are found through them",
    )
    port: Annotated[int, Field(ge=1, le=65535)] = Field(
        description="CQL port, by default that of `topshelf services up`"
    )
    datacenter: str | None = Field(description="Nearest data centre; empty: that of the first host that answers")
    keyspace: str = Field(pattern=r"^[a-z][a-z0-9_]{0,47}$", description="Keyspace of the tables")
    username: str | None = Field(description="Name to log in with; empty: no log-in")
    password: str | None = Field(description="Password to log in with", repr=False)
    consistency: Literal["ONE", "LOCAL_ONE", "QUORUM", "LOCAL_QUORUM"] = Field(
        description="How many replicas confirm a write; the service reads from one"
    )
    replication: dict[str, str | int] = Field(
        description="Replication of the keyspace, for `topshelf store create`, in CQL's own words"
    )
    compaction: dict[str, str | int] = Field(
        description="Compaction of the tables, for `topshelf store create`, in CQL's own words"
    )


class Shown(Section):
    buffer: Positive = Field(
        description="Pages that may wait in a worker to be logged as shown; more are dropped and counted"
    )


class Settings(Section):
    """All settings. Paths inside are relative to `home` unless absolute."""

    home: Path = Field(description="Folder of all state (TOPSHELF_HOME)")
    seed: int = Field(description="Seed of everything random")
    lake: Lake
    spark: Spark
    data: Data
    features: Features
    training: Training
    tower: Tower
    item_item: ItemItem
    ranker: Ranker
    retrieval: Retrieval
    serving: Serving
    store: Store
    dynamodb: Dynamodb
    scylla: Scylla
    sessions: Sessions
    redis: Redis
    eventlog: Eventlog
    kafka: Kafka
    stream: Stream
    publish: Publish
    gate: Gate
    promotion: Promotion
    rollout: Rollout
    tracking: Tracking
    health: Health
    alerts: Alerts
    dagster: Dagster
    retention: Retention
    shown: Shown
    prices: Prices

    @model_validator(mode="after")
    def _candidates_fill_a_list(self) -> Settings:
        if self.retrieval.total < self.retrieval.list_size:
            raise ValueError(
                f"retrieval.total ({self.retrieval.total}) must be at least retrieval.list_size "
                f"({self.retrieval.list_size}): a list cannot hold more items than there are candidates"
            )
        return self

    def under_home(self, path: str) -> str:
        """`path` itself when absolute or an address (s3a://…), else inside the home folder."""
        return path if "://" in path else str(self.home / path)

    @property
    def lake_root(self) -> str:
        return self.under_home(self.lake.root)

    @property
    def store_path(self) -> Path:
        return Path(self.under_home(self.store.path))

    @property
    def rules_path(self) -> Path | None:
        """The rules of an answer; None: those that Topshelf comes with."""
        name = self.serving.rules_file
        return None if name is None else Path(self.under_home(name))

    @property
    def models_path(self) -> Path:
        """One folder a trained model: safetensors, JSON, FAISS."""
        return self.home / "models"

    @property
    def tracking_uri(self) -> str:
        """Of the MLflow server, or database, that trainings are logged to."""
        return self.tracking.uri or f"sqlite:///{self.home.resolve()}/mlflow.db"

    @property
    def artefacts_path(self) -> Path:
        """One immutable folder a serving artefact."""
        return self.home / "artefacts"

    @property
    def manifests_path(self) -> Path:
        """What each hour read and made, as JSON."""
        return self.home / "manifests"

    @property
    def eventlog_path(self) -> Path:
        return self.home / "eventlog"

    @property
    def shown_path(self) -> Path:
        """What the service's processes showed, until it is in the table served."""
        return self.home / "shown"

    @property
    def sessions_path(self) -> Path:
        return self.home / "sessions"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"
