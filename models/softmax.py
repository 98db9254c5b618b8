"""The softmax over items, worked through in slices whose logits stay in the processor's cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SLICE_BYTES = 4 << 20


class _Loss(torch.autograd.Function):
    """Gradients are worked out with the loss, in place in the logits, which are never kept."""

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, rows: Tensor, cols: Tensor, correction: Tensor) -> Tensor:
        m, n = len(users), len(items)
        height = max(1, SLICE_BYTES // (4 * n))
        counts = torch.bincount(rows, minlength=m)
        bounds = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).tolist()
        share = 1 / (counts.clamp(min=1) * max(int((counts > 0).sum()), 1)).to(users.dtype)
        total = users.new_zeros(())
        grad_users, grad_items = torch.empty_like(users), torch.zeros_like(items)
        for start in range(0, m, height):
            stop = min(start + height, m)
            own, at = rows[bounds[start] : bounds[stop]] - start, cols[bounds[start] : bounds[stop]]
            weight = share[start:stop][own]
            logits = users[start:stop] @ items.T
            logits -= correction
            wanted = logits[own, at] + correction[at]
            logits[own, at] = wanted
            lse = logits.logsumexp(1)
            total += (weight * (lse[own] - wanted)).sum()
            logits -= lse[:, None]
            logits.exp_()
            logits *= (share[start:stop] * counts[start:stop])[:, None]
            logits[own, at] -= weight
            torch.mm(logits, items, out=grad_users[start:stop])
            grad_items.addmm_(logits.T, users[start:stop])
        ctx.save_for_backward(grad_users, grad_items)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_users, grad_items = ctx.saved_tensors
        return grad_users * upstream[0], grad_items * upstream[0], None, None, None


def softmax_loss(users: Tensor, items: Tensor, rows: Tensor, cols: Tensor, correction: Tensor) -> Tensor:
    """Mean over users of the mean cross-entropy of their targets among the items.

    users (m, d), items (n, d); target number t is item cols[t] of user rows[t], rows ascending, no pair twice;
    correction (n,): taken from the logit of an item wherever it is not the target, the log of the chance of it to
    be among the items, which makes the sum over them an unbiased guess of the sum over a whole catalogue (Bengio
    and Senécal, "Adaptive importance sampling", 2008; Yi et al., 2019). Users without a target do not count.
    """
    loss: Tensor = _Loss.apply(users, items, rows, cols, correction)
    return loss
