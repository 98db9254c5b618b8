"""The catalogue as models and artefacts read it: whole, in the order of item_no."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from conf.errors import DataError
from jobs.lake import Lake
from jobs.tables import ITEMS
from models.types import CatalogueArrays
from stores.artefact import Artefact


def catalogue(lake: Lake) -> pa.Table:
    """The items table, row i being item_no i."""
    items = lake.need(ITEMS, "`topshelf import DIR`").orderBy("item_no").toArrow()
    if items.num_rows == 0:
        raise DataError("the items table is empty: import a catalogue first")
    numbers = items["item_no"].to_numpy()
    if (numbers != np.arange(len(numbers))).any():
        gap = int(np.flatnonzero(numbers != np.arange(len(numbers)))[0])
        raise DataError(f"items: item_no {gap} is missing or there twice; numbers run from 0 without a gap")
    return items


def arrays_of(artefact: Artefact) -> CatalogueArrays:
    """What filters read of an artefact."""
    return CatalogueArrays(
        artefact.active,
        artefact.maturity,
        artefact.licensed,
        artefact.available_from,
        artefact.available_until,
        artefact.genres,
        artefact.primary_genre,
    )
