"""Where item vectors start: the leading factors of who watched what."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from models.sequences import Sequences
from models.sparse import Sparse

SPARE = 16
"""Directions carried beside those wanted, which makes these exact enough."""
POWERS = 4


def item_factors(sequences: Sequences, n: int, dim: int, seed: int) -> Tensor:
    """(n, dim) right singular vectors times singular values of the degree-normalised matrix users × items.

    Zeros for items nobody watched, and in directions beyond the matrix's rank. Randomised subspace iteration after
    Halko, Martinsson and Tropp, "Finding structure with randomness", 2011, algorithm 4.4. On the CPU; the same input
    gives the same bytes.
    """
    matrix, back = _normalised(sequences, n)
    width = min(dim + SPARE, len(sequences.offsets) - 1, n)
    if not width:
        return torch.zeros(n, dim)
    start = np.random.default_rng([seed, 5]).standard_normal((n, width)).astype(np.float32)
    basis = torch.linalg.qr(matrix @ torch.from_numpy(start))[0]
    for _ in range(POWERS):
        basis = torch.linalg.qr(matrix @ torch.linalg.qr(back @ basis)[0])[0]
    values, right = torch.linalg.svd(back @ basis, full_matrices=False)[1::-1]
    kept = min(dim, width)
    factors = torch.zeros(n, dim)
    factors[:, :kept] = right[:, :kept] * values[:kept]
    # A singular vector's sign is anyone's choice.
    return factors * torch.where(factors.sum(0) < 0, -1.0, 1.0)


def _normalised(sequences: Sequences, n: int) -> tuple[Sparse, Sparse]:
    """(U, n) 1 / sqrt(items of the user · users of the item) where the user watched the item; and its transpose."""
    users = len(sequences.offsets) - 1
    owner = np.repeat(np.arange(users, dtype=np.int64), np.diff(sequences.offsets))
    pairs = np.unique(owner * n + sequences.items)
    owner, item = pairs // n, pairs % n
    of_user, of_item = np.bincount(owner, minlength=users), np.bincount(item, minlength=n)
    values = (1 / np.sqrt(of_user[owner] * of_item[item])).astype(np.float32)
    order = np.argsort(item, kind="stable")
    return Sparse.of(of_user, item, values), Sparse.of(of_item, owner[order], values[order])
