"""What a step in another process reports through Dagster Pipes, on both sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
from dagster_pipes import PipesContext, PipesMetadataValue

from conf import errors
from conf.errors import PermanentError, TopshelfError

TAGS, FAILURE = "tags", "failure"
_DESCRIPTION = "description"
"""Of a check: Pipes has no place for it but the check's metadata."""
_TYPES: Mapping[type[dg.MetadataValue[Any]], str] = {
    dg.TextMetadataValue: "text",
    dg.UrlMetadataValue: "url",
    dg.PathMetadataValue: "path",
    dg.JsonMetadataValue: "json",
    dg.MarkdownMetadataValue: "md",
    dg.FloatMetadataValue: "float",
    dg.IntMetadataValue: "int",
    dg.BoolMetadataValue: "bool",
    dg.NullMetadataValue: "null",
    dg.TimestampMetadataValue: "timestamp",
    dg.TableMetadataValue: "table",
}


def report(pipes: PipesContext, result: dg.MaterializeResult[Any] | dg.AssetCheckResult) -> None:
    """Send one of a body's results."""
    if isinstance(result, dg.AssetCheckResult):
        described = {**result.metadata, _DESCRIPTION: dg.MetadataValue.text(result.description or "")}
        assert result.check_name is not None
        pipes.report_asset_check(result.check_name, result.passed, result.severity.value, _metadata(described))
    else:
        # Dagster's event makes values of Dagster's out of plain ones.
        shown = dg.AssetMaterialization("any", metadata=result.metadata or {}).metadata
        pipes.report_asset_materialization(_metadata(shown))


def received(result: Any) -> Any:
    """A reported result as the body made it."""
    if not isinstance(result, dg.AssetCheckResult):
        return result
    metadata = dict(result.metadata)
    said = str(metadata.pop(_DESCRIPTION).value)
    return result._replace(metadata=metadata, description=said or None)


def failure(error: Exception) -> dict[str, str]:
    """What is told of an error: its class, the kind it is of, and its text. An unexpected one is permanent."""
    if not isinstance(error, TopshelfError):
        return {"name": type(error).__name__, "kind": PermanentError.__name__, "text": str(error)}
    kinds = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    return {"name": type(error).__name__, "kind": next(kinds), "text": str(error)}


def raised(told: Mapping[str, str]) -> TopshelfError:
    """An error of the name, the kind and the text that `failure` told."""
    kind: type[TopshelfError] = getattr(errors, told["kind"])
    found: type[TopshelfError] = type(told["name"], (kind,), {"__doc__": kind.__doc__})
    return found(told["text"])


def _metadata(values: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, PipesMetadataValue]:
    return {name: {"type": _TYPES[type(value)], "raw_value": _raw(value)} for name, value in values.items()}  # type: ignore[typeddict-item]


def _raw(value: dg.MetadataValue[Any]) -> Any:
    if not isinstance(value, dg.TableMetadataValue):
        return value.value
    columns: Iterable[dg.TableColumn] = value.schema.columns
    return {
        "records": [dict(record.data) for record in value.records],
        "schema": [{"name": column.name, "type": column.type} for column in columns],
    }
