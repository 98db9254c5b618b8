"""Matrix factorisation peers of the package implicit, which the extra `bench` installs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from bench.peers import Params, Peer, Scores
from bench.relevance.splits import Training


def als(training: Training, params: Params, seed: int) -> Scores:
    """Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets", 2008."""
    return _fitted(
        lambda: AlternatingLeastSquares(
            int(params["factors"]), regularization=params["l2"], alpha=params["alpha"], random_state=seed
        ),
        training,
    )


def bpr(training: Training, params: Params, seed: int) -> Scores:
    """Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback", 2009."""
    # More than one thread would make a result that no seed repeats.
    return _fitted(
        lambda: BayesianPersonalizedRanking(
            int(params["factors"]), learning_rate=params["rate"], regularization=params["l2"],
            iterations=int(params["iterations"]), num_threads=1, random_state=seed,
        ),
        training,
    )  # fmt: skip


def _fitted(make: Callable[[], Any], training: Training) -> Scores:
    shape = (training.users, training.n)
    rows = csr_matrix((np.ones(len(training.items), np.float32), training.items, training.offsets), shape)
    # It has threads of its own, and warns of those of BLAS.
    with threadpool_limits(1, "blas"):
        model = make()
        model.fit(rows, show_progress=False)
    users, items = np.asarray(model.user_factors), np.asarray(model.item_factors)
    return lambda wanted: users[wanted] @ items.T


PEERS = (
    Peer(
        "ALS",
        als,
        [
            {"factors": factors, "l2": l2, "alpha": alpha}
            for factors, l2, alpha in ((64, 0.05, 5), (64, 0.05, 20), (64, 1, 5), (32, 1, 5), (128, 1, 5))
        ],
        seeded=True,
    ),
    Peer(
        "BPR",
        bpr,
        [
            {"factors": 64, "rate": rate, "l2": l2, "iterations": iterations}
            for rate, l2, iterations in ((0.01, 0.01, 100), (0.05, 0.01, 100), (0.05, 0.01, 300), (0.05, 0.05, 300))
        ],
        seeded=True,
    ),
)
