"""A model as ONNX files that others can run, with the tables and names that their numbers need."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from conf.errors import DataError
from models.blend import FEATURES
from models.encoding import context_vectors, item_side, to_json, tower_items
from models.modelfiles import Model
from models.onnx_models import ranker, user_tower
from models.ranker import DAYPARTS, WEEKDAYS, ItemSide, UserSide, genre_shares
from models.types import PROFILE_FIELDS, Longs

USER_TOWER, RANKER, ITEMS, MANIFEST = "user_tower.onnx", "ranker.onnx", "items.parquet", "export.json"
FORMAT = 1
TOLERANCE = 1e-4
"""How far any number may lie from PyTorch's, both in float32."""
USERS, CANDIDATES = 64, 100
"""Made-up users, and items for each, that the files are tried with."""
MAX_WATCHES = 1_000_000
Inputs = Mapping[str, NDArray[Any]]
Cases = Sequence[tuple[Inputs, Inputs]]


@dataclass(frozen=True)
class Source:
    """A model with its view of n items: inputs (n, d), by which histories enter the tower; the ranker's side; v(i)."""

    model: Model
    inputs: torch.Tensor
    items: ItemSide
    context: torch.Tensor

    @classmethod
    def of(cls, model: Model, items: pa.Table) -> Source:
        """items: the ITEMS columns, row i being item_no i; those newer than the model are in it by their content."""
        catalogue = model.catalogue(items)
        inputs, vectors = tower_items(model.tower, catalogue)
        context = torch.from_numpy(context_vectors(model.ranker, catalogue))
        return cls(model, inputs, item_side(vectors, catalogue, model.positives), context)


def export(model: Model, name: str, items: pa.Table, folder: Path, seed: int) -> dict[str, float]:
    """Write the files into `folder`, which is new; of each network the largest difference to PyTorch that was seen.

    Raises:
        DataError: a network's file does not give what the network gives. What was written stays, without MANIFEST.
    """
    source = Source.of(model, items)
    (folder / USER_TOWER).write_bytes(user_tower(model.tower, source.inputs).SerializeToString())
    (folder / RANKER).write_bytes(ranker(model.ranker).SerializeToString())
    pq.write_table(item_table(source, items), folder / ITEMS)
    seen = {}
    for file, cases in ((USER_TOWER, tower_cases(source, seed)), (RANKER, ranker_cases(source, seed))):
        seen[file] = difference(folder / file, cases)
        if not seen[file] <= TOLERANCE:
            raise DataError(
                f"{file} gives numbers up to {seen[file]:.2g} away from the model {name}, at most {TOLERANCE:g} is "
                "allowed: it was not exported. Its layers are not those that this version writes down"
            )
    (folder / MANIFEST).write_text(to_json(manifest(source, name, folder, seen)))
    return seen


def item_table(source: Source, items: pa.Table) -> pa.Table:
    """One row an item: its side of the ranker, and the vector whose product with a user's is the towers' logit."""
    side = source.items
    lists = {"vector": side.vectors, "genres": side.genres, "years": side.years, "context": source.context}
    return pa.table(
        {
            "item_no": items["item_no"],
            "item_id": items["item_id"],
            **{name: pa.FixedSizeListArray.from_arrays(pa.array(rows.numpy().reshape(-1)), rows.shape[1])
               for name, rows in lists.items()},
            "popularity": pa.array(side.popularity.numpy()),
            "popularity_known": pa.array(side.popularity_known.numpy()),
        }
    )  # fmt: skip


