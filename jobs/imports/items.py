"""Rows about items to the catalogue: titles, maturity, licences, and numbers that are never given twice."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.imports import values
from jobs.imports.checking import Fields, keep_first
from jobs.imports.layouts import GENRE_FLAG
from jobs.imports.reading import FILE, LINE, REASON, Rows
from jobs.tables import ITEMS
from stores.records import MAX_REGION_BYTES

STRICTEST_MATURITY = 4
NO_GENRES = ("(no genres listed)", "unknown")
TAGS_KEPT = 50

DATA_COLUMNS = [column for column in ITEMS.columns if column != "item_no"]

_YEAR = r"\(\s*(\d{4})\s*(?:[-–]\s*(?:\d{4})?)?\s*\)\s*$"
_ARTICLES = "The|An|A|Les|Le|La|Las|Los|El|Il|Lo|Gli|I|Das|Der|Die|Det|Den|De|Het|Une|Un|Una|O|Os|As"
_MOVED_ARTICLE = rf"^(.+?), ({_ARTICLES})(?=$| \()"
_MOVED_IN_BRACKETS = rf"\(([^()]+), ({_ARTICLES})\)"
_MOVED_ELISION = r"^(.+?), (L'|Un')(?=$| \()"


def own_items(rows: Rows) -> DataFrame:
    """Rows of our own items layout → `_file`, `_line`, `_reason` and the items columns but item_no."""
    fields = Fields(rows)
    item_id = fields.take("item_id", values.text, required=True)
    maturity = fields.take("maturity", values.whole)
    if maturity is None:
        maturity = F.lit(0)
    else:
        fields.reject((maturity < 0) | (maturity > STRICTEST_MATURITY), f"maturity is not 0 to {STRICTEST_MATURITY}")
        maturity = F.coalesce(maturity, F.lit(STRICTEST_MATURITY))
    duration = fields.take_or_null("duration_min", values.whole, "long")
    fields.reject((duration <= 0) | (duration > 100_000), "duration_min is not above 0")
    year = fields.take_or_null("year", values.whole, "long")
    fields.reject((year < 1) | (year > 9999), "year is not 1 to 9999")
    opens = fields.take_or_null("available_from", values.moment, "timestamp")
    closes = fields.take_or_null("available_until", values.moment, "timestamp")
    fields.reject(closes <= opens, "available_until is not after available_from")
    status = F.lower(fields.take_or_null("status", values.text, "string"))
    fields.reject(~status.isin("active", "inactive"), "status is neither active nor inactive")
    regions = fields.take("regions", values.words)
    if regions is not None:
        too_long = F.exists(regions, lambda region: F.octet_length(region) > MAX_REGION_BYTES)
        fields.reject(too_long, f"a region has more than {MAX_REGION_BYTES} bytes")
    columns: dict[str, Column | None] = {
        "item_id": item_id,
        "title": fields.take_or_null("title", values.text, "string"),
        "description": fields.take_or_null("description", values.text, "string"),
        "genres": fields.take_or_null("genres", values.words, "array<string>"),
        "cast": fields.take_or_null("cast", values.words, "array<string>"),
        "director": fields.take_or_null("director", values.text, "string"),
        "year": year,
        "rating": fields.take_or_null("rating", values.text, "string"),
        "maturity": maturity,
        "duration_min": duration,
        "regions": F.array(F.lit("*")) if regions is None else regions,
        "available_from": opens,
        "available_until": closes,
        "status": F.coalesce(status, F.lit("active")),
        "release_date": fields.take_or_null("release_date", values.day, "date"),
        "thumbnail": fields.take_or_null("thumbnail", values.text, "string"),
    }
    return _checked(rows, fields, columns)


def movielens_items(rows: Rows, tags: DataFrame | None) -> DataFrame:
    """Rows of a MovieLens movies file → the same; `tags` (item_id, description) become descriptions."""
    fields = Fields(rows)
    item_id = fields.take("item_id", values.text, required=True)
    raw_title = F.col("title") if fields.has("title") else F.lit(None).cast("string")
    year = F.regexp_extract(raw_title, _YEAR, 1).try_cast("int")
    release = fields.take_or_null("release_date", values.day, "date")
    columns: dict[str, Column | None] = {
        "item_id": item_id,
        "title": plain_title(raw_title),
        "genres": _movielens_genres(rows, fields),
        "year": F.coalesce(year, F.year(release)),
        "maturity": F.lit(0),
        "regions": F.array(F.lit("*")),
        "status": F.lit("active"),
        "release_date": F.coalesce(release, F.make_date(F.when(year > 0, year), F.lit(1), F.lit(1))),
        "cast": F.array().cast("array<string>"),
    }
    items = _checked(rows, fields, columns)
    if tags is None:
        return items
    return items.drop("description").join(tags, "item_id", how="left").select(FILE, LINE, REASON, *DATA_COLUMNS)


def plain_title(title: Column) -> Column:
    """`Matrix, The (1999)` → `The Matrix`: the year goes, an article moved behind comes back to the front."""
    bare = F.trim(F.regexp_replace(title, _YEAR, ""))
    first = F.regexp_replace(bare, _MOVED_ELISION, "$2$1")
    second = F.regexp_replace(first, _MOVED_ARTICLE, "$2 $1")
    return F.nullif(F.regexp_replace(second, _MOVED_IN_BRACKETS, "($2 $1)"), F.lit(""))


def tag_rows(rows: Rows, known: DataFrame) -> DataFrame:
    """`_file`, `_line`, `_reason`, item_id, tag, user_id; `known` holds the item_ids there are."""
    fields = Fields(rows)
    item_id = fields.take("item_id", values.text, required=True)
    tag = fields.take("tag", values.text, required=True)
    user_id = fields.take_or_null("user_id", values.text, "string").alias("user_id")
    named = (_named(item_id, "item_id"), _named(tag, "tag"), user_id)
    checked = rows.frame.select(FILE, LINE, fields.reason.alias(REASON), *named)
    return reject_unknown_items(checked, known)


def tag_texts(tags: DataFrame) -> DataFrame:
    """(item_id, description): an item's tags, the most frequent first, each once whatever its case."""
    counted = (
        tags.where(F.col(REASON).isNull())
        .groupBy("item_id", F.lower("tag").alias("key"))
        .agg(F.count("*").alias("times"), F.min("tag").alias("tag"))
    )
    best = F.slice(F.sort_array(F.collect_list(F.struct(-F.col("times"), "key", "tag"))), 1, TAGS_KEPT)
    ranked = counted.groupBy("item_id").agg(best.alias("best"))
    return ranked.select("item_id", F.concat_ws(", ", F.transform("best", lambda tag: tag["tag"])).alias("description"))


