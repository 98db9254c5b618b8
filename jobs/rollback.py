"""Going back to an earlier generation, or passing over a bad one: one small write to the store, without Spark.

No list is rewritten. The tables follow with the next run (`jobs.ledger.Ledger.heal`), and the next plan brings every
user up to date whom the generations left behind had touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from conf.errors import DataError, PermanentError
from conf.settings import Settings
from jobs.scan import readable
from jobs.tables import PLANS, PUBLICATIONS, PUBLISHED, Table
from stores.artefact import load_artefact
from stores.base import VARIANTS, Store, choose
from stores.changing import change_control
from stores.control import MERGED, Control

_NOTHING = "nothing has been published to this store yet, so there is nothing to go back to"
LOOKED_UP = 2000
"""Up to this many users whose list may be gone are looked up in the store; of more the plans alone are asked."""


@dataclass(frozen=True)
class Change:
    """What was done to the control record, and what readers see since."""

    before: Control
    after: Control
    without_list: int
    """Users who had a list and have none any more."""


def roll_back(settings: Settings, root: str, store: Store, to: int | None, force: bool = False) -> Change:
    """Send readers back to generation `to` (None: the newest good one before the current), and end a load under way.

    root: the lake's. force: also where users are left without a list that they had in that generation.

    Raises:
        PermanentError: there is no such generation; its artefact is gone; or the rings no longer hold its lists and
            `force` was not asked for: the text gives the number of users who would be left without one.
        DataError: the tables that tell this cannot be read.
        ControlConflict: the control record kept on changing.
    """

    lost = 0

    def change(control: Control) -> Control:
        nonlocal lost
        after = control.rolled_back(to)
        _need_artefact(settings.artefacts_path, after)
        lost = 0 if _in_every_ring(control, after.current) else lists_gone(root, store, control, after)
        if lost and not force:
            raise PermanentError(
                f"going back to generation {after.current} would leave {lost:,} users without the list they had then: "
                "later loads have written over them. Go back less far, or say --force"
            )
        return after

    before, after = change_control(store, change, _NOTHING)
    return Change(before, after, lost)


def _in_every_ring(control: Control, target: int) -> bool:
    """Whether the lists of a generation are sure to be there: a load writes over a user's third newest list only.

    That holds for the generation before the current one, unless a bad one lies between: its rows take up places.
    """
    before = next(kept.number for kept in control.live if kept.number < control.current)
    return target == before and not any(number > target for number in control.bad)


def mark_bad(settings: Settings, store: Store, generation: int) -> Change:
    """Never show a generation again. Where it is the current one, readers go back to the newest good one before it.

    Raises:
        PermanentError: it was never live, is bad already, or is the only one there is.
        ControlConflict: the control record kept on changing.
    """

    def change(control: Control) -> Control:
        after = control.without(generation)
        _need_artefact(settings.artefacts_path, after)
        return after

    before, after = change_control(store, change, _NOTHING)
    return Change(before, after, 0)


def lists_gone(root: str, store: Store, control: Control, after: Control) -> int:
    """Users who had a list in generation `after.current`, and would have none under `after`, for it was overwritten.

    Raises:
        DataError: the tables that tell are not there, or do not go back so far.
    """
    base = _base_version(root, control, after.current)
    connection = duckdb.connect(":memory:")
    connection.register("lists_then", _dataset(root, PUBLISHED, base, [*PUBLISHED.key, "ring_position", "store_id"]))
    connection.register("plans", _dataset(root, PLANS))
    connection.execute(
        "CREATE TABLE touched AS SELECT DISTINCT user_id, variant FROM lists_then JOIN plans "
        "USING (user_id, variant, ring_position, store_id) WHERE store_id = ? AND plans.generation > ?",
        [control.store_id, after.current],
    )
    found = connection.execute("SELECT user_id, variant FROM touched LIMIT ?", [LOOKED_UP + 1]).fetchall()
    if len(found) <= LOOKED_UP:
        return sum(choose(store.ring(user, VARIANTS.index(variant)), after) is None for user, variant in found)
    return int(_one(connection.execute("SELECT count(*) FROM touched").fetchone()))


def attempts(root: str) -> list[dict[str, Any]]:
    """The ledger, newest attempt first, each as it last stood there; empty before the first publication."""
    if not DeltaTable.is_deltatable(f"{root}/{PUBLICATIONS.name}"):
        return []
    connection = duckdb.connect(":memory:")
    connection.register("publications", _dataset(root, PUBLICATIONS))
    rows = connection.sql(
        "SELECT * FROM publications QUALIFY row_number() OVER (PARTITION BY generation ORDER BY step DESC) = 1 "
        "ORDER BY generation DESC"
    )
    found: list[dict[str, Any]] = rows.to_arrow_table().to_pylist()
    return found


def _base_version(root: str, control: Control, generation: int) -> int:
    """The Delta version of published that has the lists as generation `generation` left them."""
    later = [
        entry
        for entry in attempts(root)
        if entry["store_id"] == control.store_id
        and entry["generation"] > generation
        and control.state_of(entry["generation"], entry["state"]) in MERGED
    ]
    if not later or later[-1]["base_version"] is None:
        raise DataError(f"the ledger does not know what came after generation {generation}: go back with --force")
    return int(later[-1]["base_version"])


def _dataset(root: str, table: Table, version: int | None = None, columns: Sequence[str] | None = None) -> Any:
    try:
        return readable(DeltaTable(f"{root}/{table.name}", version=version), columns)
    except (DeltaError, OSError) as error:
        raise DataError(f"the table {table.name} cannot be read at version {version}: {error}") from error


def _one(row: Sequence[Any] | None) -> Any:
    assert row is not None  # an aggregate has one row
    return row[0]


def _need_artefact(artefacts: Path, control: Control) -> None:
    generation = control.generation()
    assert generation is not None  # rolled_back and without leave a current one
    try:
        load_artefact(artefacts, generation.artefact_id, verify=False)
    except DataError as error:
        raise PermanentError(f"generation {generation.number} cannot be served any more: {error}") from error
