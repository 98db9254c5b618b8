"""`topshelf sql`: questions in SQL over the Delta tables."""

from __future__ import annotations

import contextlib
import csv
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.context import Context, pass_context, set_option
from conf.errors import PermanentError

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyRelation

    from cli.query import Query


@click.command()
@click.argument("query", required=False)
@click.option("--json", "form", flag_value="json", help="Print a JSON array, one object a row.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV; lists are JSON inside their cell.")
@click.option("--parquet", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Write a Parquet file.")
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(min=0), help="Rows of the printed table; 0: all."
)
@click.option(
    "--as-of", type=click.IntRange(min=1), metavar="GENERATION", help="The tables as they belong to a publication."
)
@set_option
@pass_context
def sql(
    context: Context, query: str | None, form: str | None, parquet: Path | None, limit: int, as_of: int | None
) -> None:
    """Ask the Delta tables a question in SQL (DuckDB's). Nothing can be written.

    Without a query: lists the tables and views with their columns. docs/tables.md says what each column means.

    \b
    topshelf sql "SELECT * FROM lists LIMIT 3"
    topshelf sql "SELECT source, count(*) FROM recommendation_items WHERE rank <= 20 GROUP BY ALL"
    topshelf sql "SELECT * FROM events WHERE user_id = '1'" --parquet events.parquet
    topshelf sql --as-of 41 "SELECT items FROM lists WHERE user_id = '1'"

    docs/analysis.md has a dozen questions ready to ask.
    """
    from cli.query import Query, batches
    from jobs.as_of import versions_of

    root = context.settings.lake_root
    lake = Query(root, context.rules, None if as_of is None else versions_of(root, as_of))
    if query is None:
        _list_tables(context, lake)
        return
    relation = lake.ask(query)
    if parquet is not None:
        count = _write_parquet(batches(relation), parquet)
        click.echo(f"{count:,} rows written to {parquet}", err=True)
    elif form == "json":
        _print_json(batches(relation))
    elif form == "csv":
        _print_csv(batches(relation))
    else:
        _print_table(context, relation, limit)


def _list_tables(context: Context, lake: Query) -> None:
    from cli.output import table, wide
    from cli.query import VIEWS, writes
    from jobs.tables import TABLES

    body = [
        (made.name, ", ".join(made.columns), made.doc if lake.written(made) else f"{made.doc} Not yet: {writes(made)}.")
        for made in TABLES
    ]
    body += [(view.name, ", ".join(name for name, _ in view.columns), f"{view.doc} (view)") for view in VIEWS]
    wide(context.console).print(table(["table", "columns", "one row"], body))


def _print_table(context: Context, relation: DuckDBPyRelation, limit: int) -> None:
    import pyarrow.types as kinds

    from cli.output import rows, table, wide
    from cli.query import batches

    shown = batches(relation.limit(limit + 1) if limit else relation).read_all()
    numeric = [
        place
        for place, field in enumerate(shown.schema)
        if kinds.is_integer(field.type) or kinds.is_floating(field.type)
    ]
    kept = shown.slice(0, limit) if limit else shown
    body = itertools.chain.from_iterable(rows(batch) for batch in kept.to_batches())
    wide(context.console).print(table(shown.schema.names, body, numeric))
    if limit and shown.num_rows > limit:
        click.echo(f"… the first {limit:,} rows; --limit 0 prints all, --csv, --json and --parquet give all", err=True)


def _print_json(reader: pa.RecordBatchReader) -> None:
    from cli.output import json_lines

    opening = "["
    for line in itertools.chain.from_iterable(json_lines(batch) for batch in reader):
        click.echo(f"{opening}{line}", nl=False)
        opening = ",\n "
    click.echo("[]" if opening == "[" else "]")


def _print_csv(reader: pa.RecordBatchReader) -> None:
    from cli.output import csv_rows

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(reader.schema.names)
    for batch in reader:
        writer.writerows(csv_rows(batch))


def _write_parquet(reader: pa.RecordBatchReader, path: Path) -> int:
    """Write all batches, whole or not at all; returns the number of rows.

    Raises:
        PermanentError: the file cannot be written.
    """
    import pyarrow.parquet as pq

    partial = path.with_name(path.name + ".partial")
    count = 0
    try:
        with pq.ParquetWriter(partial, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
                count += batch.num_rows
        partial.replace(path)
    except OSError as error:
        raise PermanentError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # what went wrong before is what counts
            partial.unlink(missing_ok=True)
    return count
