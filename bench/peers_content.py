"""What ranks items that nobody watched: how popular their genres are, and what the user watched of their kind."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from bench.peers import Params, Peer, Scores, popularity
from bench.relevance.splits import Training
from models.types import Floats, Longs

ALL = np.inf


def genre_popularity(training: Training, params: Params, seed: int) -> Scores:
    """Mean over the item's genres of how many users have an item of the genre, of items that anybody has."""
    watched, genres = training.counts > 0, training.about.genres
    of_genre = training.counts @ genres / np.maximum(watched @ genres, 1)
    means = genres @ of_genre / np.maximum(genres.sum(1), 1)
    scores = means.astype(np.float32)
    return lambda users: np.tile(scores, (len(users), 1))


def content_knn(training: Training, params: Params, seed: int) -> Scores:
    """Sum of the cosines with the `neighbours` items of the history most like the item, for items nobody has, else 0.

    By TF-IDF of the tokens that models know of an item, each of which it has once; what all of a catalogue has says
    nothing.
    """
    table = tf_idf(training)
    new = np.flatnonzero(training.counts == 0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        rows = table.index_select(0, torch.from_numpy(new)).coalesce().to_sparse_csr()

    def one(user: int) -> Floats:
        history = training.seen(np.array([user]))[1].astype(np.int64)
        own = table.index_select(0, torch.from_numpy(history)).to_dense().T.contiguous()
        cosines = rows @ own
        width = int(min(params["neighbours"], len(history)))
        return np.asarray(cosines.topk(width, dim=1).values.sum(1).numpy(), np.float32)

    def scores(users: Longs) -> Floats:
        found = np.zeros((len(users), training.n), np.float32)
        for row, user in enumerate(users.tolist()):
            found[row, new] = one(user)
        return found

    return scores


def tf_idf(training: Training) -> torch.Tensor:
    """(n, T) sparse, rows of length 1, or 0 without tokens; of a token in m of n items log(n / m)."""
    tokens = training.about.tokens
    owner = np.repeat(np.arange(training.n), np.diff(tokens.offsets))
    rarity = np.log(training.n / np.maximum(np.bincount(tokens.ids), 1))
    weight = rarity[tokens.ids]
    length = np.sqrt(np.bincount(owner, weight**2, minlength=training.n))
    weight = (weight / np.maximum(length[owner], 1e-9)).astype(np.float32)
    index = torch.from_numpy(np.stack([owner, tokens.ids]))
    return torch.sparse_coo_tensor(
        index, torch.from_numpy(weight), (training.n, max(len(rarity), 1)), check_invariants=False
    )


OF_NEW_ITEMS = (
    Peer("popularity", popularity),
    Peer("genre popularity", genre_popularity),
    Peer("content-kNN", content_knn, [{"neighbours": count} for count in (1, 5, 20, 100, ALL)]),
)
REFERENCE = OF_NEW_ITEMS[-1].name
