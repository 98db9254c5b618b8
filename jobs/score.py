"""recommendations: score every active user's list in Spark, and keep those that changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType

from conf.errors import DataError
from conf.hours import Hour
from conf.settings import Settings
from jobs import barrier, rescoring, states
from jobs.barrier import Barred
from jobs.lake import Lake
from jobs.list_scoring import LIST_COLUMNS, Inputs, score
from jobs.manifests import Built, Scored, Tried, encoded_folder, has_later, save
from jobs.readers import Readers, past, present
from jobs.registry import Model
from jobs.rescoring import Basis, marked
from jobs.tables import ITEMS, POPULARITY, RECOMMENDATIONS, REFUSALS, USER_FEATURES
from stores.base import CHALLENGER, CHAMPION
from stores.control import Control
from stores.rollout import Rollout


def run(
    lake: Lake,
    hour: Hour,
    settings: Settings,
    model: Model,
    built: Built,
    control: Control,
    now: datetime,
    challenger: Model | None = None,
    republish: bool = False,
) -> Scored:
    """Score the users whose lists have to be made in `hour` (`jobs.rescoring`), and replace the hour's partition of
    recommendations.

    Those who were forgotten are none of them.

    A list counts as changed when the readers of the store, whose control record is `control`, do not have it, or were
    given it for this very hour: so a re-run leaves the same partition whether or not it was published in between.
    Where readers have a later hour it counts what they had when this one was scored in time (`jobs.readers.past`), for
    it is not published, unless it is to be taken back to (`republish`).
    Users whom an earlier attempt had planned without its rows becoming visible are scored, and count as changed, too.
    With a challenger, whose artefact `built` has, the users for whom its rollout prepares lists are scored by both.

    Raises:
        DataError: the artefact was made with another model, or user_features for another hour.
    """
    if built.model_id != model.model_id:
        raise DataError(
            f"the artefact of {hour} was made with model {built.model_id}, deployed is {model.model_id}: "
            "run that hour's `serving_artefact` first"
        )
    barred = barrier.load(lake, settings, control)
    if has_later(control, hour) and not republish:
        readers = past(lake, hour, settings, control)
    else:
        readers = present(lake, control, now)
    versions = {
        **lake.versions(ITEMS, POPULARITY),
        USER_FEATURES.name: states.version(lake, USER_FEATURES, hour),
        **readers.versions,
    }
    champion = Variant(CHAMPION, model, built.artefact_id, 0, None)
    second, upon = _challenging(challenger, built, readers.control), None
    basis = _basis(lake, hour, settings, champion, readers, built.problem)
    if second is not None and second.rollout is not None and built.challenger is not None:
        upon = _basis(lake, hour, settings, second, readers, built.challenger.problem)
        if upon.since is None or second.rollout.prepared > rescoring.prepared(readers):
            basis = rescoring.TRIAL_GROWS
    own = _score_variant(lake, hour, settings, champion, basis, readers, barred)
    tried, other = None, Counts(0, 0, 0)
    if second is not None and second.rollout is not None and upon is not None:
        other = _score_variant(lake, hour, settings, second, upon, readers, barred)
        prepared = second.rollout.prepared
        tried = Tried(
            second.model.model_id, second.model.version, second.artefact_id, *other, *upon.noted(hour), prepared
        )
    else:
        stale = _of(hour, CHALLENGER)
        if not lake.read(RECOMMENDATIONS).where(stale).isEmpty():
            lake.delete(RECOMMENDATIONS, stale)
    scored, changed, simpler = (sum(pair) for pair in zip(own, other, strict=True))
    failing = [each.version for each, count in ((model, own.simpler), (challenger, other.simpler)) if each and count]
    problem = built.problem or (f"the ranker of {' and '.join(failing)} gave no numbers" if failing else "")
    result = Scored(
        model.model_id,
        model.version,
        built.artefact_id,
        scored,
        changed,
        scored - changed,
        versions,
        tried,
        simpler,
        problem,
        readers.note,
        readers.hidden,
        readers.backfill,
        rescoring.digest(settings),
        *basis.noted(hour),
        basis.text,
    )
    save(settings, hour, result)
    return result


class Counts(NamedTuple):
    """Lists scored, those of them that changed, and those that a simpler order made."""

    scored: int
    changed: int
    simpler: int


@dataclass(frozen=True)
class Variant:
    """One of the models that lists are made with. since: the first generation with lists by it.

    rollout: says which users have lists made by it; None: all.
    """

    name: str
    model: Model
    artefact_id: str
    since: int | None
    rollout: Rollout | None


def _challenging(challenger: Model | None, built: Built, control: Control) -> Variant | None:
    """The second variant, where there is one and its artefact was made."""
    rollout, other = control.rollout, built.challenger
    if challenger is None or rollout is None or other is None or other.artefact_id is None:
        return None
    if not challenger.model_id == other.model_id == rollout.model_id:
        return None
    live = control.generation()
    known = live.challenger if live is not None else None
    since = known.since if known is not None and known.model_id == challenger.model_id else None
    return Variant(CHALLENGER, challenger, other.artefact_id, since, rollout)


def _basis(lake: Lake, hour: Hour, settings: Settings, variant: Variant, readers: Readers, problem: str) -> Basis:
    return rescoring.basis(
        lake, settings, hour, variant.model.model_id, variant.artefact_id, readers, variant.name, bool(problem)
    )


def _of(hour: Hour, variant: str) -> Column:
    return (F.col("date") == hour.date) & (F.col("hour") == hour.start.hour) & (F.col("variant") == variant)


def _score_variant(
    lake: Lake, hour: Hour, settings: Settings, variant: Variant, basis: Basis, readers: Readers, barred: Barred
) -> Counts:
    """Score one variant and replace its partition."""
    touched = _touched(lake, variant, readers)
    inputs = Inputs(
        settings.artefacts_path,
        variant.artefact_id,
        encoded_folder(settings, variant.artefact_id),
        variant.model.folder,
        settings.retrieval,
        hour.end.timestamp(),
    )
    live = _live(variant, readers)
    users = barred.without(rescoring.users(lake, hour, settings, basis, live, touched))
    if variant.rollout is not None:
        users = users.where(F.udf(variant.rollout.prepares, BooleanType())("user_id"))
    lists = score(users, inputs).persist(StorageLevel.DISK_ONLY)
    try:
        total = lists.agg(F.count("*").alias("n"), F.count_if("simpler").alias("simpler")).first()
        assert total is not None  # an aggregate without groups has one row
        changed = _changed(lists, live, hour, touched)
        where: dict[str, str | int | date] = {"date": hour.date, "hour": hour.start.hour, "variant": variant.name}
        rows = changed.withColumns(
            {"model_id": F.lit(variant.model.model_id), **{name: F.lit(value) for name, value in where.items()}}
        )
        lake.replace(RECOMMENDATIONS, rows, where)
    finally:
        lists.unpersist()
    return Counts(total["n"], lake.read(RECOMMENDATIONS).where(_of(hour, variant.name)).count(), total["simpler"])


def _touched(lake: Lake, variant: Variant, readers: Readers) -> DataFrame:
    """Users whose list an earlier attempt had planned without its becoming visible, or the store refused last."""
    mine = F.col("variant") == variant.name
    refused = lake.read(REFUSALS).where(mine & (F.col("generation") == F.lit(readers.control.current)))
    users = refused.select("user_id")
    return users if readers.left is None else users.unionByName(readers.left.where(mine).select("user_id")).distinct()


def _live(variant: Variant, readers: Readers) -> DataFrame:
    """The lists by the variant's model that readers have."""
    mine = readers.published.where(
        (F.col("variant") == variant.name) & (F.col("store_id") == F.lit(readers.control.store_id))
    )
    return mine.limit(0) if variant.since is None else mine.where(F.col("generation") >= variant.since)


def _changed(lists: DataFrame, live: DataFrame, hour: Hour, touched: DataFrame) -> DataFrame:
    before = live.where(F.col("hour") != F.lit(hour.start)).select("user_id", F.col("hash").alias("live_hash"))
    joined = marked(lists.join(before, on="user_id", how="left"), touched, "touched")
    differs = ~F.col("hash").eqNullSafe(F.col("live_hash"))
    return joined.where(differs | F.col("touched")).select(*LIST_COLUMNS)
