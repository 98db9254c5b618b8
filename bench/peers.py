"""What a recommender is compared with: popularity, item-kNN and EASE-R, and how parameters are chosen for a peer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench.relevance.splits import Kind, Split, Training, validation
from models.evaluation import TOP, mask, top_items
from models.metrics import summary
from models.types import Floats, Ints, Longs

Scores = Callable[[Longs], Floats]
"""(B, n) scores of every item for the users (B,); higher is better."""
Params = Mapping[str, float]
CHUNK = 256
"""Users scored at once."""
MAX_SQUARE = 30_000
"""Items, the most watched ones, that a peer with an item × item matrix may hold: 3.6 GB of it."""
CHOSEN_BY = "ndcg@20"
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Peer:
    """fit: from the training part, parameters and a seed; grid: parameters to choose from; seeded: if seeds matter."""

    name: str
    fit: Callable[[Training, Params, int], Scores]
    grid: Sequence[Params] = ({},)
    seeded: bool = False


def chosen(peer: Peer, training: Training, kind: Kind, seed: int) -> Params:
    """The parameters of the grid with the best NDCG@20 on a validation slice of the training part."""
    if len(peer.grid) == 1:
        return peer.grid[0]
    inner = validation(training, kind)
    found = []
    for params in peer.grid:
        ranked = rank(inner, peer.fit(inner.training, params, seed))
        found.append(summary(ranked, inner.relevant, "valid")[f"valid.{CHOSEN_BY}"])
    return peer.grid[int(np.argmax(found))]


def rank(split: Split, scores: Scores, k: int = TOP) -> Ints:
    """(T, k) item_no of the measured users' best of the ranked items, -1 padded; equal scores by item_no.

    No training positive is among them. Whoever has none gets what is popular, whatever the scores say.
    """
    popular = split.training.counts.astype(np.float32)
    parts = []
    for start in range(0, len(split.measured), CHUNK):
        users = split.measured[start : start + CHUNK]
        seen = split.training.seen(users)
        given = np.where((np.diff(seen[0]) > 0)[:, None], scores(users), popular).astype(np.float32)
        given = np.where(split.among, given, np.float32(-np.inf))
        parts.append(padded(top_items(mask(given, seen), k), k))
    return np.concatenate(parts) if parts else np.zeros((0, k), np.int32)


def padded(ranked: Ints, k: int) -> Ints:
    """(B, k) with -1 at the end of rows that are shorter."""
    return np.pad(ranked, ((0, 0), (0, k - ranked.shape[1])), constant_values=-1)


def popularity(training: Training, params: Params, seed: int) -> Scores:
    """How many users have the item."""
    counts = training.counts.astype(np.float32)
    return lambda users: np.tile(counts, (len(users), 1))


def recent_popularity(training: Training, params: Params, seed: int) -> Scores:
    """Positives of the last `days` days before the newest one of all."""
    fresh = training.times > training.times.max(initial=0) - params["days"] * DAY_US
    counts = np.bincount(training.items[fresh], minlength=training.n).astype(np.float32)
    return lambda users: np.tile(counts, (len(users), 1))


def item_knn(training: Training, params: Params, seed: int) -> Scores:
    """Sum over the history of the cosine with the item, of its `neighbours` most similar items alone.

    Sarwar et al., "Item-based collaborative filtering recommendation algorithms", 2001, on binary data.
    """
    return linear(training, *knn_weights(training, params))


def knn_weights(training: Training, params: Params) -> tuple[Longs, Floats]:
    """Items (h,), and (h, h) what having one of them adds to the score of each."""
    held = most_watched(training)
    pairs = gram(training, held)
    norm = np.sqrt(np.diag(pairs))
    cosine = np.asarray(pairs / norm[:, None] / norm, np.float32)
    np.fill_diagonal(cosine, 0)
    near = top_items(cosine, int(params["neighbours"]))
    kept = np.zeros_like(cosine)
    rows = np.arange(len(held))[:, None]
    kept[near, rows] = cosine[rows, near]
    return held, kept


def ease(training: Training, params: Params, seed: int) -> Scores:
    """Steck, "Embarrassingly shallow autoencoders for sparse data", 2019: closed form, with ridge `l2`."""
    return linear(training, *ease_weights(training, params))


def ease_weights(training: Training, params: Params) -> tuple[Longs, Floats]:
    """As knn_weights."""
    held = most_watched(training)
    pairs = gram(training, held)
    pairs[np.diag_indices(len(held))] += params["l2"]
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(torch.from_numpy(pairs))).numpy()
    weights = np.asarray(inverse / -np.diag(inverse), np.float32)
    np.fill_diagonal(weights, 0)
    return held, weights


def most_watched(training: Training) -> Longs:
    """item_no, ascending, of the items with a positive: of the MAX_SQUARE most watched, where there are more."""
    order = np.argsort(-training.counts, kind="stable")[: min(MAX_SQUARE, np.count_nonzero(training.counts))]
    return np.sort(order)


def gram(training: Training, held: Longs) -> Floats:
    """(h, h) how many users have both of two of the items `held` (h,); on the diagonal, how many have one."""
    found = _sparse(training, np.arange(training.users), held)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        pairs = torch.sparse.mm(found.t(), found)
    return np.asarray(pairs.to_dense().numpy(), np.float32)


def linear(training: Training, held: Longs, weights: Floats) -> Scores:
    """Scores by history (B, h) × weights (h, h), 0 for items that are not held."""
    table = torch.from_numpy(np.ascontiguousarray(weights))

    def scores(users: Longs) -> Floats:
        found = np.zeros((len(users), training.n), np.float32)
        found[:, held] = torch.sparse.mm(_sparse(training, users, held), table).numpy()
        return found

    return scores


def _sparse(training: Training, users: Longs, held: Longs) -> torch.Tensor:
    """(B, h) 1 where the user has the item."""
    offsets, items = training.seen(users)
    place = np.full(training.n, -1, np.int64)
    place[held] = np.arange(len(held))
    rows, columns = np.repeat(np.arange(len(users)), np.diff(offsets)), place[items]
    there = columns >= 0
    index = torch.from_numpy(np.stack([rows[there], columns[there]]))
    return torch.sparse_coo_tensor(index, torch.ones(index.shape[1]), (len(users), len(held)), check_invariants=False)


OWN = (
    Peer("popularity", popularity),
    Peer("recent popularity", recent_popularity, [{"days": days} for days in (30, 90, 365, 1825)]),
    Peer("item-kNN", item_knn, [{"neighbours": 100}]),
    Peer("EASE-R", ease, [{"l2": 200}]),
)
REFERENCE = OWN[-1].name
"""What everybody else is compared with."""
