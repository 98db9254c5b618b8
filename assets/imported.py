"""items and users: made by `topshelf import`, not by a run."""

import dagster as dg

from assets.metadata import column_schema
from jobs.tables import ITEMS, USERS


def imported_assets() -> list[dg.AssetSpec]:
    return [
        dg.AssetSpec(
            table.name,
            group_name="data",
            kinds={"deltalake"},
            description=f"{table.doc} Written by `topshelf import DIR`.",
            metadata={"dagster/column_schema": column_schema(table)},
        )
        for table in (ITEMS, USERS)
    ]
