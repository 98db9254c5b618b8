"""Training of the ranker on finished towers: a listwise loss over positives, a pointwise one over impressions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from conf.settings import Settings
from models.batches import MAX_POSITION, Examples, ExampleSource, Survey, profile_numbers, stream
from models.encoding import Catalogue, item_side, tower_items
from models.evaluation import Cases, mask, top_items
from models.fit_tower import user_vectors
from models.fitting import Fitted, Plan, Report, fit
from models.metrics import summary
from models.ranker import ItemSide, Ranker, RankerShape, UserSide, genre_shares, parameter_groups
from models.tower import TwoTower
from models.types import PROFILE_FIELDS, Floats, Ints, Longs

HARD_POOL = 200
"""Hard negatives are drawn from this many items that the towers rank highest."""
SEARCHED = 8_192
"""Items searched for hard negatives in a step; of a larger catalogue a random part."""
RERANKED = 500
"""Items, the towers' best, that are ranked anew in validation."""
WEIGHT_DECAY = 0.01


@dataclass(frozen=True)
class RankerRun:
    """One fit: on which splits, for how many epochs. `cases` None: no early stopping."""

    source: ExampleSource
    splits: Collection[str]
    survey: Survey
    catalogue: Catalogue
    tower: TwoTower
    cases: Cases | None
    epochs: int | None
    folder: Path
    fingerprint: str


def new_ranker(settings: Settings, survey: Survey, genres: int) -> Ranker:
    """An untrained ranker, which ranks as the towers do; the same settings and data give the same weights."""
    shape = RankerShape(
        settings.tower.dim,
        genres,
        tuple(len(survey.vocabularies[name]) for name in PROFILE_FIELDS),
        1 + len(survey.vocabularies["page"]),
        MAX_POSITION + 1,
        settings.ranker.hidden,
        settings.ranker.dropout,
    )
    torch.manual_seed(settings.seed + 1)
    return Ranker(shape)