def reject_unknown_items(rows: DataFrame, known: DataFrame) -> DataFrame:
    """Give the rows about an item that is not in `known` (item_id) a reason.

    The catalogue is small beside the events and goes to every worker, so that the rows need not move.
    """
    marked = rows.join(F.broadcast(known.select("item_id", F.lit(True).alias("_known"))), "item_id", how="left")
    unknown = F.when(F.col("_known").isNull(), F.lit("item_id is not in the catalogue"))
    return marked.withColumn(REASON, F.coalesce(REASON, unknown)).drop("_known")


def changes(valid: DataFrame, existing: DataFrame) -> DataFrame:
    """The rows to upsert, with their item_no and `is_new`.

    A known item keeps its number and appears only if something about it differs. New ones are numbered after the
    highest there is, whole-number ids first in their numeric order, then the others as text: equal input gives equal
    numbers. The catalogue is sorted in one task; it is small beside the events.
    """
    old = existing.select("item_id", "item_no", F.struct(*DATA_COLUMNS).alias("old"))
    joined = (
        valid.select(*DATA_COLUMNS).join(old, "item_id", how="left").withColumn("is_new", F.col("item_no").isNull())
    )
    differs = F.col("is_new") | ~F.struct(*DATA_COLUMNS).eqNullSafe(F.col("old"))
    changed = joined.where(differs)
    numeric = F.when(F.col("item_id").rlike(r"^\d{1,18}$"), F.col("item_id").try_cast("long"))
    order = Window.partitionBy("is_new").orderBy(numeric.asc_nulls_last(), "item_id")
    top = existing.agg((F.coalesce(F.max("item_no"), F.lit(-1)) + 1).alias("next"))
    number = F.coalesce(F.col("item_no"), (F.row_number().over(order) - 1 + F.col("next")).cast("int"))
    return changed.join(top, how="cross").withColumn("item_no", number).select(*ITEMS.columns, "is_new")


def _movielens_genres(rows: Rows, fields: Fields) -> Column:
    flags = [name for name in rows.types if name.startswith(GENRE_FLAG)]
    if flags:
        set_flags = [F.when(F.col(f"`{name}`") == "1", F.lit(name.removeprefix(GENRE_FLAG))) for name in flags]
        listed = F.array_compact(F.array(*set_flags))
    else:
        listed = fields.take_or_null("genres", values.words, "array<string>")
    return F.array_except(listed, F.array(*[F.lit(name) for name in NO_GENRES]))


def _checked(rows: Rows, fields: Fields, columns: dict[str, Column | None]) -> DataFrame:
    types = {field.name: field.dataType for field in ITEMS.schema.fields}
    typed = [
        (F.lit(None) if (column := columns.get(name)) is None else column).cast(types[name]).alias(name)
        for name in DATA_COLUMNS
    ]
    checked = rows.frame.select(FILE, LINE, fields.reason.alias(REASON), *typed)
    return keep_first(checked, "item_id", "item_id is given twice")


def _named(column: Column | None, name: str) -> Column:
    if column is None:  # the header check asks for it
        raise AssertionError(f"no {name} column")
    return column.alias(name)
