"""How fast models learn, beside a bare PyTorch loop of the same layers whose batches lie ready in memory.

\b
    python -m bench.training                                    # 5,000 users, 2,000 items
    python -m bench.training --users 20000 --items 5000 --rounds 3

A demo world is imported and its examples written to Delta. Topshelf's side of the towers reads them from there, puts
histories together, draws windows and negatives, and trains for `tower.epochs`; its side of the ranker streams them anew
for every of `ranker.epochs`. It shapes the learning rate, clips and keeps checkpoints as a real training does, but
nothing is validated. The bare loop is the forward pass, the loss, the backward pass and a step of AdamW, over tensors
(of the ranker: arrays, for it chooses its negatives with the towers) that were made before the clock started. Prints
JSON lines: examples a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor, nn

from bench.lines import emit, progress
from bench.worlds import workshop
from conf.loading import load
from conf.settings import Settings
from jobs import examples
from jobs.catalogue import catalogue
from jobs.example_files import StoredExamples
from jobs.imports.run import run as import_data
from jobs.lake import Lake
from jobs.tables import TRAINING_EXAMPLES
from models import content
from models.batches import stream, survey
from models.encoding import read_catalogue
from models.fit_ranker import RankerRun, RankerStep, fit_ranker, new_ranker
from models.fit_tower import TowerRun, fit_tower, new_tower, passes_and_steps
from models.fitting import reproducible
from models.sequences import Sequences, read_sequences, steps, windows
from models.tower import SEQUENCE
from models.tower_loss import TowerStep
from models.training import ALL
from sim.world import imagine

END = datetime(2025, 6, 1, tzinfo=UTC)
DAYS = 30
SEED = 17
BARE = "bare loop"


@click.command(help=__doc__)
@click.option("--users", default=5_000, show_default=True, type=click.IntRange(min=100), help="Users of the world.")
@click.option("--items", default=2_000, show_default=True, type=click.IntRange(min=100), help="Items of the world.")
@click.option("--rounds", default=2, show_default=True, type=click.IntRange(min=1), help="Times both are measured.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A setting of the pipeline. Repeatable.")
def main(users: int, items: int, rounds: int, overrides: tuple[str, ...]) -> None:
    with workshop() as (spark, folder):
        settings = load({"TOPSHELF_HOME": str(folder / "home")}, overrides).settings
        lake = Lake(spark, settings.lake_root)
        progress(f"making examples of {users:,} users and {items:,} items")
        imagine(users, items, DAYS, SEED, end=END).write(folder / "record")
        import_data(lake, folder / "record", settings, END, profile="live")
        made = examples.run(lake, END.date(), END, settings)
        progress(f"{made.examples:,} examples, {made.positives:,} of them positive watches")
        with reproducible(settings.training.threads):
            measure(Learning(lake, settings, folder), rounds)


def measure(learning: Learning, rounds: int) -> None:
    for name, side in (("tower", learning.towers), ("ranker", learning.rankers)):
        ours, bare = list[float](), list[float]()
        for number in range(rounds + 1):
            count, mine, theirs = side(number)
            progress(f"{name}, {number or 'warming up'}: {count / mine:,.0f} examples/s, {count / theirs:,.0f} bare")
            if number:
                ours.append(count / mine)
                bare.append(count / theirs)
        emit(f"training.{name}", ours, "examples/s", count, BARE, bare)


class Learning:
    """Both sides of both models. Each call of a side trains anew and gives examples, seconds and the bare loop's."""

    def __init__(self, lake: Lake, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.source = StoredExamples(lake.path(TRAINING_EXAMPLES), END.date())
        items = catalogue(lake)
        tokens, self.genres = content.build_vocabulary(items), content.genre_vocabulary(items)
        self.catalogue, self.tokens = read_catalogue(items, tokens, self.genres), len(tokens)
        self.survey = survey(self.source, ALL, len(self.catalogue))
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def towers(self, number: int) -> tuple[int, float, float]:
        """The sequence encoder, for all epochs."""
        settings, folder = self.settings, self.folder / f"tower-{number}"
        run = TowerRun(self.source, ALL, self.survey, self.catalogue, self.tokens, None, None, folder, "bench")
        tower = new_tower(settings, self.survey, len(self.catalogue), self.tokens, SEQUENCE).to(self.device)

        mine = _seconds(lambda: fit_tower(tower, run, self._sequences(), settings, _silent))
        bare = new_tower(settings, self.survey, len(self.catalogue), self.tokens, SEQUENCE).to(self.device)
        sequences = self._sequences()
        step = TowerStep(bare, self.catalogue, self.survey.positives, sequences, settings)
        per_pass, passes = passes_and_steps(settings, int(sequences.target.sum()), settings.tower.batch)
        rng = np.random.default_rng(SEED)
        found = windows(sequences, settings.training.history, rng)
        parts = steps(found, step.targets(found), per_pass, settings.tower.examples_per_epoch, rng)
        ready = [step.batch(part, rng) for part in parts]
        epochs = passes * settings.tower.epochs
        theirs = _seconds(lambda: _bare(bare, (step.loss(batch) for _ in range(epochs) for batch in ready)))
        return epochs * min(int(sequences.target.sum()), settings.tower.examples_per_epoch), mine, theirs

    def _sequences(self) -> Sequences:
        known = self.survey
        return read_sequences(
            self.source, ALL, known.vocabularies, known.positive_examples, self.settings.tower.examples_kept
        )

    def rankers(self, number: int) -> tuple[int, float, float]:
        """On towers that have learnt nothing, which costs the same."""
        settings = self.settings
        tower = new_tower(settings, self.survey, len(self.catalogue), self.tokens, SEQUENCE).to(self.device)
        run = RankerRun(
            self.source, ALL, self.survey, self.catalogue, tower, None, None, self.folder / f"ranker-{number}", "bench"
        )
        ranker = new_ranker(settings, self.survey, len(self.genres)).to(self.device)
        mine = _seconds(lambda: fit_ranker(ranker, run, settings, _silent))
        bare = new_ranker(settings, self.survey, len(self.genres)).to(self.device)
        step, rng = RankerStep(bare, run, settings), np.random.default_rng(SEED)
        limit = settings.ranker.examples_per_epoch
        width, size = settings.training.history, settings.ranker.batch
        ready = list(stream(self.source, ALL, self.survey.vocabularies, width, size, [SEED], limit=limit))
        epochs = settings.ranker.epochs
        losses = (step.loss(batch, rng) for _ in range(epochs) for batch in ready)
        theirs = _seconds(lambda: _bare(bare, (loss for loss in losses if loss is not None)))
        return epochs * min(limit, self.survey.examples), mine, theirs


def _bare(model: nn.Module, losses: Iterable[Tensor]) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    for loss in losses:
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward without types
        optimiser.step()


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _silent(stage: str, epoch: int, said: dict[str, float]) -> None:
    """What a training tells of its epochs is not what is measured."""


if __name__ == "__main__":
    main()
