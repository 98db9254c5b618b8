"""Training, top to bottom: fit on the past, measure on what came after, then fit again on everything."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from conf.settings import Settings
from models import content
from models.batches import ExampleSource, Survey, survey
from models.blend import FEATURES
from models.blend import judge as judge_order
from models.calibration import MIN_SHOWN, calibrate, calibration_error, read_shown
from models.encoding import Catalogue, context_vectors, encode, read_catalogue, to_json
from models.evaluation import Cases, holdout_cases, measure, valid_cases
from models.fit_context import Habits, choose_context
from models.fit_ranker import RankerRun, fit_ranker, new_ranker
from models.fit_tower import TowerFitted, TowerRun, dot_scores, fit_towers
from models.fitting import Fitted, Report, reproducible
from models.item_item import Chosen, ItemItem, fit_item_item, item_item_judge, item_item_scores
from models.measuring import Trial
from models.metrics import summary
from models.modelfiles import Model, cpu, save_model
from models.placement import Placed, place_by_content
from models.promotion import Held
from models.ranker import Ranker
from models.tower import TwoTower
from models.types import Floats

PAST, ALL = ("train",), ("train", "valid", "holdout")
JUDGED = 2000
"""Validation users, at most, whose candidates are put in order."""
PROGRESS = "progress"
"""Folder, inside the model's, of the checkpoints of a training that has not ended."""


@dataclass(frozen=True)
class TrainReport:
    """metrics: of the hold-out, such as "lists.recall@20"; curves: by stage, then loss and validation by epoch;
    calibrated: whether scores are probabilities; seconds: by stage; sha256: of the model's manifest.
    """

    metrics: dict[str, float]
    curves: dict[str, dict[str, list[float]]]
    calibrated: bool
    seconds: dict[str, float]
    sha256: str
    held: Held
    """The hold-out, as it was ranked before the last fit."""


