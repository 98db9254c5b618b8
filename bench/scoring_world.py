"""The files and rows that scoring reads, of a synthetic world."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench import catalogue, scorers
from conf.settings import Settings
from jobs.list_scoring import Inputs
from jobs.manifests import encoded_folder
from jobs.tables import ITEMS
from models.measuring import open_catalogue
from models.modelfiles import load_model, save_model
from models.scoring import Scorer
from stores.artefact import write_artefact
from stores.artefact_parts import ArtefactContent

USERS_A_FILE = 2_500
"""Of the table of users: tasks that are many enough to keep all cores busy to the end."""
COLUMNS = pa.schema(
    [
        ("user_id", pa.string()),
        ("liked", pa.list_(pa.int32())),
        ("watched", pa.list_(pa.int32())),
        ("favorite_genres", pa.map_(pa.string(), pa.float64())),
        ("watches", pa.int32()),
        *((name, pa.string()) for name in ("age_band", "gender", "region", "subscription_tier")),
        ("maturity_limit", pa.int32()),
    ]
)
"""As jobs.score reads them of user_features."""


def write(settings: Settings, items: int, seed: int) -> tuple[Inputs, Scorer]:
    """A model, its view of the catalogue, and an artefact of so many items; and a scorer made of them, in memory."""
    made = scorers.scorer(items, settings, seed)
    folder = settings.models_path / "bench"
    save_model(made.model, _items(made), folder)
    artefact_id = write_artefact(settings.artefacts_path, _content(made, seed))
    made.encoded.save(encoded_folder(settings, artefact_id))
    load_model(folder)
    inputs = Inputs(
        settings.artefacts_path,
        artefact_id,
        encoded_folder(settings, artefact_id),
        folder,
        settings.retrieval,
        0.0,
    )
    return inputs, made


def write_users(made: Scorer, folder: Path, count: int, watches: tuple[int, int], seed: int) -> None:
    """So many users with between watches[0] and watches[1] of them, as Parquet."""
    folder.mkdir(parents=True)
    names = made.model.genres
    for number, start in enumerate(range(0, count, USERS_A_FILE)):
        size = min(USERS_A_FILE, count - start)
        batch, filters = scorers.users(made, size, watches, seed + number)
        offsets, seen = filters.watched
        newest_first = [row[row >= 0][::-1] for row in batch.history]
        table = pa.table(
            [
                pa.array([catalogue.user_id(start + row) for row in range(size)]),
                pa.array(newest_first, pa.list_(pa.int32())),
                pa.array([np.unique(seen[a:b]) for a, b in pairwise(offsets)],
                         pa.list_(pa.int32())),
                pa.array([[(names[genre], float(row[genre])) for genre in np.flatnonzero(row)]
                          for row in filters.genre_weights], COLUMNS.field("favorite_genres").type),
                pa.array(batch.watches),
                *(pa.array(batch.profile[name]) for name in ("age_band", "gender")),
                pa.array([catalogue.REGIONS[row % 2] for row in range(size)]),
                pa.array(batch.profile["subscription_tier"]),
                pa.array([4 - row % 2 for row in range(size)], pa.int32()),
            ],
            schema=COLUMNS,
        )  # fmt: skip
        pq.write_table(table, folder / f"part-{number:05}.parquet")


def _items(made: Scorer) -> pa.Table:
    nothing = dict.fromkeys(ITEMS.columns)
    genres = made.model.genres
    rows = [
        {**nothing, "item_no": number, "item_id": f"item-{number}", "title": f"Film number {number}", "cast": [],
         "genres": [genres[place] for place in np.flatnonzero(own)], "year": 1950 + number % 75, "maturity": 0,
         "regions": ["*"], "status": "active"}
        for number, own in enumerate(made.encoded.genres)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows)


def _content(made: Scorer, seed: int) -> ArtefactContent:
    """The scorer's vectors and lists, in a catalogue of which a tenth is withheld from somebody."""
    lists, encoded, told = made.lists, made.encoded, made.model.item_item
    known = open_catalogue((encoded.genres > 0).astype(np.float32))
    by_genre = {f"genre:{name}": lists.by_genre[number] for number, name in enumerate(made.model.genres)}
    return replace(
        catalogue.content(len(encoded.vectors), seed),
        vectors=encoded.vectors,
        genres=known.genres,
        primary_genre=known.primary_genre,
        genre_names=made.model.genres,
        context_items=encoded.context,
        similar=lists.similar,
        similar_score=np.maximum(told.weights[:, : lists.similar.shape[1]], 0),
        popular={"global": lists.popular, "trending": lists.trending, "new": lists.new, **by_genre},
    )