def difference(file: Path, cases: Cases) -> float:
    """The largest one between what the file gives for inputs and the outputs that belong to them; inf for no number."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    largest = 0.0
    for inputs, wanted in cases:
        found = session.run(list(wanted), dict(inputs))
        for got, right in zip(found, wanted.values(), strict=True):
            apart = float(np.abs(got - right).max(initial=0)) if got.shape == right.shape else np.inf
            largest = max(largest, np.inf if np.isnan(apart) else apart)
    return largest


@torch.no_grad()
def tower_cases(source: Source, seed: int) -> Cases:
    """Inputs and what the tower makes of them: random histories of all lengths, one watch, none, and one item alone."""
    rng = np.random.default_rng([seed, 1])
    cases: list[tuple[Inputs, Inputs]] = []
    for width in sorted({1, source.model.history}):
        history = _histories(source, width, rng)
        profile, watches = _profiles(source.model, rng), rng.integers(0, MAX_WATCHES, USERS)
        history[0], profile[0], watches[0] = -1, 0, 0
        history[1], watches[1] = len(source.inputs) - 1, width
        vectors = source.model.tower.users(source.inputs, *map(torch.from_numpy, (history, profile, watches)))
        cases.append(({"history": history, "profile": profile, "watches": watches}, {"user_vector": vectors.numpy()}))
    return cases


@torch.no_grad()
def ranker_cases(source: Source, seed: int) -> Cases:
    """Random users and items of the catalogue; a user without a history and a vector of zeros among them."""
    rng, model, network = np.random.default_rng([seed, 2]), source.model, source.model.ranker
    history = torch.from_numpy(_histories(source, model.history, rng))
    history[0] = -1
    profile, watches = torch.from_numpy(_profiles(model, rng)), torch.from_numpy(rng.integers(0, MAX_WATCHES, USERS))
    vectors = model.tower.users(source.inputs, history, profile, watches)
    vectors[0] = 0
    user = UserSide(vectors, genre_shares(history, source.items.genres), profile, watches)
    candidates = torch.from_numpy(rng.integers(0, len(source.inputs), (USERS, CANDIDATES)))
    item, item_context = source.items.take(candidates), source.context[candidates]
    sizes = {"page": network.shape.pages, "daypart": DAYPARTS, "weekday": WEEKDAYS}
    context = {name: torch.from_numpy(rng.integers(0, size, USERS)) for name, size in sizes.items()}
    deep = network.deep(user, item)
    rows = network.context_rows(**context, region=profile[:, PROFILE_FIELDS.index("region")])
    bent = torch.einsum("bk,bck->bc", rows, item_context)
    inputs = {
        "user_vector": user.vectors,
        "user_genres": user.genres,
        "profile": profile,
        "watches": watches,
        "item_vector": item.vectors,
        "item_genres": item.genres,
        "item_popularity": item.popularity,
        "item_popularity_known": item.popularity_known,
        "item_years": item.years,
        "item_context": item_context,
        **context,
    }
    return [({name: value.numpy() for name, value in inputs.items()},
             {"deep": deep.numpy(), "logit": (deep + bent).numpy()})]  # fmt: skip


def _histories(source: Source, width: int, rng: np.random.Generator) -> Longs:
    """(USERS, width) right-aligned, of every length from none to all."""
    history = rng.integers(0, len(source.inputs), (USERS, width))
    lengths = rng.integers(0, width + 1, USERS)
    return np.where(np.arange(width) >= width - lengths[:, None], history, -1)


def _profiles(model: Model, rng: np.random.Generator) -> Longs:
    return np.stack([rng.integers(0, 1 + known, USERS) for known in model.tower.shape.profile], 1)


def manifest(source: Source, name: str, folder: Path, seen: Mapping[str, float]) -> dict[str, Any]:
    """What whoever runs the files has to know. The files are read anew, so that it says what they are."""
    model = source.model
    scale, shift = model.ranker.calibration.tolist()
    return {
        "format": FORMAT,
        "model": name,
        "history": model.history,
        "profile": {field: model.vocabularies[field] for field in PROFILE_FIELDS},
        "page": model.vocabularies["page"],
        "genres": model.genres,
        "order": model.order,
        "blend": dict(zip(FEATURES, model.ranker.blend.tolist(), strict=True)),
        "calibration": {"scale": scale, "shift": shift, "calibrated": model.calibrated},
        "files": {file: _described(folder / file) for file in (USER_TOWER, RANKER)},
        "largest_difference": dict(seen),
        "sha256": {file: _digest(folder / file) for file in (USER_TOWER, RANKER, ITEMS)},
    }


def _described(file: Path) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def values(some: Any) -> dict[str, Any]:
        return {value.name: {"type": value.type, "shape": value.shape} for value in some}

    return {"inputs": values(session.get_inputs()), "outputs": values(session.get_outputs())}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
