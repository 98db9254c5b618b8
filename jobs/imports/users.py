"""Rows about users to the users table; whoever is only seen in events gets a row too."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.imports import values
from jobs.imports.checking import Fields, keep_first, user_id
from jobs.imports.reading import FILE, LINE, REASON, Rows
from jobs.newcomers import STRICTEST_LIMIT, unknown
from jobs.tables import USERS
from stores.records import MAX_REGION_BYTES

_BANDS = ((18, "Under 18"), (25, "18-24"), (35, "25-34"), (45, "35-44"), (50, "45-49"), (56, "50-55"))
"""Age bands of MovieLens 1M: (first age above the band, its name)."""
OLDEST_BAND = "56+"


def own_users(rows: Rows) -> DataFrame:
    """Rows of our own users layout → `_file`, `_line`, `_reason` and the users columns."""
    fields = Fields(rows)
    who = user_id(fields, values.text)
    limit = fields.take_or_null("maturity_limit", values.whole, "long")
    fields.reject((limit < 0) | (limit > 4), "maturity_limit is not 0 to 4")
    profile = {
        name: fields.take_or_null(name, values.text, "string")
        for name in ("age_band", "gender", "region", "subscription_tier")
    }
    fields.reject(
        F.octet_length(profile["region"]) > MAX_REGION_BYTES, f"region has more than {MAX_REGION_BYTES} bytes"
    )
    columns = {
        "user_id": who,
        **profile,
        "maturity_limit": F.coalesce(limit, F.lit(STRICTEST_LIMIT)),
        "created_at": fields.take_or_null("created_at", values.moment, "timestamp"),
    }
    return _checked(rows, fields, columns)


def movielens_users(rows: Rows) -> DataFrame:
    """Rows of users.dat or u.user → the same. Occupation and zip code have no column and are left out."""
    fields = Fields(rows)
    who = user_id(fields, values.text)
    age = fields.take("age", values.whole)
    columns = {
        "user_id": who,
        "age_band": F.lit(None) if age is None else age_band(age),
        "gender": fields.take_or_null("gender", values.text, "string"),
        "maturity_limit": F.lit(STRICTEST_LIMIT),
    }
    return _checked(rows, fields, columns)


def age_band(age: Column) -> Column:
    band = F.when(age.isNull(), F.lit(None).cast("string"))
    for bound, name in _BANDS:
        band = band.when(age < bound, F.lit(name))
    return band.otherwise(F.lit(OLDEST_BAND))


def changes(given: DataFrame | None, seen: DataFrame, existing: DataFrame) -> DataFrame:
    """The rows to upsert: given users who are new or differ, and unknown users seen in events.

    Besides the users columns each has `is_new`, and `given`: whether it stands in the users file.

    Args:
        given: sound rows of the users columns, or None where the data has no users file.
        seen: user_id of every sound event, in any number.
        existing: the users table.
    """
    known = existing.select("user_id")
    if given is not None:
        known = known.unionByName(given.select("user_id"))
    arrived = unknown(seen, known).select("*", F.lit(True).alias("is_new"), F.lit(False).alias("given"))
    if given is None:
        return arrived
    old = existing.select("user_id", F.struct(*USERS.columns).alias("old"))
    joined = given.select(*USERS.columns).join(old, "user_id", how="left")
    differs = ~F.struct(*USERS.columns).eqNullSafe(F.col("old"))
    is_new, from_file = F.col("old").isNull().alias("is_new"), F.lit(True).alias("given")
    told = joined.where(differs).select(*USERS.columns, is_new, from_file)
    return told.unionByName(arrived)


def _checked(rows: Rows, fields: Fields, columns: dict[str, Column]) -> DataFrame:
    typed = [
        columns.get(field.name, F.lit(None)).cast(field.dataType).alias(field.name) for field in USERS.schema.fields
    ]
    checked = rows.frame.select(FILE, LINE, fields.reason.alias(REASON), *typed)
    return keep_first(checked, "user_id", "user_id is given twice")
