"""Rows about what users did to events: ratings become watches, ids are derived, arrival is the event's own time."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import MapType, StringType, StructType

from conf.vocabulary import EVENT_TYPES
from jobs.imports import values
from jobs.imports.checking import Fields, user_id
from jobs.imports.items import reject_unknown_items
from jobs.imports.reading import FILE, LINE, REASON, Rows
from jobs.tables import CONTEXT, EVENTS, HISTORY_HOUR

LIKED_FROM = 4.0
"""A rating from here on counts as watched to the end."""
LOWEST, HIGHEST = 0.5, 5.0

RATED = "_rated"
"""True: the row is a bare rating, which stands for a watch and a rate event."""
_IMPLIED_WATCH = "watch by rating"
"""What the derived id of such a watch is made of, so that it never equals that of a watch the data names."""


def event_rows(rows: Rows, known: DataFrame, latest: datetime, rating_required: bool) -> DataFrame:
    """Rows of an events or ratings file → `_file`, `_line`, `_reason`, `_rated` and what is needed for `expand`.

    Repeated events are not looked for here.

    A row without an event_type is a rating where it has one, else a watch.

    Args:
        known: item_id of every item there is.
        latest: events after this moment are rejected.
        rating_required: every row must carry a rating (MovieLens).
    """
    fields = Fields(rows)
    who = user_id(fields, values.text)
    item = fields.take("item_id", values.text, required=True)
    when = fields.take("timestamp", values.moment, required=True)
    if item is None or when is None:  # the header check asks for both
        raise AssertionError("no item_id or no timestamp column")
    fields.reject(when < F.lit("1970-01-01").cast("timestamp"), "timestamp is before 1970")
    fields.reject(when > F.lit(latest), "timestamp is in the future")
    given_type = F.lower(fields.take_or_null("event_type", values.text, "string"))
    fields.reject(~given_type.isin(*EVENT_TYPES), "unknown event_type")
    rating = fields.take("rating", values.number, required=rating_required)
    rating = F.lit(None).cast("double") if rating is None else rating
    fields.reject((rating < LOWEST) | (rating > HIGHEST), f"rating is not {LOWEST:g} to {HIGHEST:g}")
    fields.reject((given_type == "rate") & rating.isNull(), "a rate event without a rating")
    seconds = fields.take_or_null("watch_duration_sec", values.number, "double")
    fields.reject((seconds < 0) | (seconds > 10**8), "watch_duration_sec is below 0 or above 100 million")
    completed = fields.take_or_null("completed", values.truth, "boolean")
    context = _context(fields, rows)

    bare = given_type.isNull() & rating.isNotNull()
    kind = F.when(bare, F.lit("rate")).otherwise(F.coalesce(given_type, F.lit("watch")))
    unsaid = given_type.isNull() & rating.isNull() & seconds.isNull() & completed.isNull()
    checked = rows.frame.select(
        FILE, LINE, fields.reason.alias(REASON),
        bare.alias(RATED),
        fields.take_or_null("event_id", values.text, "string").alias("given_id"),
        who.alias("user_id"),
        item.alias("item_id"),
        kind.alias("event_type"),
        F.round(seconds).cast("int").alias("watch_duration_sec"),
        F.when(unsaid, F.lit(True)).otherwise(completed).alias("completed"),
        rating.cast("float").alias("rating"),
        context.alias("context"),
        when.alias("timestamp"),
    )  # fmt: skip
    return reject_unknown_items(checked, known).withColumn(
        "event_id", F.coalesce("given_id", derived_id(F.col("event_type")))
    )


def derived_id(event_type: Column) -> Column:
    """32 hex digits of the SHA-256 of user, type, item and timestamp (µs): equal events get equal ids."""
    parts = F.concat_ws("\u001f", "user_id", event_type, "item_id", F.unix_micros("timestamp"))
    return F.substring(F.sha2(parts, 256), 1, 32)


def expand(sound: DataFrame) -> DataFrame:
    """`_file`, `_rated` and the events columns: a bare rating becomes two rows, any other row one.

    A watch that a rating of 4 or more stands for is completed; below, it is not, and has no duration: it is no
    positive, and the item still counts as watched. What the row itself says of the watch goes before the rule.
    """
    nothing = F.lit(None)
    watch, rate = F.col("event_type") == "watch", F.col("event_type") == "rate"
    itself = F.struct(
        F.col("event_id").alias("event_id"),
        F.col("event_type").alias("event_type"),
        F.when(watch, F.col("watch_duration_sec")).alias("watch_duration_sec"),
        F.when(watch, F.col("completed")).alias("completed"),
        F.when(rate, F.col("rating")).alias("rating"),
    )
    watch_id = F.coalesce(F.concat("given_id", F.lit(":watch")), derived_id(F.lit(_IMPLIED_WATCH)))
    implied = F.struct(
        watch_id.alias("event_id"),
        F.lit("watch").alias("event_type"),
        F.col("watch_duration_sec").alias("watch_duration_sec"),
        F.coalesce("completed", F.col("rating") >= LIKED_FROM).alias("completed"),
        nothing.cast("float").alias("rating"),
    )
    # One expression for both kinds, so that the rows pass once and are not shuffled.
    made = sound.withColumn(
        "made", F.explode(F.when(F.col(RATED), F.array(implied, itself)).otherwise(F.array(itself)))
    )
    types = {field.name: field.dataType for field in EVENTS.schema.fields}
    columns = {
        **{
            name: F.col(f"made.{name}")
            for name in ("event_id", "event_type", "watch_duration_sec", "completed", "rating")
        },
        **{name: F.col(name) for name in ("user_id", "item_id", "context", "timestamp")},
        "ingested_at": F.col("timestamp"),
        "date": F.make_date(F.year("timestamp"), F.lit(1), F.lit(1)),
        "hour": F.lit(HISTORY_HOUR),
    }
    return made.select(FILE, RATED, *[columns[name].cast(types[name]).alias(name) for name in EVENTS.columns])


def unknown_events(events: DataFrame, existing: DataFrame) -> DataFrame:
    """The events whose event_id the table does not hold. An event once taken is never changed.

    Ids alone are shuffled to find how many are known: mostly it is none or all, and then the rows stay where they are.
    """
    ids = existing.select("event_id")
    known = events.select("event_id").join(ids, "event_id", how="left_semi").count()
    if known == 0:
        return events
    if known == events.count():
        return events.limit(0)
    return events.join(ids, "event_id", how="left_anti")


def _context(fields: Fields, rows: Rows) -> Column:
    """From a struct or map (Parquet), a JSON text, or columns named like its parts; null where all of it is."""
    kind = rows.types.get("context")
    parts: dict[str, Column] = {}
    whole = F.col("context")
    if isinstance(kind, StringType):
        whole = F.from_json("context", "map<string,string>")
        fields.reject(F.col("context").isNotNull() & whole.isNull(), "context is not a JSON object")
    for part in CONTEXT.fieldNames():
        if isinstance(kind, StringType | MapType):
            parts[part] = F.try_element_at(whole, F.lit(part))
        elif isinstance(kind, StructType) and part in kind.fieldNames():
            parts[part] = F.col(f"context.{part}").cast("string")
        else:
            parts[part] = fields.take_or_null(part, values.text, "string")
    position = values.whole(parts["position"], StringType())
    fields.reject(position.wrong | (position.column < 0), "position is not a whole number from 0")
    given = F.coalesce(*parts.values()).isNotNull()
    built = F.struct(
        *[(position.column.cast("int") if part == "position" else parts[part]).alias(part) for part in parts]
    )
    return F.when(given, built)
