"""Training of the towers: one fit by each encoder of histories, and validation says which of them is used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from conf.settings import Settings
from models.batches import ExampleSource, Survey, profile_numbers
from models.encoding import Catalogue, tower_items
from models.evaluation import Cases, measure
from models.factors import item_factors
from models.fitting import Fitted, Plan, Report, fit
from models.metrics import KS
from models.sequences import Sequences, read_sequences, steps, windows
from models.tower import RATES, SEQUENCE, TowerShape, TwoTower
from models.tower_loss import TowerStep
from models.types import PROFILE_FIELDS, Floats, Longs

VALID_MEASURE = f"valid.ndcg@{KS[1]}"
POOLED_USERS = 256
"""Histories in a step of the pooled encoder, each with all its items as targets."""
SHRINK = 5.0
"""A token of few items starts nearer to zero: as if it were also in this many items that tell nothing."""


@dataclass(frozen=True)
class TowerFitted(Fitted):
    """encoder: the one used; curves: its own, and "ENCODER.valid" of the one that was not."""

    encoder: str


@dataclass(frozen=True)
class TowerRun:
    """One training: on which splits. tokens: size of the content vocabulary.

    cases: what chooses the encoder and when to stop; None: as `found`, by its encoder for its epochs.
    """

    source: ExampleSource
    splits: Collection[str]
    survey: Survey
    catalogue: Catalogue
    tokens: int
    cases: Cases | None
    found: TowerFitted | None
    folder: Path
    fingerprint: str


def fit_towers(run: TowerRun, settings: Settings, device: torch.device, report: Report) -> tuple[TwoTower, TowerFitted]:
    """The trained towers, by the encoder that validation prefers; the first of RATES where nothing tells."""
    sequences = read_sequences(
        run.source, run.splits, run.survey.vocabularies, run.survey.positive_examples, settings.tower.examples_kept
    )
    factors = item_factors(sequences, len(run.catalogue), settings.tower.dim, settings.seed)
    judged = run.cases is not None and len(run.cases) > 0
    encoders = [run.found.encoder] if run.found else list(RATES) if judged else [SEQUENCE]
    towers, fits = {}, {}
    for encoder in encoders:
        tower = new_tower(settings, run.survey, len(run.catalogue), run.tokens, encoder)
        start_from_factors(tower, run.catalogue, factors, run.survey.positives)
        towers[encoder] = tower.to(device)
        fits[encoder] = fit_tower(towers[encoder], run, sequences, settings, report)
    best = max(encoders, key=lambda encoder: max(fits[encoder].curves.get("valid", [0.0])))
    others = {f"{name}.valid": fits[name].curves["valid"] for name in encoders if name != best}
    return towers[best], TowerFitted(fits[best].epochs, fits[best].curves | others, best)


def new_tower(settings: Settings, survey: Survey, items: int, tokens: int, encoder: str) -> TwoTower:
    """An untrained tower; the same settings and data give the same weights."""
    shape = TowerShape(
        items,
        tokens,
        tuple(len(survey.vocabularies[name]) for name in PROFILE_FIELDS),
        settings.tower.dim,
        settings.tower.hidden,
        settings.tower.dropout,
        encoder,
    )
    torch.manual_seed(settings.seed)
    return TwoTower(shape)


@torch.no_grad()
def start_from_factors(tower: TwoTower, catalogue: Catalogue, factors: Tensor, watched: Longs) -> None:
    """Let item vectors begin as the factors (n, d): a token as the mean of its items, an id as the rest.

    watched (n,): how often each item was. What nobody watched has no id, and is its content alone.
    """
    there = torch.from_numpy((watched > 0).astype(np.float32))
    start = factors / factors[there > 0].norm(dim=1).mean().clamp(min=1e-6) if there.any() else factors
    if tower.shape.tokens:
        ids, offsets = torch.from_numpy(catalogue.bags.ids), torch.from_numpy(catalogue.bags.offsets)
        owner = torch.repeat_interleave(torch.arange(len(catalogue)), offsets.diff())
        total = torch.zeros_like(tower.tokens.weight).index_add_(0, ids, start[owner])
        count = torch.zeros(len(total)).index_add_(0, ids, there[owner])
        tower.tokens.weight.copy_(total / (count + SHRINK)[:, None])
        start = start - tower.tokens(ids, offsets[:-1])
    tower.ids.weight.copy_(start * there[:, None])


def fit_tower(tower: TwoTower, run: TowerRun, sequences: Sequences, settings: Settings, report: Report) -> Fitted:
    """Train `tower` in place; afterwards it holds the best weights of the run."""
    ordered = tower.shape.encoder == SEQUENCE
    step = TowerStep(tower, run.catalogue, run.survey.positives, sequences, settings)
    examples = int(sequences.target.sum()) if ordered else len(sequences.profile)
    per_pass, passes = passes_and_steps(settings, examples, settings.tower.batch if ordered else POOLED_USERS)
    plan = Plan(
        stage=f"tower.{tower.shape.encoder}" if run.cases else "tower.final",
        steps=per_pass * passes * settings.tower.epochs,
        stop=run.found.epochs if run.found else settings.tower.epochs,
        patience=settings.tower.patience,
        learning_rate=settings.tower.learning_rate,
    )
    optimiser = torch.optim.AdamW(tower.parameters(), lr=0, weight_decay=settings.tower.weight_decay)

    def losses(epoch: int) -> Iterator[Tensor]:
        for number in range(epoch * passes, (epoch + 1) * passes):
            rng = np.random.default_rng([settings.seed, 1, number])
            found = windows(sequences, settings.training.history, rng)
            size = step.targets(found) if ordered else np.ones(len(found), np.int64)
            for part in steps(found, size, per_pass, settings.tower.examples_per_epoch, rng):
                yield step.loss(step.batch(part, rng))

    validate: Callable[[], float] | None = None
    if run.cases is not None and len(run.cases):
        cases = run.cases

        def validate() -> float:
            return measure(cases, dot_scores(tower, run.catalogue, run.survey.vocabularies), "valid")[VALID_MEASURE]

    folder = run.folder / tower.shape.encoder
    return fit(tower, optimiser, plan, losses, validate, folder, run.fingerprint, settings.seed, report)


def passes_and_steps(settings: Settings, examples: int, batch: int) -> tuple[int, int]:
    """Steps of a pass over the examples, and passes in an epoch: small data gets more, for settings.tower.min_steps."""
    tower = settings.tower
    per_pass = max(1, -(-min(examples, tower.examples_per_epoch) // batch))
    return per_pass, max(1, -(-tower.min_steps // (per_pass * tower.epochs)))


def dot_scores(tower: TwoTower, catalogue: Catalogue, vocabularies: dict[str, list[str]]) -> Callable[[Cases], Floats]:
    """A scorer of cases by the towers' inner product with every item, (B, n)."""
    inputs, vectors = tower_items(tower, catalogue)

    def score(cases: Cases) -> Floats:
        return (user_vectors(tower, inputs, cases, vocabularies) @ vectors.T).cpu().numpy()

    return score


@torch.no_grad()
def user_vectors(tower: TwoTower, inputs: Tensor, cases: Cases, vocabularies: dict[str, list[str]]) -> Tensor:
    """(B, d) vectors of the cases' users; inputs (n, d) of all items."""
    users, device = cases.users, inputs.device
    return tower.users(
        inputs,
        torch.from_numpy(users.history.astype(np.int64)).to(device),
        torch.from_numpy(profile_numbers(users.profile, vocabularies)).to(device),
        torch.from_numpy(users.watches).to(device),
    )