def fit_ranker(ranker: Ranker, run: RankerRun, settings: Settings, report: Report) -> Fitted:
    """Train `ranker` in place. With cases it ends with the best weights, the untrained ones among them."""
    limit = min(run.survey.examples, settings.ranker.examples_per_epoch)
    per_epoch = max(1, -(-limit // settings.ranker.batch))
    plan = Plan(
        stage="ranker" if run.cases else "ranker.final",
        steps=per_epoch * settings.ranker.epochs,
        stop=run.epochs if run.epochs is not None else settings.ranker.epochs,
        patience=settings.ranker.patience,
        learning_rate=settings.ranker.learning_rate,
    )
    optimiser = torch.optim.AdamW(list(parameter_groups(ranker, WEIGHT_DECAY)), lr=0)
    step = RankerStep(ranker, run, settings)

    def losses(epoch: int) -> Iterator[Tensor]:
        rng = np.random.default_rng([settings.seed, 3, epoch])
        batches = stream(
            run.source,
            run.splits,
            run.survey.vocabularies,
            settings.training.history,
            settings.ranker.batch,
            [settings.seed, 4, epoch],
            limit=settings.ranker.examples_per_epoch,
            skip=epoch * settings.ranker.examples_per_epoch % max(run.survey.examples, 1),
        )
        found = (step.loss(batch, rng) for batch in batches)
        return (loss for loss in found if loss is not None)

    judge = Judge(step, run.cases, run.survey.vocabularies) if run.cases is not None and len(run.cases) else None
    return fit(
        ranker, optimiser, plan, losses, judge.ndcg if judge else None, run.folder, run.fingerprint, settings.seed,
        report,
    )  # fmt: skip


class RankerStep:
    """The loss of one batch, with the towers as they are."""

    def __init__(self, ranker: Ranker, run: RankerRun, settings: Settings) -> None:
        self.ranker, self.settings = ranker, settings
        self.tower = run.tower.eval()
        self.inputs, vectors = tower_items(run.tower, run.catalogue)
        self.side = item_side(vectors, run.catalogue, run.survey.positives)
        self.device = vectors.device

    def loss(self, batch: Examples, rng: np.random.Generator) -> Tensor | None:
        """Listwise loss of the positives, plus the pointwise loss of the impressions; None if there are neither."""
        parts = []
        positives = batch.take((batch.label == 1) & ~batch.impression & (batch.weight > 0))
        if len(positives):
            parts.append(self.listwise(positives, batch.item_no[(batch.label == 0) & ~batch.impression], rng))
        shown = batch.take(batch.impression)
        if len(shown):
            parts.append(self.pointwise(shown))
        return torch.stack(parts).sum() if parts else None

    def listwise(self, batch: Examples, sampled: Longs, rng: np.random.Generator) -> Tensor:
        """Cross-entropy of the watched item among negatives, hard and easy.

        Each negative's logit is lowered by the log of how often it was to be expected, so that the loss estimates
        the softmax over the whole catalogue and hard negatives do not teach that a high inner product is bad.
        """
        user = self.user_side(batch)
        n, m = len(self.side.popularity), len(batch)
        hard_count, easy_count = self.settings.ranker.hard_negatives, self.settings.ranker.easy_negatives
        hard, border, chance = self.hard_negatives(user, batch, hard_count, rng)
        stored = sampled if len(sampled) else rng.integers(0, n, 1024)
        easy = self._to(stored[rng.integers(0, len(stored), (m, easy_count))])
        items = torch.cat([self._to(batch.item_no)[:, None], hard, easy], 1)
        there = torch.zeros(n, dtype=torch.bool, device=self.device)
        there[items] = True
        distinct, places = there.nonzero()[:, 0], (there.cumsum(0) - 1)[items]
        dot, deep = self.ranker.deep_at(user, self.dropped(self.side.take(distinct), rng), places)
        expected = easy_count / n + torch.where(dot >= border[:, None], chance, 0.0)
        correction = expected.log()
        correction[:, 0] = 0
        correction[:, 1:] += torch.where(items[:, 1:] == items[:, :1], 1e9, 0.0)
        logits = deep - correction
        weight = self._to(batch.weight)
        losses = F.cross_entropy(logits, torch.zeros(m, dtype=torch.long, device=self.device), reduction="none")
        return (losses * weight).sum() / weight.sum()

    def pointwise(self, batch: Examples) -> Tensor:
        """Log loss of what was shown, with a bias for the position it was shown at, which scoring leaves out."""
        side = self.side.take(self._to(batch.item_no)[:, None])
        logits = self.ranker.deep(self.user_side(batch), side)[:, 0]
        logits = logits + self.ranker.position(self._to(batch.position))[:, 0] + self.ranker.base
        losses = F.binary_cross_entropy_with_logits(logits, self._to(batch.label), reduction="none")
        weight = self._to(batch.weight)
        return (losses * weight).sum() / weight.sum().clamp(min=1e-6)

    @torch.no_grad()
    def hard_negatives(
        self, user: UserSide, batch: Examples, count: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, float]:
        """(m, count) items out of those the towers rank highest and the user has not watched.

        Also the inner product (m,) from which on items were drawn, and how often one of them was to be expected.
        """
        n = len(self.side.popularity)
        searched = np.sort(rng.choice(n, min(n, SEARCHED), replace=False))
        width = max(1, min(HARD_POOL, n) * len(searched) // n)
        dot = user.vectors @ self.side.vectors[self._to(searched)].T
        place = np.full(n + 1, len(searched))
        place[searched] = np.arange(len(searched))
        watched = np.concatenate([batch.history, batch.item_no[:, None]], 1)
        wide = F.pad(dot, (0, 1)).scatter_(1, self._to(place[watched]), -torch.inf)[:, :-1]
        best = wide.topk(width, dim=1)
        drawn = self._to(rng.integers(0, width, (len(batch), count)))
        found = self._to(searched)[best.indices.gather(1, drawn)]
        return found, best.values[:, -1], count / min(HARD_POOL, n)

    @torch.no_grad()
    def user_side(self, batch: Examples) -> UserSide:
        history, profile, watches = (self._to(a) for a in (batch.history, batch.profile, batch.watches))
        vectors = self.tower.users(self.inputs, history.long(), profile, watches)
        return UserSide(vectors, genre_shares(history.long(), self.side.genres), profile, watches)

    def dropped(self, side: ItemSide, rng: np.random.Generator) -> ItemSide:
        """`side` with some popularities unknown."""
        keep = self._to((rng.random(tuple(side.popularity.shape)) >= self.ranker.popularity_dropout).astype(np.float32))
        return ItemSide(side.vectors, side.genres, side.popularity * keep, side.popularity_known * keep, side.years)

    def _to(self, array: Longs | Floats | Ints) -> Tensor:
        return torch.from_numpy(array).to(self.device)


class Judge:
    """How well the towers' best items are ranked anew, over validation cases."""

    def __init__(self, step: RankerStep, cases: Cases, vocabularies: dict[str, list[str]]) -> None:
        self.step, self.cases = step, cases
        self.parts: list[tuple[UserSide, Tensor]] = []
        for part in cases.chunks(512):
            vectors = user_vectors(step.tower, step.inputs, part, vocabularies)
            scores = mask((vectors @ step.side.vectors.T).cpu().numpy(), part.seen)
            best = torch.from_numpy(top_items(scores, RERANKED).astype(np.int64)).to(step.device)
            shares = genre_shares(
                torch.from_numpy(part.users.history.astype(np.int64)).to(step.device), step.side.genres
            )
            profile = torch.from_numpy(profile_numbers(part.users.profile, vocabularies)).to(step.device)
            watches = torch.from_numpy(part.users.watches).to(step.device)
            self.parts.append((UserSide(vectors, shares, profile, watches), best))

    @torch.no_grad()
    def logits(self) -> Iterator[tuple[Tensor, Tensor]]:
        """For each chunk the items (B, C), -1 padded, and their deep logits, -inf where padded."""
        self.step.ranker.eval()
        for user, items in self.parts:
            _, deep = self.step.ranker.deep_at(user, self.step.side, items.clamp(min=0))
            yield items, torch.where(items >= 0, deep, -torch.inf)

    def ndcg(self) -> float:
        """Mean NDCG@20 of the items in the ranker's order."""
        ranked = []
        for items, deep in self.logits():
            order = deep.sort(dim=1, descending=True, stable=True).indices[:, :50]
            ranked.append(items.gather(1, order).cpu().numpy().astype(np.int32))
        return summary(np.concatenate(ranked), self.cases.relevant, "valid")["valid.ndcg@20"]
