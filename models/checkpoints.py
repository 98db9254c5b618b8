"""Where a training stands, written after every epoch: safetensors and JSON, never a pickle."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

META = "state.json"


@dataclass
class Progress:
    """epoch: finished ones; step: optimiser steps; best: epochs of the best score so far; curves by name."""

    epoch: int = 0
    step: int = 0
    best: int = 0
    best_score: float = float("-inf")
    done: bool = False
    curves: dict[str, list[float]] = field(default_factory=dict)


def save(folder: Path, fingerprint: str, progress: Progress, model: nn.Module, optimiser: torch.optim.Optimizer,
         best: dict[str, Tensor]) -> None:  # fmt: skip
    """Replace the folder's checkpoint; a kill at any moment leaves the old one or the new one."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": value for name, value in state.items()}
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    name = f"state-{progress.epoch}.safetensors"
    save_file(tensors, folder / name)
    meta = {"fingerprint": fingerprint, "tensors": name, "progress": vars(progress)}
    waiting = folder / f"{META}.new"
    waiting.write_text(json.dumps(meta))
    os.replace(waiting, folder / META)
    for old in folder.glob("state-*.safetensors"):
        if old.name != name:
            old.unlink()


def load(folder: Path, fingerprint: str, model: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[
    Progress, dict[str, Tensor]
]:  # fmt: skip
    """Bring model and optimiser to the folder's checkpoint, and return where it stood with its best weights.

    Without a checkpoint of this fingerprint nothing is changed and the progress is a fresh one.
    """
    if not (folder / META).exists():
        return Progress(), {}
    meta: dict[str, Any] = json.loads((folder / META).read_text())
    if meta["fingerprint"] != fingerprint:
        return Progress(), {}
    tensors = load_file(folder / meta["tensors"])
    model.load_state_dict(_below(tensors, "model."))
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _below(tensors, "optimiser.").items():
        number, _, part = name.partition(".")
        state.setdefault(int(number), {})[part] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return Progress(**meta["progress"]), _below(tensors, "best.")


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
