"""Whose features have to be worked out again in an hour, so that the others are neither read from all history nor
written.

A user's row depends on the user's events, the items of these, the user's profile and some settings. What of these is
newer than the rows of an hour before is found by arrival, by the version of the table items, and in the files that are
new in the imported history, for an import brings events that arrived in the past.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf.hours import Hour
from conf.settings import Settings
from jobs import manifests, states
from jobs.events import events_before, newer_than
from jobs.lake import Lake
from jobs.manifests import Worked
from jobs.tables import EVENTS, HISTORY_HOUR, ITEMS, PROFILE, USER_FEATURES, USERS


@dataclass(frozen=True)
class Changes:
    """since: the hour whose rows the table has.

    again: users to work out from their events; profiles: users of whom no more than the profile is another; gone: users
    who are none any more. user_id each.
    """

    since: Hour
    again: DataFrame
    profiles: DataFrame
    gone: DataFrame


def worked(lake: Lake, settings: Settings) -> Worked:
    """What features worked out now depend on, beside users and their events that arrive from now on."""
    history = sorted(file for file in lake.files(EVENTS) if f"/hour={HISTORY_HOUR}/" in file)
    given = [settings.features.model_dump(mode="json", exclude={"all_below_users"}), settings.training.positive_share]
    digest = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:16]
    return Worked(lake.version(ITEMS), tuple(history), digest)


def find(lake: Lake, hour: Hour, settings: Settings, now: Worked) -> Changes | None:
    """What is another in `hour` than in the hour that the table tells of; None: that is not to be known, or it is no
    earlier hour."""
    since = states.hour_of(lake, USER_FEATURES)
    then = manifests.worked_before(settings, since) if since is not None and since < hour else None
    if since is None or then is None or then.settings != now.settings:
        return None
    if then.items is None or not lake.readable(ITEMS, then.items):
        return None
    if set(USER_FEATURES.columns) - set(lake.schema(USER_FEATURES).names):
        return None  # written by an earlier release
    events = events_before(lake, hour.end)
    users = events.where(newer_than(since.end)).select("user_id")
    imported = sorted(set(now.history) - set(then.history))
    if imported:
        # What Delta has rewritten is among them: too many users are none too few.
        users = users.unionByName(lake.spark.read.parquet(*imported).select("user_id"))
    moved = _moved_items(lake, then.items, now.items)
    if moved is not None:
        users = users.unionByName(events.join(F.broadcast(moved), on="item_id", how="left_semi").select("user_id"))
    profile = F.struct(*[field.name for field in PROFILE])
    known = lake.read(USER_FEATURES).select("user_id", profile.alias("then"), F.lit(True).alias("known"))
    listed = lake.read(USERS).select("user_id", profile.alias("now"), F.lit(True).alias("listed"))
    pairs = listed.join(known, on="user_id", how="full_outer").where(
        F.col("known").isNull() | F.col("listed").isNull() | ~F.col("then").eqNullSafe(F.col("now"))
    )
    unknown = pairs.where(F.col("known").isNull()).select("user_id")
    again = users.unionByName(unknown).distinct().join(listed, on="user_id", how="left_semi")
    others = pairs.where(F.col("known") & F.col("listed")).select("user_id")
    return Changes(
        since,
        again,
        others.join(again, on="user_id", how="left_anti"),
        pairs.where(F.col("listed").isNull()).select("user_id"),
    )


def _moved_items(lake: Lake, then: int, now: int | None) -> DataFrame | None:
    """item_id of items that came, or that features read otherwise than before; None: there are none."""
    if then == now:
        return None
    read = ("item_id", "item_no", "genres", "duration_min")
    before, after = lake.read(ITEMS, then).select(*read), lake.read(ITEMS).select(*read)
    moved = after.exceptAll(before).unionByName(before.exceptAll(after)).select("item_id").distinct()
    return None if moved.isEmpty() else moved
