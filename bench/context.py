"""What the context term is worth: what was watched later, in the order of its page and time, with the term and without.

\b
    python -m bench.context                          # the demo world
    python -m bench.context --data ml-latest-small   # times that say nothing: it must do no harm
    python -m bench.context --users 600 --items 300 --seeds 1

The demo world's last days are held out; of other data what training holds out. Models learn from what came before, and
each user has the list of just before their first held-out watch. For each held-out watch the service's own code puts
that list in order, for the page and the moment at which the watch was chosen (the impression that it answered, where
there are impressions): with the artefact as it is, and with an artefact whose contexts say nothing, which is also what
a model without the term is. Prints JSON lines; a gain's interval is the 95% one over users, who are drawn in pairs of
both orders; a user counts with the mean of their watches. Progress goes to standard error.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.heldout import Earlier, Watches, watches
from bench.lines import emit, progress
from bench.timeline import SPARK
from conf.hours import Hour
from conf.loading import load
from conf.rules import Rules, load_rules
from conf.settings import Settings
from conf.vocabulary import EVERYWHERE
from jobs import examples
from jobs.artefact import artefact_content
from jobs.catalogue import catalogue
from jobs.example_files import StoredExamples
from jobs.imports.profile import Profile
from jobs.imports.run import run as import_data
from jobs.lake import Lake
from jobs.spark import spark_session
from jobs.tables import TRAINING_EXAMPLES
from models.batches import decode
from models.calibration import as_they_stood
from models.measuring import Trial
from models.metrics import bootstrap_means, interval
from models.modelfiles import Model, encode_items, load_model
from models.training import train
from models.types import LOGIT_GRID, PROFILE_FIELDS, ScoredLists
from serving.candidates import personal
from serving.eligibility import Eligibility
from serving.lookup import Known, Outcome, Viewer
from serving.request import Request
from serving.snapshot import Snapshot
from serving.visit import begin
from sim.world import make_world
from stores.artefact import Artefact, load_artefact, write_artefact
from stores.control import Control
from stores.generation import Generation
from stores.records import MAX_MATURITY, UNKNOWN_SEGMENT, ListBody, pack_vector, score_byte

END = datetime(2025, 6, 2, tzinfo=UTC)
DAYS, LATER = 36, 7
"""Of the demo world; those at its end that are held out."""
WORLD_SEED, FIRST_SEED = 31, 17
K, RESAMPLES = 20, 2000
WITHOUT = "the same model without the term"
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Sought:
    """Of m watches: the place of the item in its user's list then and there, from 0, -1 where it is not on it; the
    log-likelihood of the item among the list, 0 where it is not on it.
    """

    place: NDArray[np.int64]
    log_likelihood: Values


@dataclass(frozen=True)
class Service:
    """The service's order of stored lists, as far as it depends on nothing that happened after them.

    scale: of the calibration, so that likelihoods are of what the lists are ordered by.
    """

    rules: Rules
    artefact: Artefact
    lists: Sequence[ListBody]
    scale: float

    def seek(self, found: Watches) -> Sought:
        generation = Generation(1, self.artefact.artefact_id, self.artefact.model_version, "", "", len(self.artefact))
        control = replace(Control.first("bench").begun(1).switched(generation), grown=((1, len(self.artefact)),))
        snapshot, eligibility = Snapshot(control, generation, self.artefact), Eligibility(self.rules)
        viewer = Viewer(MAX_MATURITY, EVERYWHERE)
        known = [Known(viewer, body, Outcome.FOUND, generation=1) for body in self.lists]
        sought = Sought(np.full(len(found.user), -1, np.int64), np.zeros(len(found.user)))
        for row, (user, item) in enumerate(zip(found.user.tolist(), found.item_no.tolist(), strict=True)):
            request = Request(user_id=None, limit=K, seed="", page=found.page[row] or "")
            visit = begin(eligibility, self.rules, snapshot, known[user], request, float(found.moment[row]))
            order = personal(visit)
            at = np.flatnonzero(order.item_no == item)
            if len(at) and order.score is not None:
                chance = np.clip(order.score.astype(np.float64), 1e-7, 1 - 1e-7)
                logits = np.log(chance / (1 - chance)) / self.scale
                sought.place[row] = at[0]
                sought.log_likelihood[row] = logits[at[0]] - np.logaddexp.reduce(logits)
        return sought


def without_contexts(artefact: Artefact) -> Artefact:
    """The artefact with contexts that say nothing."""
    tables = ("context_page", "context_daypart", "context_weekday")
    return replace(artefact, **{name: np.zeros_like(getattr(artefact, name)) for name in tables})


def measures(sought: Sought, user: NDArray[np.int64]) -> dict[str, Values]:
    """By measure (U,), of the users who have watches: the mean over them. Of one relevant item NDCG is its discount."""
    hit = (sought.place >= 0) & (sought.place < K)
    values = {
        f"ndcg@{K}": np.where(hit, 1 / np.log2(np.where(hit, sought.place, 0) + 2), 0),
        f"recall@{K}": hit.astype(np.float64),
        "log_likelihood": sought.log_likelihood,
    }
    counts = np.bincount(user)
    return {name: np.bincount(user, each)[counts > 0] / counts[counts > 0] for name, each in values.items()}


def bodies(lists: ScoredLists, first: pa.Table) -> list[ListBody]:
    """The lists as a store would hold them."""
    regions = first["region"].to_pylist()
    return [
        ListBody(
            MAX_MATURITY,
            regions[row],
            UNKNOWN_SEGMENT,
            pack_vector(lists.vectors[row]),
            (),
            lists.item_no[row][kept],
            score_byte(lists.logit_q[row][kept] / LOGIT_GRID),
            lists.source[row][kept],
            lists.anchor[row][kept],
        )
        for row, kept in enumerate(lists.item_no >= 0)
    ]


def run(
    source: Earlier, items: pa.Table, settings: Settings, folder: Path, rules: Rules
) -> tuple[dict[str, Values], dict[str, Values]]:
    """Train with one seed; `measures` with the term and without it."""
    folder.mkdir(parents=True)
    train(source, items, nobody(), settings, folder, lambda stage, epoch, said: progress(f"  {stage} {epoch}: {said}"))
    model = load_model(folder)
    progress(f"seed {settings.seed}: context term: {model.context_term or 'none'}")
    first, found = watches(source.later())
    trial = Trial(model, encode_items(model, items), items, settings)
    batch = first.combine_chunks().to_batches()[0]
    lists = trial.scorer.score(*as_they_stood(trial, decode(batch, model.vocabularies, settings.training.history)))
    artefact = served(model, trial, items, folder)
    stored = bodies(lists, first)
    scale = float(model.ranker.calibration[0])
    both = (Service(rules, each, stored, scale).seek(found) for each in (artefact, without_contexts(artefact)))
    ours, theirs = (measures(sought, found.user) for sought in both)
    return ours, theirs


def served(model: Model, trial: Trial, items: pa.Table, folder: Path) -> Artefact:
    popular = {"global": trial.scorer.lists.popular}
    content = artefact_content(items, popular, model, trial.scorer.encoded, None, "bench", "")
    return load_artefact(folder, write_artefact(folder, content))


def nobody() -> pa.Table:
    """No held-out users for training to measure."""
    lists = pa.list_(pa.int32())
    kinds = {"user_id": pa.string(), "history": lists, "seen": lists, "relevant": lists, "watches": pa.int32()}
    return pa.table(
        {name: pa.array([], kind) for name, kind in {**kinds, **dict.fromkeys(PROFILE_FIELDS, pa.string())}.items()}
    )


def report(ours: Sequence[dict[str, Values]], theirs: Sequence[dict[str, Values]], unit: str = "mean of users") -> None:
    """A line for each measure, and one for the gain with its interval; one entry a seed."""
    for name in ours[0]:
        with_term, plain = (np.stack([values[name] for values in side]) for side in (ours, theirs))
        emit(name, with_term.mean(1).tolist(), unit, with_term.shape[1], WITHOUT, plain.mean(1).tolist())
        gains = (with_term - plain).mean(0)
        low, high = interval(bootstrap_means(gains[None], RESAMPLES, FIRST_SEED)[:, 0])
        emit(f"{name}.gain.interval", [float(gains.mean())], unit, len(gains), interval=(low, high))


@click.command(help=__doc__)
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Instead of the demo world."
)
@click.option("--users", default=8_000, show_default=True, type=click.IntRange(min=1), help="Users of the world.")
@click.option("--items", default=1_200, show_default=True, type=click.IntRange(min=1), help="Items of the world.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1), help="Trainings.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A setting. Repeatable.")
def main(data: Path | None, users: int, items: int, seeds: int, overrides: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="topshelf-bench-") as name:
        folder = Path(name)
        if data is None:
            progress(f"making a world of {users:,} users and {items:,} items")
            make_world(folder / "record", users, items, DAYS, WORLD_SEED, end=END)
        source, table = prepare(data or folder / "record", folder / "home", None if data else "live", overrides)
        results = []
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            chosen = settings_of(folder / "home", [*overrides, f"seed={seed}"])
            results.append(run(source, table, chosen, folder / f"model-{seed}", load_rules()))
        report([ours for ours, _ in results], [theirs for _, theirs in results])


def prepare(data: Path, home: Path, profile: Profile | None, overrides: Sequence[str]) -> tuple[Earlier, pa.Table]:
    """Import a folder and make its training examples; their source, and the catalogue."""
    settings = settings_of(home, overrides)
    lake = Lake(spark_session(settings), settings.lake_root)
    try:
        progress("importing, and making the training examples")
        import_data(lake, data, settings, END if profile else datetime.now(UTC), profile=profile)
        settings = settings_of(home, overrides)
        last = settings.data.partitions_end
        cut = END if last is None else Hour.of(last).end
        day = (cut - timedelta(microseconds=1)).date()
        examples.run(lake, day, cut, settings)
        stored = StoredExamples(lake.path(TRAINING_EXAMPLES), day)
        return Earlier(stored, cut - timedelta(days=LATER) if last is None else None), catalogue(lake)
    finally:
        lake.spark.stop()


def settings_of(home: Path, overrides: Sequence[str]) -> Settings:
    """Of a home, whatever the environment says."""
    return load({"TOPSHELF_HOME": str(home)}, [*SPARK, *overrides]).settings


if __name__ == "__main__":
    main()
