"""What an import assumes about the data, in sentences for whoever imports it."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql.types import DataType

from jobs.imports.layouts import GENRE_FLAG, Layout
from jobs.tables import CONTEXT, EVENTS, ITEMS, USERS

_SET_BY_US = {"item_no", "ingested_at", "date", "hour"}
TAKEN = {
    "items": set(ITEMS.columns) - _SET_BY_US,
    "users": set(USERS.columns),
    "events": (set(EVENTS.columns) - _SET_BY_US) | set(CONTEXT.fieldNames()),
}
_MOVIELENS_TAKEN = {
    "items": {"item_id", "title", "genres", "release_date"},
    "users": {"user_id", "age", "gender"},
    "events": {"user_id", "item_id", "rating", "timestamp"},
    "tags": {"user_id", "item_id", "tag", "timestamp"},
}


def assumptions(layout: Layout, role: str, types: Mapping[str, DataType]) -> list[str]:
    """Sentences about one file, from the columns it has."""
    name = layout.sources[role].name
    taken = _MOVIELENS_TAKEN[role] if layout.is_movielens else TAKEN[role]
    left = [column for column in types if column not in taken and not column.startswith(GENRE_FLAG)]
    notes = [f"{name}: not taken, for there is no place for it: {', '.join(left)}."] if left else []
    match role:
        case "items":
            if "maturity" not in types:
                notes.append("The items have no maturity column: all are taken as fit for everybody (maturity 0).")
            if "regions" not in types:
                notes.append("The items have no regions column: all are taken as licensed everywhere ('*').")
        case "users" if not layout.is_movielens and "maturity_limit" not in types:
            notes.append("The users have no maturity_limit column: everybody sees maturity 0 only.")
        case "events" if layout.is_movielens:
            notes.append(
                "Each rating became a watch and a rate event: from 4 on a completed one, below not, so no positive."
            )
        case "events" if "users" not in layout.sources:
            notes.append("There is no users file: users are those seen in events, with maturity limit 0 unless known.")
    return notes
