"""Who is scored in an hour: users of whom something that enters their list has changed since it was made.

Everybody else keeps the list that readers have, which costs neither a scoring nor a write. What trends, and what is
newly popular, enters a list when it is next made; new items reach all users from the artefact's shelf meanwhile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from conf.errors import DataError
from conf.hours import Hour
from conf.settings import Settings
from jobs import manifests, states
from jobs.catalogue import arrays_of
from jobs.events import window_start
from jobs.lake import Lake
from jobs.readers import Readers
from jobs.tables import USER_FEATURES
from stores.artefact import Artefact, load_artefact
from stores.base import CHALLENGER, CHAMPION


@dataclass(frozen=True)
class Basis:
    """What is known of the lists that readers have. None of them need be made again but for what came `since`.

    whole: the hour in which everybody active was scored last.
    narrowed: item_nos that may be shown to fewer users than in the hour `since`, or to nobody.
    because: where all lists are made again, why; empty: they are not.
    """

    since: Hour | None
    whole: Hour | None = None
    narrowed: tuple[int, ...] = ()
    because: str = ""

    def noted(self, hour: Hour) -> tuple[str, str, tuple[int, ...]]:
        """since, whole and narrowed as manifests have them, once `hour` is scored."""
        if self.since is None:
            return "", str(hour), ()
        return str(self.since), "" if self.whole is None else str(self.whole), self.narrowed

    @property
    def text(self) -> str:
        """Who is scored."""
        return f"all: {self.because}" if self.since is None else f"whose lists changed since {self.since}"


TRIAL_GROWS = Basis(None, because="a model is to be tried on more users, and the lists of both are to be as fresh")


def digest(settings: Settings) -> str:
    """Of the settings that enter every list, and of the one that says whose lists are made."""
    read = [settings.retrieval.model_dump(mode="json", exclude={"keep_days"}), settings.features.activity_window_days]
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()[:16]


def basis(
    lake: Lake,
    settings: Settings,
    hour: Hour,
    model_id: str,
    artefact_id: str,
    readers: Readers,
    variant: str,
    broken: bool = False,
) -> Basis:
    """What lists of `hour` by a model can build upon: the lists that readers have, as the ledger tells of them.

    Where they have those of this hour or of a later one, it is what those were built upon, so that a re-run makes the
    same; but for what the catalogue has become since.

    broken: the model's ranker cannot be used in this hour, so lists that it made are not to be replaced.
    """
    if settings.retrieval.keep_days == 0:
        return Basis(None, because="retrieval.keep_days is 0")
    live = readers.control.generation()
    said: Mapping[str, Any] = {} if live is None or readers.made is None else readers.made
    made = said.get("lists", {}).get(variant)
    if readers.backfill or (live is not None and Hour.parse(live.hour) == hour):
        first = _first(settings, hour, model_id, variant)
        if readers.backfill or first.since is None or made is None:
            return first
        then, now = _artefacts(settings, made["artefact_id"], artefact_id)
        changed = _beside(then, hour, now, hour, first.whole)
        return replace(changed, since=changed.since and first.since, narrowed=_both(first.narrowed, changed.narrowed))
    if live is None or made is None:
        return Basis(None, because="readers have no lists of which is known what they were made with")
    since, read = Hour.parse(live.hour), said["tables"].get(USER_FEATURES.name)
    others = (
        (since > hour, "readers have a later hour"),
        (made["model_id"] != model_id, "the model is another"),
        (made["retrieval"] != digest(settings), "the settings in retrieval.*, or who counts as active, are others"),
        (_stood_in(said, made) and not broken, f"the ranker could not be used in {since}"),
        (
            read is None or states.written_since(lake, USER_FEATURES, since, read),
            f"{since} was worked out again since",
        ),
    )
    because = next((text for holds, text in others if holds), "")
    if because:
        return Basis(None, because=because)
    then, now = _artefacts(settings, made["artefact_id"], artefact_id)
    return _beside(then, since, now, hour, Hour.parse(made["whole"]))


def _stood_in(said: Mapping[str, Any], made: Mapping[str, Any]) -> bool:
    """Whether a simpler order made the lists of an hour, or would have made them."""
    return bool(made["simpler"] * 2 > made["scored"] or (made["scored"] == 0 and said.get("problem")))


def _artefacts(settings: Settings, then: str, now: str) -> tuple[Artefact | None, Artefact]:
    """The earlier one is None where it is gone."""
    try:
        earlier = load_artefact(settings.artefacts_path, then, verify=False)
    except DataError:
        earlier = None
    return earlier, load_artefact(settings.artefacts_path, now, verify=False)


def _both(some: tuple[int, ...], others: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({*some, *others}))


def prepared(readers: Readers) -> int:
    """Percent of users for whom lists by the model that is tried were made in the hour that readers have."""
    lists = {} if readers.made is None else readers.made.get("lists", {})
    return int(lists.get(CHALLENGER, {}).get("prepared", 0))


def _first(settings: Settings, hour: Hour, model_id: str, variant: str) -> Basis:
    """What an hour was built upon when it was scored last."""
    known = manifests.scored_before(settings, hour)
    own = known if variant == CHAMPION or known is None else known.challenger
    same = known is not None and own is not None and own.model_id == model_id
    if known is None or own is None or not same or known.retrieval != digest(settings) or not own.since:
        return Basis(None, because="so it was when this hour was scored first, or that is not known")
    return Basis(Hour.parse(own.since), Hour.parse(own.whole), own.narrowed)


def _beside(then: Artefact | None, since: Hour, now: Artefact, hour: Hour, whole: Hour | None) -> Basis:
    """By what the catalogue of an hour has become."""
    if then is None:
        return Basis(None, because=f"the artefact of {since} is gone")
    names = ((then.genre_names, now.genre_names), (then.segments, now.segments))
    if any(later[: len(earlier)] != earlier for earlier, later in names):
        return Basis(None, because="genres or segments were numbered anew")
    moments = since.end.timestamp(), hour.end.timestamp()
    if narrowed(now, moments[1], then, moments[0]).any():
        return Basis(None, because=f"items may be shown to more than in {since}")
    return Basis(since, whole, tuple(np.flatnonzero(narrowed(then, moments[0], now, moments[1])).tolist()))


def narrowed(then: Artefact, then_at: float, now: Artefact, now_at: float) -> NDArray[np.bool_]:
    """(n,) of the items that both know, whether some viewer might be shown one of `then` and not of `now`.

    Times: epoch seconds.
    """
    n = min(len(then), len(now))
    lost = (now.maturity[:n] > then.maturity[:n]) | ~_live(now, now_at)[:n]
    for region in (None, *{*then.regions, *now.regions}):
        seen = then.licensed[:n] & then.region_bits(region) != 0
        lost |= seen & (now.licensed[:n] & now.region_bits(region) == 0)
    found: NDArray[np.bool_] = _live(then, then_at)[:n] & lost
    return found


def _live(artefact: Artefact, at: float) -> NDArray[np.bool_]:
    items = arrays_of(artefact)
    live: NDArray[np.bool_] = items.active & (items.available_from <= at) & (at < items.available_until)
    return live


def users(lake: Lake, hour: Hour, settings: Settings, basis: Basis, live: DataFrame, touched: DataFrame) -> DataFrame:
    """Users to score, as scoring reads them. live: rows of PUBLISHED that readers have of the variant.

    Those `touched` by an earlier attempt that readers did not see the list of; those whose live row has
    other limits, or is of this very hour; and of those active in the window whoever `basis` does not leave as they are.

    Raises:
        DataError: user_features of this hour are not there.
    """
    features = states.read(lake, USER_FEATURES, hour)
    has = live.select(
        "user_id",
        F.struct("region", "maturity_limit").alias("live_limits"),
        F.col("hour").alias("live_hour"),
    )
    # Few columns first: most users are left out, and the rows of the others are wide.
    known = features.select("user_id", "last_active", "inputs_at", "region", "maturity_limit")
    joined = marked(known.join(has, on="user_id", how="left"), touched, "touched")
    start = window_start(hour.end, settings.features.activity_window_days)
    seen = F.col("last_active").isNotNull() if start is None else F.col("last_active") >= F.lit(start)
    listed = F.col("live_hour").isNotNull()
    again = listed & (F.col("live_hour") == F.lit(hour.start))
    moved = listed & ~F.col("live_limits").eqNullSafe(F.struct("region", "maturity_limit"))
    if basis.since is not None:
        holding = _holding(lake, live, basis.narrowed)
        joined = marked(joined, holding, "holding")
        since = F.lit(basis.since.end)
        changed = F.col("inputs_at") > since
        due = _due(settings.retrieval.keep_days, basis.since, hour)
        seen = F.coalesce(seen, F.lit(False)) & (~listed | changed | due | F.col("holding"))
    wanted = joined.where(F.coalesce(seen, F.lit(False)) | again | moved | F.col("touched")).select("user_id")
    return features.join(wanted, on="user_id", how="left_semi").select(
        "user_id",
        F.transform(F.filter("recent_watches", lambda w: w["liked"]), lambda w: w["item_no"]).alias("liked"),
        "watched",
        "favorite_genres",
        "watches",
        "age_band",
        "gender",
        "region",
        "subscription_tier",
        "maturity_limit",
    )


def marked(rows: DataFrame, some: DataFrame | None, name: str) -> DataFrame:
    """`rows` with a column that says whether the user is one of `some`."""
    if some is None:
        return rows.withColumn(name, F.lit(False))
    marks = some.select("user_id", F.lit(True).alias(name))
    return rows.join(marks, on="user_id", how="left").withColumn(name, F.coalesce(name, F.lit(False)))


def _due(days: int, since: Hour, hour: Hour) -> Column:
    """Whether a time for which lists are kept has ended since the hour `since`.

    It lasts from half of `days` to all of them, by user, so that those who were all scored in one hour are not all due
    in one hour; and ends again after as long where the list came out as it was.
    """
    hours = F.lit(days * 12) + F.pmod(F.xxhash64("user_id"), F.lit(days * 12 + 1))
    made = F.unix_timestamp("live_hour") / 3600

    def times(at: Hour) -> Column:
        return F.floor((F.lit(at.start.timestamp() / 3600) - made) / hours)

    return times(hour) > times(since)


def _holding(lake: Lake, live: DataFrame, items: tuple[int, ...]) -> DataFrame | None:
    """Users whose list has one of the items."""
    if not items:
        return None
    gone: Any = lake.spark.createDataFrame([(item,) for item in items], "item_no int")
    listed = live.select("user_id", F.explode("items.item_no").alias("item_no"))
    return listed.join(F.broadcast(gone), on="item_no", how="left_semi").select("user_id").distinct()
