"""A model as a folder of safetensors, .npy, faiss and JSON files, each with its SHA-256 in model.json. No pickles."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from conf.errors import DataError
from models.blend import SIMPLER
from models.context import ContextTerm
from models.cowatch import CoWatched
from models.encoding import Catalogue, EncodedItems, encode, read_catalogue, to_json
from models.index import write_index
from models.item_item import ItemItem
from models.ranker import Ranker, RankerShape, simpler_ranker
from models.tower import TowerShape, TwoTower
from models.types import Floats, Longs

FORMAT = 3
MANIFEST = "model.json"
TOWER, RANKER, INDEX = "tower.safetensors", "ranker.safetensors", "index.faiss"
POSITIVES = "positives.npy"
ITEM_ITEM = ("item_item_items", "item_item_weights", "co_watchers", "co_watched", "co_watched_together")
CONTEXT = ("context_items", "context_page", "context_daypart", "context_weekday")


@dataclass(frozen=True)
class Model:
    """Everything that scoring needs, on the CPU.

    tokens, genres and vocabularies (PROFILE_FIELDS and page) say what the numbers inside mean; order: what candidates
    are ordered by, a blend or one of its inputs alone (see blend.judge); positives (n,):
    how often each item it was trained on was watched; history: watches it reads; calibrated: whether
    sigmoid(logit) is a probability, else it only orders; context_term: how the context term was fitted, None where it
    did not help on validation and so adds nothing; metrics: of the hold-out, before the last fit.
    """

    tower: TwoTower
    ranker: Ranker
    tokens: list[str]
    genres: list[str]
    vocabularies: dict[str, list[str]]
    item_item: ItemItem
    order: str
    positives: Longs
    history: int
    calibrated: bool
    context_term: ContextTerm | None
    metrics: dict[str, float]

    def catalogue(self, items: pa.Table) -> Catalogue:
        """`items` (the ITEMS columns, row i being item_no i) as this model reads it."""
        return read_catalogue(items, self.tokens, self.genres)

    def context(self) -> dict[str, Floats]:
        """context_page (P, C), context_daypart (R, 4, C) and context_weekday (7, C)."""
        tables = (self.ranker.page, self.ranker.daypart, self.ranker.weekday)
        return {name: table.numpy() for name, table in zip(CONTEXT[1:], tables, strict=True)}

    @property
    def context_pages(self) -> list[str]:
        """The page of each row of context_page; the first, "", is any unknown one."""
        return ["", *self.vocabularies["page"]]

    @property
    def context_regions(self) -> list[str]:
        """The users' region of each row of context_daypart; the first, "", is any unknown one."""
        return ["", *self.vocabularies["region"]]


def encode_items(model: Model, items: pa.Table) -> EncodedItems:
    """All of `items` (ITEMS columns, row i being item_no i); those newer than the model by their content alone."""
    return encode(model.tower, model.ranker, model.catalogue(items), model.positives)


