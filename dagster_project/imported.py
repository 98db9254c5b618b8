"""What an import from the command line brought, told to Dagster, whose UI shows items and users by it."""

from __future__ import annotations

from typing import Any

import dagster as dg

from assets.samples import contents
from conf.errors import RetryableError
from conf.settings import Settings
from dagster_project.instance import prepare_instance
from jobs.imports.report import ImportReport
from jobs.lake import Lake
from jobs.tables import ITEMS, USERS


def tell(settings: Settings, lake: Lake, report: ImportReport) -> None:
    """Record that items and users were written, with what is in them now.

    Raises:
        RetryableError: Dagster's storage cannot be written; everything is imported all the same.
    """
    written = {count.name: count for count in report.tables}
    try:
        with dg.DagsterInstance.from_config(str(prepare_instance(settings))) as instance:
            for table in (ITEMS, USERS):
                if table.name in written:
                    count = written[table.name]
                    shown: dict[str, Any] = {
                        "import": report.import_id,
                        "new rows": count.new,
                        "changed rows": count.changed,
                    }
                    instance.report_runless_asset_event(
                        dg.AssetMaterialization(table.name, metadata={**shown, **contents(lake, table)})
                    )
    except Exception as error:
        raise RetryableError(f"everything is imported, and Dagster could not be told of it: {error}") from error
