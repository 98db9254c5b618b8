"""SQL over the Delta tables: DuckDB in memory, the tables read through deltalake, nothing written, no network.

DuckDB's own Delta extension is a download, so it is not used, and the loading of extensions is off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from conf.errors import DataError, PermanentError
from conf.rules import Rules
from jobs.scan import readable
from jobs.tables import (
    EVENTS,
    FORGOTTEN,
    IMPORTS,
    ITEMS,
    PUBLICATIONS,
    PUBLISHED,
    REJECTED_EVENTS,
    REJECTS,
    SERVED,
    TABLES,
    USERS,
    Table,
)

if TYPE_CHECKING:
    import pyarrow as pa

IMPORTED = {ITEMS.name, USERS.name, EVENTS.name, IMPORTS.name}
LOCKS = (
    "SET TimeZone = 'UTC'",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_MISSING = re.compile(r"Table with name \"?([\w.]+)\"? does not exist")


@dataclass(frozen=True)
class View:
    """A view that makes questions short."""

    name: str
    doc: str
    columns: tuple[tuple[str, str], ...]
    needs: tuple[Table, ...]
    sql: Callable[[Rules], str]


def _lists(_: Rules) -> str:
    return (
        "SELECT user_id, generation, hour, variant, list_transform(items, lambda item: item.item_id) AS items "
        "FROM published"
    )


def _recommendation_items(rules: Rules) -> str:
    return f"""
        SELECT listed.user_id, listed.item.item_id AS item_id, listed.rank, listed.item.score AS score,
               listed.item.source AS source, {_reason(rules)} AS reason, listed.hour, listed.variant
        FROM (
            SELECT user_id, hour, variant, unnest(items) AS item, generate_subscripts(items, 1) AS rank FROM published
        ) AS listed
        LEFT JOIN items AS anchors ON listed.item.source = 'similar' AND anchors.item_id = listed.item.anchor
    """  # noqa: S608  # no text of a user's: the words of the rules are quoted


def _reason(rules: Rules) -> str:
    """CASE over the candidate source, in the words of the rules, the same words the service uses."""
    anchors = {"similar": "anchors.title", "genre": "listed.item.anchor"}
    cases = []
    for source in ("ann", "similar", "genre", "trending", "new", "popular"):
        words = _quote(rules.reasons.text(source, "{anchor}"))
        if source in anchors:
            without = _quote(rules.reasons.text(source, None))
            words = f"coalesce(replace({words}, '{{anchor}}', {anchors[source]}), {without})"
        cases.append(f"WHEN '{source}' THEN {words}")
    return f"CASE listed.item.source {' '.join(cases)} END"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _served_items(_: Rules) -> str:
    return (
        "SELECT request_id, user_id, context, unnest(item_ids) AS item_id, unnest(positions) AS position, "
        "unnest(propensities) AS propensity, unnest(tiers) AS tier, assigned, variant, generation, timestamp "
        "FROM served"
    )


def _attempts(_: Rules) -> str:
    return (
        "SELECT * FROM publications QUALIFY row_number() OVER (PARTITION BY generation ORDER BY step DESC) = 1 "
        "ORDER BY generation"
    )


VIEWS = (
    View(
        "lists",
        "Each user's live list.",
        (
            ("user_id", "Whose list"),
            ("generation", "The publication that wrote it"),
            ("hour", "Start of the hour it was made for"),
            ("variant", "champion, or the challenger being tried"),
            ("items", "item_ids, best first"),
        ),
        (PUBLISHED,),
        _lists,
    ),
    View(
        "recommendation_items",
        "One row an item of a live list.",
        (
            ("user_id", "Whose list"),
            ("item_id", "The item"),
            ("rank", "Place in the list, from 1"),
            ("score", "Score of the item, higher is better"),
            ("source", "ann, similar, genre, trending, new or popular"),
            ("reason", "The reason in words, as the service gives it"),
            ("hour", "Start of the hour the list was made for"),
            ("variant", "champion, or the challenger being tried"),
        ),
        (PUBLISHED, ITEMS),
        _recommendation_items,
    ),
    View(
        "served_items",
        "One row an item that was shown.",
        (
            ("request_id", "The answer"),
            ("user_id", "Who; null: nobody was named"),
            ("context", "home, shelves, search or similar"),
            ("item_id", "The item"),
            ("position", "Where it stood, from 0 over all pages of a cursor"),
            ("propensity", "Probability with which it came to its position; 1 where nothing is drawn by chance"),
            ("tier", "What it is from: personalized, segment, popular, …"),
            ("assigned", "The variant that the user belongs to"),
            ("variant", "The variant that the page is of"),
            ("generation", "The publication that was served"),
            ("timestamp", "When it was shown"),
        ),
        (SERVED,),
        _served_items,
    ),
    View(
        "attempts",
        "One row an attempt at a publication: as it last stood in the ledger, with all columns of publications.",
        (("generation", "Number of the attempt"), ("state", "Its last state"), ("…", "As in publications")),
        (PUBLICATIONS,),
        _attempts,
    ),
)


class Query:
    """A read-only connection to the lake below `root` (a folder, or s3a://…).

    Only the tables that a query names are opened, so a question about one table costs nothing for the others.
    """

    def __init__(self, root: str, rules: Rules, versions: Mapping[str, int] | None = None) -> None:
        """versions: of tables that are asked as they were."""
        self._root = re.sub("^s3a://", "s3://", root.rstrip("/"))
        self._rules = rules
        self._versions = versions or {}

    def ask(self, sql: str) -> duckdb.DuckDBPyRelation:
        """The rows of one SELECT (also WITH, FROM, DESCRIBE, SUMMARIZE).

        Raises:
            DataError: a table that it names does not exist, or was never written; the text says what to do.
            PermanentError: the SQL is wrong, or is not one reading statement.
        """
        connection = duckdb.connect(
            ":memory:", config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
        )
        try:
            self._must_read(connection, sql)
            self._register(connection, sql)
            for lock in LOCKS:
                connection.execute(lock)
            return connection.sql(sql)
        except duckdb.CatalogException as error:
            raise self._explain(error) from None
        except duckdb.Error as error:
            raise PermanentError(str(error)) from None

    def written(self, table: Table) -> bool:
        return DeltaTable.is_deltatable(self._path(table))

    def _open(self, table: Table) -> DeltaTable:
        version = self._versions.get(table.name)
        try:
            return DeltaTable(self._path(table), version=version)
        except DeltaError as error:
            raise DataError(f"the table {table.name} does not go back to its version {version}: {error}") from error

    def _path(self, table: Table) -> str:
        return f"{self._root}/{table.name}"

    @staticmethod
    def _must_read(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise PermanentError("`topshelf sql` takes one reading statement, such as SELECT … or DESCRIBE table")

    def _register(self, connection: duckdb.DuckDBPyConnection, sql: str) -> None:
        words = set(re.findall(r"\w+", sql.lower()))
        views = [view for view in VIEWS if view.name in words]
        wanted = words | {table.name for view in views for table in view.needs}
        found = [table for table in TABLES if table.name in wanted and self.written(table)]
        for table in found:
            connection.register(table.name, readable(self._open(table)))
        for view in views:
            if all(table in found for table in view.needs):
                connection.execute(f"CREATE VIEW {view.name} AS {view.sql(self._rules)}")

    def _explain(self, error: duckdb.CatalogException) -> PermanentError:
        match = _MISSING.search(str(error))
        if match is None:
            return PermanentError(str(error))
        name = match.group(1).lower()
        view = next((view for view in VIEWS if view.name == name), None)
        absent = [table for table in (view.needs if view else TABLES) if not self.written(table)]
        if view is not None or name in {table.name for table in absent}:
            table = absent[0] if view else next(table for table in absent if table.name == name)
            return DataError(f"{name} is not there yet: {writes(table)}")
        known = ", ".join([table.name for table in TABLES] + [view.name for view in VIEWS])
        return DataError(f"there is no table {match.group(1)}; there are: {known}")


def writes(table: Table) -> str:
    """Which command writes a table, in words."""
    if table is REJECTS:
        return "`topshelf import DIR` writes it when it meets a row that it cannot take"
    if table is REJECTED_EVENTS:
        return "`topshelf run`, `topshelf ingest` and `topshelf stream` write it when they meet such a record"
    if table is FORGOTTEN:
        return "`topshelf forget` writes it"
    if table.name in IMPORTED:
        return "`topshelf import DIR` writes it"
    return "`topshelf run` writes it"


def batches(relation: duckdb.DuckDBPyRelation, rows: int = 50_000) -> pa.RecordBatchReader:
    """The rows of a relation in Arrow batches.

    Raises:
        PermanentError: the query fails while it runs, such as on a cast.
    """
    try:
        return relation.to_arrow_reader(rows)
    except duckdb.Error as error:
        raise PermanentError(str(error)) from None
