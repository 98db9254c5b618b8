"""What the Delta tables know of users, read without Spark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from conf.errors import DataError
from jobs.scan import readable
from jobs.tables import EVENTS, ITEMS, PUBLISHED, USER_FEATURES, USERS, Table

USERS_SHOWN, EVENTS_SHOWN = 20, 60
FEATURES_READ = (
    "recent_watches", "watched", "favorite_genres", "watches", "age_band", "gender", "region", "subscription_tier",
    "maturity_limit", "last_active",
)  # fmt: skip


class Tables:
    """Questions about one user. Each reads what it needs of a table, so on a large lake they take their time."""

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/").replace("s3a://", "s3://", 1)

    def users(self, prefix: str) -> list[str]:
        """Ids, in their order, that begin with `prefix`: of users who have a list, or else of all who are known."""
        for table in (PUBLISHED, USERS):
            found = self._ask(
                table,
                ["user_id"],
                "SELECT DISTINCT user_id FROM t WHERE starts_with(user_id, $prefix) ORDER BY ALL LIMIT $most",
                {"prefix": prefix, "most": USERS_SHOWN},
            )
            if found is not None and found.num_rows:
                return [str(one) for one in found["user_id"].to_pylist()]
        return []

    def knows(self, user_id: str) -> bool:
        """Whether the user is in the table users."""
        found = self._ask(USERS, ["user_id"], "SELECT 1 FROM t WHERE user_id = $user LIMIT 1", {"user": user_id})
        return found is not None and found.num_rows > 0

    def item(self, item_id: str) -> bool:
        """Whether the item is in the table items, which may be newer than what is served."""
        found = self._ask(ITEMS, ["item_id"], "SELECT 1 FROM t WHERE item_id = $item LIMIT 1", {"item": item_id})
        return found is not None and found.num_rows > 0

    def history(self, user_id: str) -> list[dict[str, Any]]:
        """The user's newest events, newest first; what the service has logged since the last ingest is not in it."""
        found = self._ask(
            EVENTS,
            ["user_id", "item_id", "event_type", "rating", "completed", "timestamp"],
            "SELECT * EXCLUDE user_id FROM t WHERE user_id = $user ORDER BY timestamp DESC LIMIT $most",
            {"user": user_id, "most": EVENTS_SHOWN},
        )
        return [] if found is None else found.to_pylist()

    def features(self, user_id: str, version: int) -> pa.RecordBatch | None:
        """The user's row as scoring reads it, of that version of user_features; None: there is no row.

        Raises:
            DataError: the version is not there any more.
        """
        found = self._ask(
            USER_FEATURES,
            ["user_id", *FEATURES_READ],
            """
            SELECT list_transform(list_filter(recent_watches, lambda w: w.liked), lambda w: w.item_no) AS liked,
                   watched, favorite_genres, watches, age_band, gender, region, subscription_tier, maturity_limit,
                   last_active
            FROM t WHERE user_id = $user
            """,
            {"user": user_id},
            version,
        )
        if found is None or not found.num_rows:
            return None
        batch: pa.RecordBatch = found.combine_chunks().to_batches()[0]
        return batch

    def _ask(
        self, table: Table, columns: Sequence[str] | None, sql: str, values: dict[str, Any], version: int | None = None
    ) -> pa.Table | None:
        """None: the table was never written."""
        path = f"{self._root}/{table.name}"
        if not DeltaTable.is_deltatable(path):
            return None
        try:
            found = readable(DeltaTable(path, version=version), columns)
            with duckdb.connect(":memory:") as connection:
                connection.execute("SET TimeZone = 'UTC'")
                connection.register("t", found)
                return connection.sql(sql, params=values).to_arrow_table()
        except (DeltaError, OSError, duckdb.Error) as error:
            which = "" if version is None else f", version {version}, which upkeep or an erasure may have removed,"
            raise DataError(f"the table {table.name}{which} cannot be read: {error}") from error