@dataclass
class _Work:
    """What the stages share."""

    source: ExampleSource
    items: pa.Table
    settings: Settings
    catalogue: Catalogue
    tokens: list[str]
    genres: list[str]
    folder: Path
    fingerprint: str
    report: Report
    device: torch.device
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def train(
    source: ExampleSource,
    items: pa.Table,
    holdout: pa.Table,
    settings: Settings,
    out_dir: Path,
    progress: Report | None = None,
) -> TrainReport:
    """Train towers and ranker, and leave the final model in `out_dir`.

    source: see ExampleSource; items: the ITEMS columns, row i being item_no i; holdout: user_id, history, seen,
    relevant (lists of item_no), the profile columns and watches, one row a held-out user; progress: called after
    every epoch. Two phases: on split train with early stopping on valid, measured on the hold-out; then on
    everything, for the epochs found. Killed and called again with the same arguments it goes on from the last
    epoch. The same input, settings, machine and thread count give the same files.
    """
    tokens, genres = content.build_vocabulary(items), content.genre_vocabulary(items)
    work = _Work(
        source,
        items,
        settings,
        read_catalogue(items, tokens, genres),
        tokens,
        genres,
        out_dir / PROGRESS,
        _fingerprint(settings, items, tokens),
        progress or (lambda stage, epoch, said: None),
        torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    with reproducible(settings.training.threads):
        past = survey(source, PAST, len(work.catalogue))
        valid = valid_cases(source, settings.training.history, settings.training.holdout_users)
        fitted, found = _fit(work, PAST, past, valid, None)
        cases = holdout_cases(holdout, settings.training.history, settings.training.holdout_users)
        model, metrics, held = _settled(work, _model(work, fitted, past), past, valid, cases)

        everything = survey(source, ALL, len(work.catalogue))
        last, _ = _fit(work, ALL, everything, None, found)
        last.ranker.blend.copy_(model.ranker.blend)
        last.ranker.calibration.copy_(model.ranker.calibration)
        final = replace(
            _model(work, last, everything),
            order=model.order,
            calibrated=model.calibrated,
            context_term=model.context_term,
            metrics=metrics,
        )
        if final.context_term is not None:
            _habits(work, ALL, everything, final.ranker).give(final.ranker, final.context_term)
        digest = save_model(final, items, out_dir)
    shutil.rmtree(work.folder, ignore_errors=True)
    return TrainReport(metrics, work.curves, model.calibrated, work.seconds, digest, held)


class _Models(NamedTuple):
    tower: TwoTower
    ranker: Ranker
    item_item: ItemItem


class _Found(NamedTuple):
    """What validation chose of each model."""

    tower: TowerFitted
    placed: Placed
    ranker: Fitted
    item_item: Chosen


def _fit(
    work: _Work, splits: Collection[str], seen: Survey, cases: Cases | None, found: _Found | None
) -> tuple[_Models, _Found]:
    """All models on `splits`: with early stopping and choices by `cases`, or as `found` says."""
    phase = "past" if found is None else "all"
    clock = time.monotonic()
    tower, towers = fit_towers(
        TowerRun(work.source, splits, seen, work.catalogue, len(work.tokens), cases, found and found.tower,
                 work.folder / f"tower-{phase}", work.fingerprint),
        work.settings,
        work.device,
        work.report,
    )  # fmt: skip
    tower.requires_grad_(False)
    clock = _took(work, f"tower.{phase}", clock)
    placed = place_by_content(
        tower, work.catalogue, seen.positives, cases, seen.vocabularies, work.settings.seed, found and found.placed
    )
    if placed.tried and found is None:
        said = {"penalty": placed.penalty, "rarity": placed.rarity, "left out": max(placed.tried.values())}
        work.report("placement", 1, said)
    clock = _took(work, f"placement.{phase}", clock)
    ranker = new_ranker(work.settings, seen, len(work.genres)).to(work.device)
    rankers = fit_ranker(
        ranker,
        RankerRun(work.source, splits, seen, work.catalogue, tower, cases, found and found.ranker.epochs,
                  work.folder / f"ranker-{phase}", work.fingerprint),
        work.settings,
        work.report,
    )  # fmt: skip
    clock = _took(work, f"ranker.{phase}", clock)
    judge = item_item_judge(cases, len(work.catalogue)) if cases is not None and len(cases) else None
    item_item, chosen = fit_item_item(work.source, splits, seen, work.settings, judge, found and found.item_item)
    _took(work, f"item_item.{phase}", clock)
    work.curves |= {f"tower.{phase}": towers.curves, f"ranker.{phase}": rankers.curves}
    return _Models(tower, ranker, item_item), _Found(towers, placed, rankers, chosen)


def _model(work: _Work, fitted: _Models, seen: Survey) -> Model:
    """As yet in the towers' order, without contexts, not calibrated and not measured."""
    cpu(fitted.tower)
    cpu(fitted.ranker)
    return Model(
        fitted.tower,
        fitted.ranker,
        work.tokens,
        work.genres,
        seen.vocabularies,
        fitted.item_item,
        FEATURES[0],
        seen.positives,
        work.settings.training.history,
        False,
        None,
        {},
    )


def _settled(
    work: _Work, model: Model, seen: Survey, valid: Cases, cases: Cases
) -> tuple[Model, dict[str, float], Held]:
    """The model with the order and the context term that validation chose, calibrated; of the hold-out its metrics, and
    what the model made of it."""
    clock = time.monotonic()
    trial = Trial(model, encode(model.tower, model.ranker, work.catalogue, model.positives), work.items, work.settings)
    pool = trial.pool(next(valid.chunks(JUDGED))) if len(valid) else None
    metrics = {}
    if pool is not None and len(pool):
        verdict = judge_order(pool)
        model.ranker.blend.copy_(torch.from_numpy(verdict.weights))
        model = replace(model, order=verdict.kind)
        metrics = {f"valid.{name.replace(' ', '_')}.ndcg@20": value for name, value in verdict.judged.items()}
        work.report("order", 1, {verdict.kind: verdict.judged[verdict.kind]})
    clock = _took(work, "order", clock)
    habits = _habits(work, PAST, seen, model.ranker)
    term, judged = choose_context(trial, work.source, work.catalogue.context, habits)
    if term is not None:
        habits.give(model.ranker, term)
    for name, (likelihood, ndcg) in (("without", judged["without"]), ("with", judged[str(term or "without")])):
        metrics |= {f"valid.{name}_context.log_likelihood": likelihood, f"valid.{name}_context.ndcg@20": ndcg}
    work.report("context", 1, {f"with {term}" if term else "without": judged[str(term or "without")][0]})
    calibrated = calibrate(trial, work.source, pool, context_vectors(model.ranker, work.catalogue))
    model = replace(model, context_term=term, calibrated=calibrated)
    clock = _took(work, "context", clock)
    ranked = trial.ranked(cases)
    metrics |= _measure(work, trial.model, seen, cases)
    metrics |= summary(ranked, cases.relevant, "lists") if len(cases) else {}
    shown = None
    if calibrated:
        context = context_vectors(model.ranker, work.catalogue) * float(model.ranker.calibration[0])
        shown = read_shown(trial, work.source, "holdout", context)
        metrics |= {"shown.calibration_error": calibration_error(shown)} if len(shown) >= MIN_SHOWN else {}
    _took(work, "measure", clock)
    return model, metrics, Held(ranked, cases, seen.positives, shown)


def _habits(work: _Work, splits: Collection[str], seen: Survey, ranker: Ranker) -> Habits:
    return Habits.read(work.source, splits, seen, work.catalogue.context, ranker)


def _measure(work: _Work, model: Model, seen: Survey, cases: Cases) -> dict[str, float]:
    """Popularity on the same examples; towers and item-item model alone, over the whole catalogue."""
    counts = seen.positives.astype(np.float32)

    def popularity(part: Cases) -> Floats:
        return np.tile(counts, (len(part), 1))

    metrics = measure(cases, popularity, "popularity")
    metrics |= measure(cases, dot_scores(model.tower, work.catalogue, model.vocabularies), "two_tower")
    return metrics | measure(cases, item_item_scores(model.item_item, len(work.catalogue)), "item_item")


def _took(work: _Work, stage: str, since: float) -> float:
    now = time.monotonic()
    work.seconds[stage] = now - since
    return now


def _fingerprint(settings: Settings, items: pa.Table, tokens: list[str]) -> str:
    """Of all that decides the shapes and the course of a training, so that no other one's checkpoint is taken up."""
    parts = {
        name: json.loads(getattr(settings, name).model_dump_json())
        for name in ("training", "tower", "ranker", "item_item")
    }
    parts |= {"seed": settings.seed, "items": items.num_rows, "tokens": tokens}
    return hashlib.sha256(to_json(parts).encode()).hexdigest()