def save_model(model: Model, items: pa.Table, folder: Path) -> str:
    """Write every file of the model, the manifest last. Returns the SHA-256 of the manifest.

    The same model gives the same bytes. An earlier model in the folder is written over file by file, and does not
    verify until the manifest is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    _save_tensors(folder / TOWER, model.tower)
    _save_tensors(folder / RANKER, model.ranker)
    encoded = encode_items(model, items)
    write_index(folder / INDEX, encoded.vectors)
    arrays: dict[str, NDArray[Any]] = {
        "item_vectors": encoded.vectors,
        "positives": model.positives,
        "context_items": encoded.context,
        **item_item_arrays(model.item_item),
    }
    for name, array in {**arrays, **model.context()}.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    names = [TOWER, RANKER, INDEX, *(f"{name}.npy" for name in (*arrays, *CONTEXT[1:]))]
    manifest = {
        "format": FORMAT,
        "tower": asdict(model.tower.shape),
        "ranker": asdict(model.ranker.shape),
        "tokens": model.tokens,
        "genres": model.genres,
        "vocabularies": model.vocabularies,
        "context_pages": model.context_pages,
        "history": model.history,
        "calibrated": model.calibrated,
        "context_term": None if model.context_term is None else asdict(model.context_term),
        "order": model.order,
        "item_item": {"decay": model.item_item.decay},
        "metrics": model.metrics,
        "sha256": {name: _digest(folder / name) for name in names},
    }
    text = to_json(manifest).encode()
    (folder / MANIFEST).write_bytes(text)
    return hashlib.sha256(text).hexdigest()


def load_model(folder: Path) -> Model:
    """Read a model that save_model wrote, onto the CPU, ready to score.

    Raises:
        DataError: a file is missing, differs from its SHA-256, is of another format, or holds no numbers.
    """
    model, problem = load_usable(folder)
    if problem:
        raise DataError(problem)
    return model


def is_whole(folder: Path) -> bool:
    """Whether a model is there, each file as it was saved."""
    if not (folder / MANIFEST).exists():
        return False
    return not any(_problem(folder / name, digest) for name, digest in read_manifest(folder)["sha256"].items())


def load_usable(folder: Path) -> tuple[Model, str]:
    """As load_model, but a ranker that is missing or damaged is replaced by blend.simpler; why, else "".

    Raises:
        DataError: any other file is missing or damaged.
    """
    manifest = read_manifest(folder)
    problems = {name: _problem(folder / name, digest) for name, digest in manifest["sha256"].items()}
    for name, problem in problems.items():
        if problem and name != RANKER:
            raise DataError(problem)
    tower = TwoTower(TowerShape(**_tuples(manifest["tower"])))
    _fill(tower, folder / TOWER)
    shape = RankerShape(**_tuples(manifest["ranker"]))
    ranker, lacking = Ranker(shape), problems[RANKER]
    if not lacking:
        _fill(ranker, folder / RANKER)
        if not all(bool(torch.isfinite(value).all()) for value in ranker.state_dict().values()):
            lacking = f"model file {folder / RANKER} holds weights that are no numbers: train again"
    if not lacking:
        return _assembled(folder, manifest, tower, ranker), ""
    model = _assembled(folder, manifest, tower, simpler_ranker(shape))
    return replace(model, order=SIMPLER, calibrated=False, context_term=None), lacking


def _fill(module: nn.Module, path: Path) -> None:
    module.load_state_dict(load_file(path))
    module.eval().requires_grad_(False)


def _problem(path: Path, digest: str) -> str:
    if not path.exists():
        return f"model file {path} is missing: train again, or restore the folder"
    if _digest(path) != digest:
        return f"model file {path} differs from its SHA-256 in {MANIFEST}: train again"
    return ""


def _assembled(folder: Path, manifest: dict[str, Any], tower: TwoTower, ranker: Ranker) -> Model:
    return Model(
        tower,
        ranker,
        manifest["tokens"],
        manifest["genres"],
        manifest["vocabularies"],
        _item_item(folder, manifest["item_item"]["decay"]),
        manifest["order"],
        np.load(folder / POSITIVES, allow_pickle=False),
        manifest["history"],
        manifest["calibrated"],
        None if manifest["context_term"] is None else ContextTerm(**manifest["context_term"]),
        manifest["metrics"],
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The folder's model.json.

    Raises:
        DataError: there is none, or it is of another format.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"no readable {MANIFEST} in {folder}: the training of this model did not finish") from error
    if manifest.get("format") != FORMAT:
        raise DataError(f"{folder / MANIFEST} has format {manifest.get('format')}, this version reads {FORMAT}")
    return manifest


def item_item_arrays(model: ItemItem) -> dict[str, NDArray[Any]]:
    near = model.near
    arrays = (model.items, model.weights, near.watchers, near.items, near.together)
    return dict(zip(ITEM_ITEM, arrays, strict=True))


def _item_item(folder: Path, decay: float) -> ItemItem:
    """Mapped, not read: the workers of a machine share its pages."""
    items, weights, *near = (np.load(folder / f"{name}.npy", "r", allow_pickle=False) for name in ITEM_ITEM)
    return ItemItem(items, weights, decay, CoWatched(*near))


def _save_tensors(path: Path, module: nn.Module) -> None:
    save_file({name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}, path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tuples(shape: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in shape.items()}


def cpu(module: nn.Module) -> nn.Module:
    """The module on the CPU, in evaluation mode, without gradients."""
    return module.to(torch.device("cpu")).eval().requires_grad_(False)
