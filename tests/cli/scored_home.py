"""A home in which one hour was scored and published, made without Spark and without training.

30 films, the first 15 of the genre Space, the others of Love; an untrained ranker adds nothing to the towers' product.
ann watched 0, 1 and 2. Film 3 is inactive, 4 for adults, 5 licensed in DE only; she is in the US, with a limit of 2.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from cli.inspecting.batch import _load
from cli.inspecting.lake import Tables
from conf.hours import Hour
from conf.loading import load
from conf.settings import Settings
from jobs.artefact import artefact_content
from jobs.list_scoring import Inputs, score_batch
from jobs.manifests import Scored, encoded_folder, save
from jobs.tables import ITEMS, USER_FEATURES, USERS
from models.cowatch import CoWatched
from models.item_item import ItemItem
from models.modelfiles import Model, encode_items, save_model
from models.ranker import Ranker, RankerShape
from models.tower import TowerShape, TwoTower
from stores.artefact import load_artefact, write_artefact
from stores.base import Row
from stores.control import Control
from stores.generation import Generation
from stores.opening import open_store
from stores.records import encode_row
from tests.cli.conftest import write
from tests.models.blocks import PROFILE, SMALL

HOUR = Hour(datetime(2026, 11, 23, 12, tzinfo=UTC))
FILMS = 30
WATCHED = [2, 1, 0]
"""Newest first."""
SETTINGS = [*SMALL, "retrieval.ann=4", "retrieval.total=12", "retrieval.list_size=6", "retrieval.genre_share=0.5"]


def films() -> pa.Table:
    rows = [
        {"item_no": number, "item_id": f"m{number}", "title": f"Film {number}", "genres": [genre_of(number)],
         "cast": [], "year": 2000, "maturity": 4 if number == 4 else 0, "regions": ["DE"] if number == 5 else ["*"],
         "status": "inactive" if number == 3 else "active"}
        for number in range(FILMS)
    ]  # fmt: skip
    return pa.Table.from_pylist([{name: row.get(name) for name in ITEMS.columns} for row in rows])


def genre_of(number: int) -> str:
    return "Space" if number < FILMS // 2 else "Love"


def model() -> Model:
    torch.manual_seed(0)
    nobody = (0,) * len(PROFILE)
    nothing, silent = np.full((FILMS, 1), -1, np.int32), np.zeros((FILMS, 1), np.float32)
    near = CoWatched(np.zeros(FILMS, np.float32), nothing, silent)
    return Model(
        tower=TwoTower(TowerShape(FILMS, 0, nobody, 16, (8,), 0.0)).eval().requires_grad_(False),
        ranker=Ranker(RankerShape(16, 2, nobody, 2, 2, (8,), 0.0)).eval().requires_grad_(False),
        tokens=[],
        genres=["Space", "Love"],
        vocabularies={**{name: [] for name in PROFILE}, "page": ["home"]},
        item_item=ItemItem(nothing, silent, 1.0, near),
        order="two_tower",
        positives=np.ones(FILMS, np.int64),
        history=10,
        calibrated=False,
        context_term=None,
        metrics={},
    )


def make(home: Path) -> Settings:
    settings = load({"TOPSHELF_HOME": str(home)}, SETTINGS).settings
    items, made = films(), model()
    save_model(made, items, settings.models_path / "model")
    encoded = encode_items(made, items)
    popular = {
        "global": np.arange(FILMS, dtype=np.int32),
        "trending": np.array([29], np.int32),
        "new": np.array([28], np.int32),
        "genre:Space": np.array([14, 13, 0], np.int32),
        "genre:Love": np.array([15, 16], np.int32),
    }
    content = artefact_content(items, popular, made, encoded, None, "v1", str(HOUR))
    artefact_id = write_artefact(settings.artefacts_path, content)
    encoded.save(encoded_folder(settings, artefact_id))
    features = {
        "user_id": "ann", "recent_watches": [{"item_no": n, "timestamp": HOUR.start, "liked": True} for n in WATCHED],
        "watched": sorted(WATCHED), "favorite_genres": [("Space", 0.4), ("Love", 0.1)], "watch_time_preference": [],
        "avg_session_length_min": 0.0, "watches": 3, "last_active": HOUR.start, "region": "US", "maturity_limit": 2,
        "inputs_at": HOUR.end, "as_of": HOUR.end, "age_band": "25-34",
    }  # fmt: skip
    write(home, USER_FEATURES, [features], HOUR)
    write(home, USERS, [{"user_id": user, "maturity_limit": 2, "created_at": HOUR.start} for user in ("ann", "bob")])
    write(home, ITEMS, items.to_pylist())
    save(settings, HOUR, Scored("model", "v1", artefact_id, 1, 1, 0, {"user_features": 0}))
    row = Tables(settings.lake_root).features("ann", 0)
    assert row is not None
    inputs = Inputs(settings.artefacts_path, artefact_id, encoded_folder(settings, artefact_id),
                    settings.models_path / "model", settings.retrieval, HOUR.end.timestamp())  # fmt: skip
    named = pa.RecordBatch.from_arrays([pa.array(["ann"]), *row.columns], ["user_id", *row.schema.names])
    lists = score_batch(named, load_artefact(settings.artefacts_path, artefact_id), _load(inputs))
    _publish(settings, artefact_id, lists["body"][0].as_py())
    return settings


def _publish(settings: Settings, artefact_id: str, body: bytes) -> None:
    with open_store(settings) as store:
        first = Control.first("test-store")
        store.swap_control(None, first)
        begun = first.begun(1)
        store.swap_control(first, begun)
        store.write([Row("ann", 0, 0, encode_row(body, 1, int(HOUR.end.timestamp())))], 1)
        generation = Generation(1, artefact_id, "v1", str(HOUR), "2026-11-23T13:05:00+00:00")
        store.swap_control(begun, begun.switched(generation))
