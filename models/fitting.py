"""The loop that both models are trained by: warm-up and cosine, early stopping, a checkpoint every epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models import checkpoints

WARM_UP = 0.1
"""Share of the steps over which the learning rate rises; then it falls as a cosine."""
Report = Callable[[str, int, dict[str, float]], None]
"""Called after every epoch with the stage, the number of finished epochs, and what was measured."""


@dataclass(frozen=True)
class Plan:
    """`steps`, of all epochs together, shape the learning rate; training ends after `stop` epochs."""

    stage: str
    steps: int
    stop: int
    patience: int
    learning_rate: float
    clip: float = 5.0


@dataclass(frozen=True)
class Fitted:
    """epochs: those of the weights that the model now has; curves: by epoch."""

    epochs: int
    curves: dict[str, list[float]]


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate at a step."""
    warm = max(1, int(steps * WARM_UP))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))


def fit(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    plan: Plan,
    losses: Callable[[int], Iterator[Tensor]],
    validate: Callable[[], float] | None,
    folder: Path,
    fingerprint: str,
    seed: int,
    report: Report,
) -> Fitted:
    """Train until plan.stop epochs, or until plan.patience epochs bring no better score.

    losses: the loss of each step of an epoch, a function of the epoch's number alone; validate: higher is better,
    None to keep the last weights. With validate, the weights before any training are a candidate too: the model
    ends with the best ones. A killed training goes on from its last epoch and ends with the same weights.
    """
    progress, best = checkpoints.load(folder, fingerprint, model, optimiser)
    if validate and not best:
        progress.best_score, best = validate(), _copy(model)
        progress.curves["valid"] = [progress.best_score]
    while progress.epoch < plan.stop and not progress.done:
        torch.manual_seed(seed * 1000 + progress.epoch)
        model.train()
        total, count = 0.0, 0
        for loss in losses(progress.epoch):
            for group in optimiser.param_groups:
                group["lr"] = plan.learning_rate * rate(progress.step, plan.steps)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward without types
            nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
            optimiser.step()
            progress.step += 1
            total, count = total + loss.item(), count + 1
        model.eval()
        progress.epoch += 1
        said = {"loss": total / max(count, 1)}
        progress.curves.setdefault("loss", []).append(said["loss"])
        if validate:
            said["valid"] = validate()
            progress.curves["valid"].append(said["valid"])
            if said["valid"] > progress.best_score:
                progress.best, progress.best_score, best = progress.epoch, said["valid"], _copy(model)
            progress.done = progress.epoch - progress.best >= plan.patience
        checkpoints.save(folder, fingerprint, progress, model, optimiser, best)
        report(plan.stage, progress.epoch, said)
    if validate:
        model.load_state_dict(best)
    model.eval()
    return Fitted(progress.best if validate else progress.epoch, progress.curves)


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@contextmanager
def reproducible(threads: int) -> Iterator[None]:
    """Deterministic torch with this many threads inside; as it was before outside."""
    was = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(), torch.random.get_rng_state()
    memory: Any = torch.utils.deterministic  # its attribute is made at run time
    filled = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory before it is written; to fill it all the same takes a part of every step.
    memory.fill_uninitialized_memory = False
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was[0])
        memory.fill_uninitialized_memory = filled
        torch.set_num_threads(was[1])
        torch.random.set_rng_state(was[2])
