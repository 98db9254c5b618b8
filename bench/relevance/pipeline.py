"""The whole product on the training part alone: import, one hour, and the lists as a service reads them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.relevance.interactions import Interactions, ask
from bench.relevance.splits import Split, rows_of
from conf.loading import load
from conf.settings import Settings
from jobs.imports.layouts import detect
from jobs.tables import ITEMS
from models.evaluation import TOP
from models.types import Floats, Ints, Longs
from stores.artefact import Artefact, load_artefact
from stores.base import choose
from stores.opening import open_reader
from stores.records import DIM, unpack_vector

PREPARED = "prepared"


def topshelf(home: Path, seed: int | None, overrides: Sequence[str], *command: str) -> str:
    """What a `topshelf` command prints, run in a process and a home of its own, with the defaults of every setting.

    Raises:
        SystemExit: the command failed.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("TOPSHELF_")}
    env["TOPSHELF_HOME"] = str(home)
    chosen = [*overrides, *([] if seed is None else [f"seed={seed}"])]
    sets = [part for text in chosen for part in ("--set", text)]
    line = [sys.executable, "-m", "cli.main", *sets, *command]
    done = subprocess.run(line, env=env, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"`topshelf {' '.join(command)}` failed with exit code {done.returncode}:\n{done.stdout}")
    return done.stdout


def settings_of(home: Path, overrides: Sequence[str] = ()) -> Settings:
    """The settings in force in a home, whatever the environment says."""
    return load({"TOPSHELF_HOME": str(home)}, overrides).settings


def without_tags(folder: Path, into: Path) -> None:
    """Links to the files of `folder`, but not to MovieLens' tags: users gave them, at times that an import drops."""
    tags = detect(folder).sources.get("tags")
    into.mkdir(parents=True)
    for entry in folder.iterdir():
        if tags is None or entry != tags.path:
            (into / entry.name).symlink_to(entry.resolve())


def write_training(whole: Settings, data: Interactions, split: Split, folder: Path) -> None:
    """The training part as a folder for `topshelf import`: the catalogue, and the positives with their ratings.

    whole: of the home that has all of the data.
    """
    folder.mkdir(parents=True)
    past = split.training
    pairs = pa.table(
        {
            "user_id": pa.array(data.user_ids).take(pa.array(past.owners)),
            "item_id": pa.array(data.item_ids).take(pa.array(past.items)),
            "until": pa.array(split.until[past.owners], pa.timestamp("us", "UTC")),
        }
    )
    files = {
        "items": f"SELECT * EXCLUDE (item_no) FROM {ITEMS.name} ORDER BY item_no",  # noqa: S608  # a name of ours
        "users": "SELECT * FROM users SEMI JOIN pairs USING (user_id) ORDER BY user_id",
        "events": """
            SELECT e.event_id, e.user_id, e.item_id, e.event_type, e.timestamp, e.watch_duration_sec, e.completed,
                   e.rating
            FROM events AS e JOIN pairs AS p USING (user_id, item_id)
            WHERE e.event_type IN ('watch', 'rate') AND e.timestamp <= p.until
            ORDER BY e.timestamp, e.event_id
        """,
    }
    for name, question in files.items():
        pq.write_table(ask(whole, question, pairs=pairs), folder / f"{name}.parquet")


def prepare(root: Path, training: Path, overrides: Sequence[str]) -> Path:
    """A home that holds the training part and nothing else; every seed starts from a copy of it."""
    home = root / PREPARED
    topshelf(home, None, overrides, "import", str(training), "--json")
    return home


@dataclass(frozen=True)
class Stored:
    """What a store holds for U users, as its reader decodes it.

    lists: (U, TOP) rows of `item_ids` of the data, -1 padded; vectors (U, 128): the users' own, zeros without one;
    listed (U,): who has a list; catalogue: the artefact that the lists' numbers are of; number (n,): its item_no of
    each item of the data; metrics and steps: what the run said of itself, steps in seconds.
    """

    lists: Ints
    vectors: Floats
    listed: Longs
    catalogue: Artefact
    number: Longs
    settings: Settings
    metrics: dict[str, float]
    steps: dict[str, float]

    @cached_property
    def item(self) -> Ints:
        """The item of the data with each of the artefact's numbers."""
        back = np.empty(len(self.number), np.int32)
        back[self.number] = np.arange(len(self.number), dtype=np.int32)
        return back


def run(prepared: Path, home: Path, seed: int, overrides: Sequence[str], data: Interactions, split: Split) -> Stored:
    """Features, training, scoring and publication in a copy of the prepared home; then the lists, read back."""
    shutil.copytree(prepared, home)
    summary = json.loads(topshelf(home, seed, overrides, "run", "--json"))
    settings = settings_of(home, [*overrides, f"seed={seed}"])
    users = [data.user_ids[user] for user in split.measured.tolist()]
    return read_back(settings, users, data.item_ids, split.training.seen(split.measured), summary)


def read_back(
    settings: Settings, users: Sequence[str], item_ids: Sequence[str], seen: tuple[Longs, Ints], summary: dict[str, Any]
) -> Stored:
    """The lists that are live. Whoever has none gets what is popular, as from the service, without what was seen."""
    with open_reader(settings) as store:
        control = store.read_control()
        live = None if control is None else control.generation()
        if control is None or live is None:
            raise SystemExit(f"nothing was published in {settings.home}")
        catalogue = load_artefact(settings.artefacts_path, live.artefact_id)
        rings = [choose(store.ring(user), control) for user in users]
    number = np.array([catalogue.item_no[item] for item in item_ids], np.int64)
    item = np.argsort(number).astype(np.int32)
    lists = np.full((len(users), TOP), -1, np.int32)
    vectors = np.zeros((len(users), DIM), np.float32)
    for row, found in enumerate(rings):
        if found is None:
            popular = item[catalogue.popular["global"]]
            best = popular[~np.isin(popular, rows_of(seen, np.array([row]))[1])][:TOP]
        else:
            best = item[found.body.item_no][:TOP]
            vectors[row] = unpack_vector(found.body.vector)
        lists[row, : len(best)] = best
    steps = {step["step"]: step["seconds"] for step in summary["steps"]}
    listed = np.array([found is not None for found in rings])
    return Stored(lists, vectors, listed, catalogue, number, settings, summary["metrics"], steps)
