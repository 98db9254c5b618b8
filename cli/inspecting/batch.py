"""What the batch did to one item for one user: the hour's own scoring, run again from what the hour has left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from cli.inspecting.lake import Tables
from cli.inspecting.stages import StagedScorer, Stages
from cli.inspecting.steps import Mark, Step
from conf.errors import ConfigError, DataError
from conf.hours import Hour
from conf.settings import Settings
from conf.vocabulary import NO_ANCHOR, NO_GENRE, Source
from jobs.catalogue import arrays_of
from jobs.events import window_start
from jobs.list_scoring import Inputs, candidate_lists
from jobs.manifests import encoded_folder, scored
from jobs.user_batches import filters, user_batch
from models.candidates import MAX_GENRES
from models.encoding import EncodedItems
from models.modelfiles import load_usable
from models.types import Filters
from serving.lookup import Known
from serving.snapshot import Snapshot
from stores.artefact import Artefact, load_artefact

ROUND = 3
LIST, CANDIDATES, FILTER, RANKER, CUT = "list", "candidates", "filter", "ranker", "cut"


class _Scored(NamedTuple):
    stages: Stages
    filters: Filters
    scorer: StagedScorer


def batch_steps(settings: Settings, snapshot: Snapshot, known: Known, user_id: str, item_no: int) -> list[Step]:
    """From candidate to list. Where the hour has not left enough to know, one step says what is missing."""
    try:
        hour = Hour.parse(snapshot.generation.hour)
        made = scored(settings, hour)
        if made.artefact_id != snapshot.generation.artefact_id:
            raise DataError(f"hour {hour} was run again since: what it read then is not known any more")
        version = made.versions.get("user_features")
        if version is None:
            raise DataError(f"the manifest of hour {hour} does not say which user_features it read")
        row = Tables(settings.lake_root).features(user_id, version)
        if row is None:
            return [Step(LIST, Mark.STOPPED, f"The user has no row in user_features of hour {hour}: no list was made.")]
        inputs = Inputs(
            settings.artefacts_path,
            made.artefact_id,
            encoded_folder(settings, made.artefact_id),
            settings.models_path / made.model_id,
            settings.retrieval,
            hour.end.timestamp(),
        )
        scorer = _load(inputs)
    except (DataError, ConfigError, OSError) as error:
        return [Step(LIST, Mark.UNKNOWN, f"What the batch did cannot be traced: {error}.")]
    artefact = snapshot.artefact
    limits = filters(row, artefact)
    stages = scorer.trace(user_batch(row, scorer.model.history), limits, item_no)
    found = _Scored(stages, limits, scorer)
    sources, barred = list(_sources(artefact, found)), _filter(artefact, found, item_no)
    has = any(step.mark is Mark.PASSED for step in sources)
    return [
        _list(settings, known, stages, hour, snapshot.generation.number, row["last_active"][0].as_py()),
        *sources,
        barred,
        _candidate(artefact, stages, barred.mark is Mark.STOPPED, has, settings.retrieval.total),
        _ranker(stages),
        _cut(artefact, found, item_no),
    ]


@lru_cache(maxsize=1)
def _load(inputs: Inputs) -> StagedScorer:
    """As a worker of the hour did, with one thread, so that the numbers are the same to the last bit."""
    artefact = load_artefact(inputs.artefacts, inputs.artefact_id, verify=False)
    torch.set_num_threads(1)
    catalogue = arrays_of(artefact)
    encoded = EncodedItems.load(inputs.encoded)
    lists = candidate_lists(artefact, inputs.retrieval)
    return StagedScorer(load_usable(inputs.model)[0], encoded, catalogue, lists, inputs.retrieval, inputs.now)


def _list(
    settings: Settings, known: Known, stages: Stages, hour: Hour, current: int, last_active: datetime | None
) -> Step:
    """Whether what follows is about the list that is served."""
    again = f"hour {hour}, scored again from what it read"
    if known.body is None:
        return Step(LIST, Mark.SAID, f"The store has no list of this user; what follows is {again}.")
    if tuple(known.body.item_no.tolist()) == stages.made:
        return Step(LIST, Mark.SAID, f"What follows is {again}. It gives the very list that is served.")
    text = f"What follows is {again}. It gives another list than the one that is served"
    start = window_start(hour.end, settings.features.activity_window_days)
    if last_active is None or (start is not None and last_active < start):
        return Step(LIST, Mark.UNKNOWN, f"{text}: the user was not active then, so an earlier hour's list stands.")
    if known.generation < current:
        kept = f"nothing of the user's has changed since generation {known.generation}, so its list stands"
        return Step(LIST, Mark.UNKNOWN, f"{text}: {kept}.")
    return Step(LIST, Mark.UNKNOWN, f"{text}: settings, files or the machine have changed since, or the row is older.")


def _sources(artefact: Artefact, found: _Scored) -> Iterator[Step]:
    retrieval, stages = found.scorer.retrieval, found.stages
    if stages.nearest is not None:
        live = int(found.scorer.live.sum())
        text = (
            f"Place {stages.nearest + 1:,} of {live:,} by nearness to the user (product {stages.product:.{ROUND}f}); "
        )
        taken = f"the first {retrieval.ann:,} that pass the filter are taken."
        yield _source("ann", stages.ann is not None, text + taken)
    where = "Not among" if stages.co_watched is None else f"Place {stages.co_watched + 1} of"
    text = f"{where} the {retrieval.item_item:,} that whoever watched the same items watched too (item-item model)."
    yield _source("item-item", stages.co_watched is not None, text)
    watched = f"the last {retrieval.watches} watches that the user liked"
    if stages.similar is not None:
        anchor, place = stages.similar
        text = f"Place {place + 1} of those similar to “{artefact.titles[anchor]}”, of {watched}."
        yield _source("similar", True, text)
    else:
        yield _source("similar", False, f"Not among the {retrieval.per_watch} most similar to any of {watched}.")
    for number, weight, read, rank in stages.genres:
        weighs = f"{artefact.genre_names[number]}: weight {weight:.2f}"
        if not read:
            text = f"{weighs}; the heaviest {MAX_GENRES} count, of those above {retrieval.genre_weight:g}."
        elif rank is None:
            text = f"{weighs}, so it counts; not among its {retrieval.per_genre} popular items."
        else:
            text = f"{weighs}, so it counts; place {rank + 1} of its {retrieval.per_genre} popular items."
        yield _source("genre", read and rank is not None, text)
    for name, spot, most in (("trending", stages.trending, retrieval.trending), ("new", stages.new, retrieval.new)):
        text = f"Not among the first {most}." if spot is None else f"Place {spot + 1} of the first {most}."
        yield _source(name, spot is not None, text)


def _source(name: str, has: bool, text: str) -> Step:
    return Step(f"source {name}", Mark.PASSED if has else Mark.STOPPED, text)


def _filter(artefact: Artefact, found: _Scored, item_no: int) -> Step:
    """The rules of scoring, each of which would do alone."""
    limits, scorer = found.filters, found.scorer
    why = (
        (bool((limits.watched[1] == item_no).any()), "it was watched, rated or refused"),
        (not artefact.active[item_no], "it was inactive"),
        (bool(artefact.active[item_no]) and not scorer.live[item_no], "its licence did not run"),
        (
            bool(artefact.maturity[item_no] > limits.maturity_limit[0]),
            f"it is for maturity {artefact.maturity[item_no]}, the user's limit is {limits.maturity_limit[0]}",
        ),
        (not artefact.licensed[item_no] & limits.region_bit[0], "it is not licensed in the user's region"),
    )
    barred = [text for holds, text in why if holds]
    if barred:
        return Step(FILTER, Mark.STOPPED, f"Left out before it was ranked: {'; '.join(barred)}.")
    return Step(FILTER, Mark.PASSED, "Nothing kept it out: watched, inactive, licence, maturity, region.")


def _candidate(artefact: Artefact, stages: Stages, kept_out: bool, has: bool, limit: int) -> Step:
    if stages.candidate is not None:
        place, source, anchor = stages.candidate
        led = f" ({artefact.genre_names[anchor]})" if source == Source.GENRE and anchor != NO_ANCHOR else ""
        text = f"Place {place + 1:,} of {stages.candidates:,}, kept for the source {Source(source).label}{led}."
        return Step(CANDIDATES, Mark.PASSED, text)
    if kept_out:
        return Step(CANDIDATES, Mark.STOPPED, "None, for the filter kept it out.")
    if has:
        return Step(
            CANDIDATES, Mark.STOPPED, f"None: the places in its sources come after the {limit:,} that are taken."
        )
    return Step(CANDIDATES, Mark.STOPPED, f"None: no source had it. The user has {stages.candidates:,} others.")


def _ranker(stages: Stages) -> Step:
    score = f"log-odds {stages.logit:.{ROUND}f} (probability {1 / (1 + np.exp(-stages.logit)):.{ROUND}f})"
    place = f"place {stages.ranked + 1:,} among {stages.candidates:,} candidates"
    if stages.candidate is None:
        return Step(RANKER, Mark.SAID, f"Not asked. It would have said {score}: {place}.")
    return Step(RANKER, Mark.PASSED, f"It said {score}: {place}.")


def _cut(artefact: Artefact, found: _Scored, item_no: int) -> Step:
    stages, retrieval = found.stages, found.scorer.retrieval
    if stages.candidate is None:
        return Step(CUT, Mark.STOPPED, "Not in the list, for it was no candidate.")
    if stages.kept is not None:
        return Step(CUT, Mark.PASSED, f"Place {stages.kept + 1} of {len(stages.made)} in the list.")
    genre, limit = int(artefact.primary_genre[item_no]), max(1, int(retrieval.genre_share * retrieval.list_size))
    if stages.kept_of_genre >= limit and genre != NO_GENRE:
        name = artefact.genre_names[genre]
        text = f"Not in the list: {stages.kept_of_genre} of {name} rank higher, and {limit} may be of one genre."
        return Step(CUT, Mark.STOPPED, text)
    return Step(CUT, Mark.STOPPED, f"Not in the list, which ends with the first {retrieval.list_size} candidates.")
