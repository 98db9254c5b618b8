"""Every Delta table: its columns with their meaning, its key and its partitions. The only owner of column names.

docs/tables.md is made from this file.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from conf.vocabulary import EVENT_TYPES

TEXT, INT, LONG, FLOAT, DOUBLE = StringType(), IntegerType(), LongType(), FloatType(), DoubleType()
BOOL, TIME, DAY, BYTES = BooleanType(), TimestampType(), DateType(), BinaryType()
HISTORY_HOUR = -1
"""`hour` of imported history, which is written to one partition a year instead of one an hour."""

DAYPARTS = ("night", "morning", "afternoon", "evening")
"""Quarters of the UTC day: 0–5, 6–11, 12–17, 18–23."""


@dataclass(frozen=True)
class Table:
    name: str
    doc: str
    schema: StructType
    key: tuple[str, ...]
    partitions: tuple[str, ...] = ()
    deletion_vectors: bool = False
    """Rows that a merge replaces are marked in their files, which stay: its cost follows what changed, not the table.

    To pay for it, readers must know deletion vectors (a feature of Delta), and files are compacted now and then.
    """

    @property
    def columns(self) -> list[str]:
        return self.schema.fieldNames()


def _col(name: str, kind: DataType, doc: str, required: bool = False) -> StructField:
    return StructField(name, kind, not required, {"comment": doc})


def _struct(*fields: tuple[str, DataType]) -> StructType:
    return StructType([StructField(name, kind) for name, kind in fields])


CONTEXT = _struct(
    ("device", TEXT), ("page", TEXT), ("position", INT), ("recommendation_id", TEXT), ("model_version", TEXT)
)
LISTED = ArrayType(_struct(("item_no", INT), ("item_id", TEXT), ("score", FLOAT), ("source", TEXT), ("anchor", TEXT)))
PROFILE = [
    _col("age_band", TEXT, "Age band, such as 25-34; null: unknown"),
    _col("gender", TEXT, "As the user gave it; null: unknown"),
    _col("region", TEXT, "Where the user watches, such as US; null: unknown, so only what is licensed everywhere"),
    _col("subscription_tier", TEXT, "Such as basic or premium; null: unknown"),
    _col("maturity_limit", INT, "Highest maturity the user may see, 0–4; unknown is 0", required=True),
]

ITEMS = Table(
    "items",
    "The catalogue, one row an item.",
    StructType(
        [
            _col("item_no", INT, "Position of the item in every array and list; append-only, never reused", True),
            _col("item_id", TEXT, "The id in your data", True),
            _col("title", TEXT, "Title shown to people"),
            _col("description", TEXT, "Text about the item; imported tags are joined here"),
            _col("genres", ArrayType(TEXT), "Genres, the primary one first", True),
            _col("cast", ArrayType(TEXT), "Names of the cast", True),
            _col("director", TEXT, "Name of the director"),
            _col("year", INT, "Year of the item"),
            _col("rating", TEXT, "Rating board's mark, such as PG-13"),
            _col("maturity", INT, "0 (everybody) to 4 (adults); unknown where the column exists: 4", True),
            _col("duration_min", INT, "Running time in minutes"),
            _col("regions", ArrayType(TEXT), "Regions it is licensed in; ['*']: everywhere; []: nowhere", True),
            _col("available_from", TIME, "Start of the licence; null: always"),
            _col("available_until", TIME, "End of the licence, exclusive; null: for ever"),
            _col("status", TEXT, "active or inactive", True),
            _col("release_date", DAY, "Day of release; null: unknown"),
            _col("thumbnail", TEXT, "Address of a picture"),
        ]
    ),
    key=("item_id",),
)

USERS = Table(
    "users",
    "One row a user; who is only known from events has one without a profile, from the next hour on.",
    StructType(
        [
            _col("user_id", TEXT, "The id in your data, at most 64 bytes", True),
            *PROFILE,
            _col("created_at", TIME, "When the account began; null: unknown"),
        ]
    ),
    key=("user_id",),
)

EVENTS = Table(
    "events",
    "What users did and were shown. Partitioned by the hour of arrival; imported history by year, with hour -1.",
    StructType(
        [
            _col(
                "event_id", TEXT, "Unique; where the data has none, derived from user, type, item and timestamp", True
            ),
            _col("user_id", TEXT, "Who", True),
            _col("item_id", TEXT, "What", True),
            _col("event_type", TEXT, "One of " + ", ".join(EVENT_TYPES), True),
            _col("watch_duration_sec", INT, "Seconds watched (watch)"),
            _col("completed", BOOL, "Whether it was watched to the end (watch)"),
            _col("rating", FLOAT, "0.5 to 5 (rate)"),
            _col("context", CONTEXT, "Where it happened: device, page, position on it, the answer it belongs to"),
            _col("timestamp", TIME, "When it happened", True),
            _col("ingested_at", TIME, "When it was committed to this table; imported history: its timestamp", True),
            _col("date", DAY, "Day of ingested_at; imported history: 1 January of its year", True),
            _col("hour", INT, "Hour of ingested_at; imported history: -1", True),
        ]
    ),
    key=("event_id",),
    partitions=("date", "hour"),
)

USER_FEATURES = Table(
    "user_features",
    "What is known of each user as of an hour.",
    StructType(
        [
            _col("user_id", TEXT, "Who", True),
            _col(
                "recent_watches",
                ArrayType(_struct(("item_no", INT), ("timestamp", TIME), ("liked", BOOL))),
                "Newest watches, newest first; liked: counted as a positive",
                True,
            ),
            _col("watched", ArrayType(INT), "item_no of all that was ever watched or refused, ascending", True),
            _col("favorite_genres", MapType(TEXT, DOUBLE), "Weight of each genre: +0.1 a watch", True),
            _col("watch_time_preference", MapType(TEXT, DOUBLE), "Share of watches by daypart, and at weekends", True),
            _col("avg_session_length_min", DOUBLE, "Mean minutes from a session's first to its last event", True),
            _col("watches", INT, "Number of items watched", True),
            _col("last_active", TIME, "Newest event; null: never"),
            *PROFILE,
            _col("inputs_at", TIME, "End of the hour in which what lists are made of last changed", True),
            _col("as_of", TIME, "End of the hour in which anything of it last changed", True),
        ]
    ),
    key=("user_id",),
    deletion_vectors=True,
)

ITEM_FEATURES = Table(
    "item_features",
    "What is known of each item as of an hour.",
    StructType(
        [
            _col("item_no", INT, "Position of the item", True),
            _col("item_id", TEXT, "The id in your data", True),
            _col("avg_rating", DOUBLE, "Mean of its ratings; null: none"),
            _col("watch_count", LONG, "Watches", True),
            _col("positives", LONG, "Watches that count as positive", True),
            _col("popularity", DOUBLE, "Positive watches, decayed by age", True),
            _col(
                "trend",
                DOUBLE,
                "Watches of the last days less those of as many days before, in standard deviations; 0: steady",
                True,
            ),
            _col("age_hours", DOUBLE, "Hours since release, or since its first event; null: unknown"),
            _col("cold", BOOL, "Whether it has too few watches to be judged by them", True),
            _col("as_of", TIME, "End of the hour this was worked out for", True),
        ]
    ),
    key=("item_no",),
)

ITEM_EMBEDDINGS = Table(
    "item_embeddings",
    "Each item's vector in the two-tower space, by the model that scores.",
    StructType(
        [
            _col("item_no", INT, "Position of the item", True),
            _col("item_id", TEXT, "The id in your data", True),
            _col("model_id", TEXT, "The model that made it", True),
            _col("embedding", ArrayType(FLOAT), "Its vector", True),
            _col("as_of", TIME, "End of the hour this was worked out for", True),
        ]
    ),
    key=("item_no",),
)

POPULARITY = Table(
    "popularity",
    "Ranked items by scope: global, trending, new, genre:X, segment:AGE_BAND/REGION.",
    StructType(
        [
            _col("scope", TEXT, "global, trending, new, genre:X or segment:AGE_BAND/REGION", True),
            _col("items", ArrayType(_struct(("item_no", INT), ("score", DOUBLE))), "Best first", True),
            _col("date", DAY, "Day of the hour", True),
            _col("hour", INT, "Hour of the day", True),
        ]
    ),
    key=("date", "hour", "scope"),
    partitions=("date", "hour"),
)

TRAINING_EXAMPLES = Table(
    "training_examples",
    "What models learn from, each row as things stood before the event. Stored in shuffled order.",
    StructType(
        [
            _col("example_id", TEXT, "The event, with a suffix for its sampled negatives", True),
            _col("user_id", TEXT, "Who", True),
            _col("item_no", INT, "The item offered", True),
            _col("label", FLOAT, "1: watched more than half; 0: not", True),
            _col("weight", FLOAT, "Weight in the loss", True),
            _col("origin", TEXT, "watch, impression (shown, then watched or not) or sampled", True),
            _col("timestamp", TIME, "When", True),
            _col("history", ArrayType(INT), "item_no of the positives watched before, oldest first", True),
            _col("watches", INT, "Number of items watched before", True),
            _col("page", TEXT, "Page it was shown on; null: unknown"),
            _col("position", INT, "Position it was shown at; null: unknown"),
            _col("daypart", INT, "Quarter of the UTC day, 0–3", True),
            _col("weekday", INT, "Monday 0 to Sunday 6", True),
            *PROFILE,
            _col("split", TEXT, "train, valid (for early stopping) or holdout (for the printed metrics)", True),
            _col("shuffle_key", LONG, "Seeded hash that orders the table", True),
            _col("day", DAY, "Day of the training", True),
        ]
    ),
    key=("day", "example_id"),
    partitions=("day",),
)

MODELS = Table(
    "models",
    "The registry of trained models.",
    StructType(
        [
            _col("model_id", TEXT, "Names the model everywhere", True),
            _col("model_name", TEXT, "two_tower_ranker", True),
            _col("version", TEXT, "Rising version, such as v3", True),
            _col("offline_ndcg", DOUBLE, "NDCG@20 of its lists on the hold-out"),
            _col("offline_recall", DOUBLE, "Recall@20 of its lists on the hold-out"),
            _col("online_ctr", DOUBLE, "CTR of what it served; null: not known yet"),
            _col("artifact_path", TEXT, "Folder of its files, below the models folder", True),
            _col("sha256", TEXT, "Digest of its manifest, which holds the digest of each file", True),
            _col("status", TEXT, "training, validating, deployed or retired", True),
            _col("deployed_at", TIME, "When it went live"),
            _col("traffic_percent", INT, "Share of users it serves", True),
            _col("metrics", MapType(TEXT, DOUBLE), "All hold-out metrics, such as lists.recall@20", True),
            _col("cut", TIME, "It has seen events before this moment", True),
            _col("created_at", TIME, "When it was made", True),
        ]
    ),
    key=("model_id",),
)

RECOMMENDATIONS = Table(
    "recommendations",
    "Lists that changed in an hour.",
    StructType(
        [
            _col("user_id", TEXT, "Whose list", True),
            _col(
                "items",
                LISTED,
                "Best first. source: ann, similar, genre, trending, new or popular; "
                "anchor: the item_id or genre that led to it",
                True,
            ),
            _col("embedding", BYTES, "The user's vector as stored: float32 scale, then one int8 a dimension", True),
            _col("segment", TEXT, "age_band/region, for the segment lists; null: unknown"),
            _col("region", TEXT, "The user's region; null: unknown"),
            _col("maturity_limit", INT, "The user's limit", True),
            _col("body", BYTES, "The stored row without generation and watermark", True),
            _col("hash", TEXT, "Digest of body: lists with equal hashes are served alike", True),
            _col("model_id", TEXT, "The model that scored it", True),
            _col("date", DAY, "Day of the hour", True),
            _col("hour", INT, "Hour of the day", True),
            _col("variant", TEXT, "champion, or the challenger being tried", True),
        ]
    ),
    key=("date", "hour", "variant", "user_id"),
    partitions=("date", "hour", "variant"),
)

PUBLISHED = Table(
    "published",
    "The list each user has live now.",
    StructType(
        [
            _col("user_id", TEXT, "Whose list", True),
            _col("variant", TEXT, "champion, or the challenger being tried", True),
            _col("items", LISTED, "Best first, as in recommendations", True),
            _col("region", TEXT, "The user's region, as stored; null: unknown"),
            _col("maturity_limit", INT, "The user's limit, as stored", True),
            _col("body", BYTES, "The stored row without generation and watermark", True),
            _col("hash", TEXT, "Digest of body", True),
            _col("ring_position", INT, "0, 1 or 2: where in the user's ring it lies", True),
            _col("generation", LONG, "The publication that wrote it", True),
            _col("store_id", TEXT, "The store that holds it", True),
            _col("hour", TIME, "Start of the hour it was made for", True),
        ]
    ),
    key=("user_id", "variant"),
    deletion_vectors=True,
)

PLANS = Table(
    "publication_plans",
    "The rows that each attempt set out to write, as they will stand in published; kept while a ring may hold them.",
    StructType(
        [
            *PUBLISHED.schema.fields,
            _col("why", TEXT, "changed: scored in this hour; carried: from an earlier plan or another store", True),
            _col("again", BOOL, "Whether an attempt before, which nobody was switched to, had planned it too", True),
        ]
    ),
    key=("generation", "user_id", "variant"),
    partitions=("generation",),
)

CHECKS = ArrayType(_struct(("name", TEXT), ("passed", BOOL), ("value", DOUBLE), ("limit", DOUBLE), ("text", TEXT)))

PUBLICATIONS = Table(
    "publications",
    "The ledger: a row for each state that an attempt came to. The row with its highest step tells how it stands.",
    StructType(
        [
            _col("generation", LONG, "Ever-rising number of the attempt", True),
            _col("step", INT, "Rises by one with each row of an attempt", True),
            _col("state", TEXT, "planned, loading, loaded, verified, current, retired, aborted or bad", True),
            _col("hour", TIME, "Start of the hour published", True),
            _col("store_id", TEXT, "The store it went to", True),
            _col(
                "manifest",
                TEXT,
                "JSON: model, artefact, Delta versions, watermark, store; why without the ranker",
                True,
            ),
            _col("scored", LONG, "Users scored", True),
            _col("changed", LONG, "Lists to be written: they differ from the live ones", True),
            _col("unchanged", LONG, "Lists left as they are", True),
            _col(
                "carried", LONG, "Rows of users not scored in this hour, whom an attempt or a store left behind", True
            ),
            _col("planned", LONG, "Rows to write: those that changed and those carried over", True),
            _col("written", LONG, "Rows the store took", True),
            _col("rejected", LONG, "Rows the store refused", True),
            _col("bytes", LONG, "Bytes written, keys included", True),
            _col("units", DOUBLE, "Write units the store charged; 0 where it charges none", True),
            _col("throttled", LONG, "Times the store asked to slow down", True),
            _col("estimated_units", DOUBLE, "Write units foreseen before the first write", True),
            _col("estimated_dollars", DOUBLE, "Dollars foreseen, by prices.*", True),
            _col("dollars", DOUBLE, "Dollars by the units charged", True),
            _col("load_seconds", DOUBLE, "Time from the first to the last write", True),
            _col("checks", CHECKS, "The gate's checks, with their values and limits", True),
            _col("base_version", LONG, "Delta version of published before it was merged; null: there was none"),
            _col("taken_over_by", LONG, "The generation whose plan took over what this attempt left behind"),
            _col("started_at", TIME, "When the attempt began", True),
            _col("noted_at", TIME, "When it came to its state", True),
            _col("error", TEXT, "Why it was aborted"),
        ]
    ),
    key=("generation", "step"),
)

REFUSALS = Table(
    "publication_rejects",
    "Rows that a store refused, with its reason.",
    StructType(
        [
            _col("generation", LONG, "The attempt", True),
            _col("user_id", TEXT, "Whose list", True),
            _col("variant", TEXT, "champion, or the challenger being tried", True),
            _col("reason", TEXT, "What the store said", True),
        ]
    ),
    key=("generation", "user_id", "variant"),
    partitions=("generation",),
)

SERVED = Table(
    "served",
    "What the service showed, one row a page. Partitioned by the hour in which it was shown.",
    StructType(
        [
            _col("request_id", TEXT, "The answer, as events name it in context.recommendation_id", True),
            _col("offset", INT, "Items of the same cursor that came before this page", True),
            _col("user_id", TEXT, "Who; null: nobody was named"),
            _col("context", TEXT, "home, shelves, search or similar", True),
            _col("item_ids", ArrayType(TEXT), "What was shown, in order", True),
            _col("positions", ArrayType(INT), "Position of each item, from 0 over all pages of a cursor", True),
            _col(
                "propensities",
                ArrayType(DOUBLE),
                "Probability with which each item came to its position; 1 where nothing is drawn by chance",
                True,
            ),
            _col("tiers", ArrayType(TEXT), "What each item is from: personalized, segment, popular, …", True),
            _col("generation", LONG, "The publication that was served", True),
            _col("model_version", TEXT, "Version of its model", True),
            _col("assigned", TEXT, "The variant that the user belongs to: champion, challenger or popular", True),
            _col("variant", TEXT, "The variant that the page is of; popular also where no list was to be had", True),
            _col(
                "dropped",
                LONG,
                "Pages that the same worker could not log in the moments before; sum them to see what is missing",
                True,
            ),
            _col("timestamp", TIME, "When it was shown", True),
            _col("date", DAY, "Day of timestamp", True),
            _col("hour", INT, "Hour of timestamp", True),
        ]
    ),
    key=("request_id", "offset"),
    partitions=("date", "hour"),
)

OUTCOMES = Table(
    "outcomes",
    "What users did with what they were shown, one row a user, variant and hour: what rates and lifts are made from.",
    StructType(
        [
            _col("user_id", TEXT, "Who", True),
            _col("assigned", TEXT, "The variant that the user belonged to: champion, challenger or popular", True),
            _col("model_version", TEXT, "Version of the model whose answers they were", True),
            _col("pages", LONG, "Pages that were answered", True),
            _col("shown", LONG, "Items on them", True),
            _col("impressions", LONG, "Impressions that the app told of", True),
            _col("clicks", LONG, "Clicks that name an answer", True),
            _col("watches", LONG, "Watches that name an answer", True),
            _col("minutes", DOUBLE, "Minutes watched of them", True),
            _col("date", DAY, "Day in which the events arrived, or the pages were shown", True),
            _col("hour", INT, "Hour likewise", True),
        ]
    ),
    key=("date", "hour", "user_id", "assigned", "model_version"),
    partitions=("date", "hour"),
)

ROLLOUTS = Table(
    "rollouts",
    "How each model came to users, one row a change: how it was judged, each step, why it was held or ended.",
    StructType(
        [
            _col("model_id", TEXT, "The model", True),
            _col("version", TEXT, "Its version", True),
            _col("state", TEXT, "validating, shadow, running, held, aborted, deployed or retired", True),
            _col("traffic_percent", INT, "Share of users it serves since", True),
            _col("note", TEXT, "Why, in words", True),
            _col("evidence", TEXT, "The numbers behind it, as JSON", True),
            _col("noted_at", TIME, "When", True),
        ]
    ),
    key=("model_id", "noted_at"),
)

REJECTED_EVENTS = Table(
    "rejected_events",
    "Records of the event log that are no events, as they stood there: its dead letters.",
    StructType(
        [
            _col("part", TEXT, "Kafka: the topic's id, / and the partition; embedded: the segment", True),
            _col("offset", LONG, "Kafka: the offset; embedded: the byte at which the line begins", True),
            _col("reason", TEXT, "What is wrong with it", True),
            _col("value", BYTES, "The record's bytes; null: it has none"),
            _col("ingested_at", TIME, "When it was committed to this table", True),
            _col("date", DAY, "Day of ingested_at", True),
        ]
    ),
    key=("part", "offset"),
    partitions=("date",),
)

REJECTS = Table(
    "rejects",
    "Rows an import could not take.",
    StructType(
        [
            _col("import_id", TEXT, "The import", True),
            _col("file", TEXT, "Name of the file", True),
            _col("line", LONG, "Line in the file, from 1; Parquet: row, from 1", True),
            _col("reason", TEXT, "What is wrong with it", True),
            _col("row", TEXT, "The row as it stood, at most 1,000 characters", True),
        ]
    ),
    key=("import_id", "file", "line"),
)

IMPORTS = Table(
    "imports",
    "One row an import that changed something.",
    StructType(
        [
            _col("import_id", TEXT, "Digest of the files' names and contents", True),
            _col("source", TEXT, "Name of the folder", True),
            _col("layout", TEXT, "topshelf, movielens, movielens-dat or movielens-100k", True),
            _col("counts", MapType(TEXT, LONG), "Rows read, new and rejected", True),
            _col("imported_at", TIME, "When", True),
        ]
    ),
    key=("import_id",),
)

FORGOTTEN = Table(
    "forgotten",
    "Who was forgotten, by keyed hash: what an id may not come back as. The key is not in the lake.",
    StructType(
        [
            _col("hash", TEXT, "First 16 hexadecimal digits of the HMAC-SHA256 of the id; names the proof", True),
            _col("forgotten_at", TIME, "When the user was put on the barrier list", True),
        ]
    ),
    key=("hash",),
)

TABLES = (
    ITEMS,
    USERS,
    EVENTS,
    USER_FEATURES,
    ITEM_FEATURES,
    ITEM_EMBEDDINGS,
    POPULARITY,
    TRAINING_EXAMPLES,
    MODELS,
    RECOMMENDATIONS,
    PUBLISHED,
    PLANS,
    PUBLICATIONS,
    REFUSALS,
    SERVED,
    OUTCOMES,
    ROLLOUTS,
    REJECTED_EVENTS,
    REJECTS,
    IMPORTS,
    FORGOTTEN,
)
