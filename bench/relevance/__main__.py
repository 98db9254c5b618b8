"""`python -m bench.relevance`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import click

from bench import peers_content, peers_implicit
from bench.lines import progress
from bench.peers import OWN, REFERENCE, chosen, rank
from bench.relevance import curve, pipeline
from bench.relevance.interactions import Interactions, read
from bench.relevance.measuring import SHOWN, Measured, System, accuracy
from bench.relevance.parts import PARTS, Run, two_tower
from bench.relevance.report import lines, said_of_runs, tables
from bench.relevance.splits import Kind, Split, split
from models.types import Ints

TOPSHELF = "Topshelf"
FIRST_SEED = 17
RESAMPLES, FEW_RESAMPLES = 2000, 200
FEW_USERS = 500


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder as `topshelf import` takes it.",
)
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(0), help="Runs of Topshelf; 0: peers alone.")
@click.option(
    "--split",
    "kind",
    default="user",
    show_default=True,
    type=click.Choice(["user", "time", "release", curve.NAME]),
    help="Hold out each user's last fifth, the last fifth of all, the newest tenth of items, or a fifth of the users.",
)
@click.option("--reduced", is_flag=True, help=f"At most {FEW_USERS} users and no choice of parameters: a quick look.")
@click.option("--keep", type=click.Path(path_type=Path), help="A new folder in which the homes of the runs stay.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="A setting of Topshelf other than default."
)
def main(
    data: Path,
    seeds: int,
    kind: Kind | Literal["new-users"],
    reduced: bool,
    keep: Path | None,
    overrides: Sequence[str],
) -> None:
    """Measure the lists that Topshelf stores, beside what else recommends.

    \b
    python -m bench.relevance --data ml-latest-small
    python -m bench.relevance --data ml-latest-small --split time --seeds 1
    python -m bench.relevance --data ml-latest-small --split release    # new items
    python -m bench.relevance --data ml-latest-small --seeds 0    # peers alone
    python -m bench.relevance --data ml-latest-small --split new-users

    Prints JSON lines on standard output; progress, and tables at the end, on standard error.
    """
    if kind == curve.NAME and not seeds:
        raise click.UsageError(f"--split {curve.NAME} is about the service: it needs a seed at least")
    started = time.monotonic()
    with _root(keep) as root:
        progress(f"importing {data}")
        pipeline.without_tags(data, root / "data")
        pipeline.topshelf(root / "whole", None, (), "import", str(root / "data"), "--json")
        whole = pipeline.settings_of(root / "whole")
        found = read(whole).active()
        if reduced:
            found = found.sample(FEW_USERS, FIRST_SEED)
        if kind == curve.NAME:
            numbers = range(FIRST_SEED, FIRST_SEED + seeds)
            curve.measure(root, whole, found, numbers, overrides, FEW_RESAMPLES if reduced else RESAMPLES)
            return
        parts = split(found, kind)
        if not len(parts.measured):
            raise SystemExit(
                f"{data}: nothing is held out: no user has as many as five positives, or none has later or newer ones"
            )
        numbers = range(FIRST_SEED, FIRST_SEED + seeds)
        systems = peers(parts, kind, list(numbers) or [FIRST_SEED], reduced)
        if seeds:
            training = root / "training"
            pipeline.write_training(whole, found, parts, training)
            systems += topshelf(root, training, kind, list(numbers), overrides, found, parts)
        measured = Measured(parts, found.about.genres, systems)
        reference = reference_of(kind)
        means, differences = measured.intervals(reference, FEW_RESAMPLES if reduced else RESAMPLES, FIRST_SEED)
    lines(kind, measured, reference, means, differences)
    tables(kind, measured, reference, means, differences)
    progress(f"{time.monotonic() - started:.0f} s in all")


@contextmanager
def _root(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="topshelf-relevance-") as folder:
            yield Path(folder)
    elif keep.exists():
        raise SystemExit(f"{keep} is there already: name a folder that is not")
    else:
        keep.mkdir(parents=True)
        yield keep.absolute()


def peers(parts: Split, kind: Kind, seeds: Sequence[int], reduced: bool) -> list[System]:
    """Every peer's lists; parameters are chosen on a validation slice with the first seed, or the first are taken."""
    systems = []
    for peer in peers_content.OF_NEW_ITEMS if kind == "release" else (*OWN, *peers_implicit.PEERS):
        params = peer.grid[0] if reduced else chosen(peer, parts.training, kind, seeds[0])
        said = ", ".join(f"{name} {value:g}" for name, value in params.items())
        progress(f"{peer.name}{': ' if said else ''}{said}")
        system = System(peer.name)
        for seed in seeds if peer.seeded else seeds[:1]:
            _add(system, rank(parts, peer.fit(parts.training, params, seed)), parts)
        systems.append(system)
    return systems


def reference_of(kind: Kind) -> str:
    """The peer that everybody else is compared with."""
    return peers_content.REFERENCE if kind == "release" else REFERENCE


def _add(system: System, ranked: Ints, parts: Split) -> None:
    """One more seed, with two of its figures for whoever watches: a run that fails later has not been for nothing."""
    system.ranked.append(ranked)
    values = accuracy(ranked, parts)
    progress("  " + ", ".join([system.name, *(f"{name} {values[name].mean():.4f}" for name in SHOWN)]))


def topshelf(
    root: Path,
    training: Path,
    kind: Kind,
    seeds: Sequence[int],
    overrides: Sequence[str],
    found: Interactions,
    parts: Split,
) -> list[System]:
    """The stored lists of one run a seed, and those of its parts alone.

    By release, where new items stand on hardly any list: their order by the product of the stored vectors.
    """
    progress("Topshelf: importing the training part")
    prepared = pipeline.prepare(root, training, overrides)
    users = [found.user_ids[user] for user in parts.measured.tolist()]
    whole, alone = System(TOPSHELF), {name: System(name) for name in PARTS}
    runs = []
    for seed in seeds:
        progress(f"Topshelf: seed {seed}")
        stored = pipeline.run(prepared, root / f"seed-{seed}", seed, overrides, found, parts)
        runs.append(stored)
        run = Run(stored, parts, users)
        if kind == "release":
            _add(whole, two_tower(run), parts)
            continue
        _add(whole, stored.lists, parts)
        for name, part in PARTS.items():
            _add(alone[name], part(run), parts)
    said_of_runs(runs, len(parts.training.items))
    return [whole, *(system for system in alone.values() if system.ranked)]


if __name__ == "__main__":
    main()
