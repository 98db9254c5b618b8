"""Sparse matrices times dense ones, by torch's embedding bags: the same input gives the same bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.types import Floats, Longs


@dataclass(frozen=True)
class Sparse:
    """A sparse matrix by rows: row r holds values[offsets[r]:offsets[r + 1]] in those columns."""

    offsets: Tensor
    columns: Tensor
    values: Tensor

    @classmethod
    def of(cls, counts: Longs, columns: Longs, values: Floats) -> Sparse:
        """counts: entries of each row; columns and values of all entries, row by row."""
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(torch.from_numpy(offsets), torch.from_numpy(columns), torch.from_numpy(values))

    def __matmul__(self, dense: Tensor) -> Tensor:
        return F.embedding_bag(
            self.columns, dense, self.offsets, mode="sum", per_sample_weights=self.values, include_last_offset=True
        )
