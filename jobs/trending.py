"""What trends between the hours: counted anew from the newest events, and put where every worker looks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from pyspark.sql import functions as F

from conf.errors import TopshelfError
from conf.settings import Settings
from jobs.events import WATCH
from jobs.item_features import growth, recent_and_before
from jobs.lake import Lake
from jobs.tables import EVENTS, HISTORY_HOUR, ITEMS
from stores.base import Store
from stores.changing import change_control
from stores.control import MAX_TRENDING, Trending


class Trend:
    """Refreshes what trends after a micro-batch, at most every stream.trending_seconds.

    A store that is away must not keep events from the lake: it is told of, and tried again the next time.
    """

    def __init__(
        self, store: Store, settings: Settings, clock: Callable[[], datetime], say: Callable[[str], None]
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._say = say
        self._due: datetime | None = None

    def __call__(self, lake: Lake) -> None:
        now = self._clock()
        if self._due is not None and now < self._due:
            return
        self._due = now + timedelta(seconds=self._settings.stream.trending_seconds)
        try:
            self._say(f"{len(refresh(lake, self._store, self._settings, now)):,} items trend")
        except TopshelfError as error:
            self._say(f"what trends was not refreshed: {error}")


def refresh(lake: Lake, store: Store, settings: Settings, now: datetime) -> tuple[int, ...]:
    """Put what trends as of `now` into the control record, as `popularity` would rank it; returns the item_nos.

    Raises:
        PermanentError: nothing was ever published to the store.
        ControlConflict, StoreUnavailable: as stores do.
    """
    numbers = ranked(lake, settings, now)
    trending = Trending(numbers, now.isoformat())
    change_control(store, lambda control: control.with_trending(trending), "nothing was published to this store yet")
    return numbers


def ranked(lake: Lake, settings: Settings, now: datetime) -> tuple[int, ...]:
    """item_nos whose watches grow the most, best first, ties by item_no.

    Reads the events of twice features.trending_days alone, and not those after `now`.
    """
    days = settings.features.trending_days
    start = now - timedelta(days=2 * days)
    arrived = (F.col("date") >= F.lit(start.date())) | (
        (F.col("hour") == HISTORY_HOUR) & (F.col("date") >= F.lit(start.date().replace(month=1, day=1)))
    )
    watches = lake.read(EVENTS).where(
        arrived & (F.col("timestamp") >= F.lit(start)) & (F.col("timestamp") < F.lit(now))
    )
    counted = watches.where(F.col("event_type") == WATCH).groupBy("item_id").agg(*recent_and_before(now, days))
    active = lake.read(ITEMS).where(F.col("status") == "active").select("item_id", "item_no")
    best = (
        counted.join(active, on="item_id", how="inner")
        .select("item_no", growth().alias("trend"))
        .where(F.col("trend") > 0)
        .orderBy(F.desc("trend"), "item_no")
        .limit(min(settings.retrieval.fallback_list, MAX_TRENDING))
    )
    return tuple(row["item_no"] for row in best.collect())
