"""What a body returns, logs and raises is the same in the process of its run and in one of its own."""

import ast
import inspect
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_pipes import PipesContext, PipesDefaultContextLoader, PipesDefaultMessageWriter, PipesMappingParamsLoader

import assets
from assets import submitted
from assets.reporting import failure, raised
from assets.resources import Topshelf
from assets.runs import tag
from assets.submitting import open_session, told
from conf.errors import ConfigError, DataError, PermanentError, RetryableError
from jobs.gate import Check, GateFailed

METADATA = {
    "text": "some", "count": 3, "share": 0.5, "done": True, "nothing": None, "all": {"a": [1, None]},
    "path": dg.MetadataValue.path("models/m"), "url": dg.MetadataValue.url("http://127.0.0.1"),
    "plot": dg.MetadataValue.md("![](data:)"), "at": dg.MetadataValue.timestamp(1.5),
    "table": dg.MetadataValue.table([dg.TableRecord({"name": name, "rows": 2}) for name in "ab"]),
}  # fmt: skip
FAILED = GateFailed(7, (Check("coverage", False, 0.2, 0.9, "one in five"),))
ERRORS = [ConfigError("a.b"), DataError("row 3"), RetryableError("busy"), FAILED, KeyError("lost")]


def body(context: Any, topshelf: Topshelf, error: Exception | None) -> Iterator[Any]:
    context.log.info(f"{context.partition_key} for {context.run.tags['asked']}")
    tag(context, generation=7)
    for passed, said in ((True, "fine"), (False, None)):
        yield dg.AssetCheckResult(
            passed=passed, check_name=f"check_{passed}", severity=dg.AssetCheckSeverity.WARN, description=said,
            metadata={"value": 0.5},
        )  # fmt: skip
    if error is not None:
        raise error
    yield dg.MaterializeResult(metadata=METADATA)


def here(context: dg.AssetExecutionContext, topshelf: Topshelf, error: Exception | None) -> Iterator[Any]:
    yield from body(context, topshelf, error)


def elsewhere(context: dg.AssetExecutionContext, topshelf: Topshelf, error: Exception | None) -> Iterator[Any]:
    """Over real files and messages of Pipes; only the second process is missing."""
    sent = {"tags": dict(context.run.tags)}
    with open_session(context, sent) as session:
        parameters = PipesMappingParamsLoader(session.get_bootstrap_env_vars())
        with (
            PipesContext(parameters, PipesDefaultContextLoader(), PipesDefaultMessageWriter()) as pipes,
            nullcontext() if error is None else suppress(type(error)),
        ):
            submitted.run(pipes, lambda *given: body(*given, error), topshelf)
    yield from told(context, session)


def seen(run: Callable[..., Iterator[Any]], error: Exception | None) -> dict[str, Any]:
    """What a run of one asset leaves in Dagster."""

    @dg.asset(
        partitions_def=dg.StaticPartitionsDefinition(["now"]),
        check_specs=[dg.AssetCheckSpec(f"check_{passed}", asset="made") for passed in (True, False)],
    )
    def made(context: dg.AssetExecutionContext, topshelf: Topshelf) -> Iterator[Any]:
        yield from run(context, topshelf, error)

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [made], instance=instance, partition_key="now", tags={"asked": "ann"}, raise_on_error=False,
            resources={"topshelf": Topshelf()},
        )  # fmt: skip
        records = instance.all_logs(result.run_id)
        failures = [event.step_failure_data.error.cause for event in result.all_events if event.is_step_failure]
        return {
            "metadata": [one.metadata for one in result.asset_materializations_for_node("made")],
            "checks": [(one.check_name, one.passed, one.severity, one.description, one.metadata)
                       for one in result.get_asset_check_evaluations()],
            "said": [one.user_message for one in records if one.user_message == "now for ann"],
            "tags": instance.get_run_by_id(result.run_id).tags["topshelf/generation"],
            "failures": [(cause.cls_name, cause.message.partition(": ")[2]) for cause in failures],
        }  # fmt: skip


def test_what_a_step_reports_is_the_same_from_a_process_of_its_own() -> None:
    seen_here = seen(here, None)
    assert len(seen_here["metadata"][0]) >= len(METADATA)
    assert [check[:4] for check in seen_here["checks"]] == [
        ("check_True", True, dg.AssetCheckSeverity.WARN, "fine"),
        ("check_False", False, dg.AssetCheckSeverity.WARN, None),
    ]
    assert (seen_here["said"], seen_here["tags"]) == (["now for ann"], "7")
    assert seen(elsewhere, None) == seen_here


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_step_fails_as_it_would_here_with_its_checks(error: Exception) -> None:
    seen_here, seen_there = seen(here, error), seen(elsewhere, error)
    assert seen_there == seen_here
    assert seen_here["failures"][0][0] == type(error).__name__
    assert (seen_here["metadata"], len(seen_here["checks"])) == ([], 2)


@pytest.mark.parametrize(
    ("error", "kind"),
    list(zip(ERRORS, [ConfigError, DataError, RetryableError, PermanentError, PermanentError], strict=True)),
)
def test_an_error_is_of_the_same_kind(error: Exception, kind: type[Exception]) -> None:
    again = raised(failure(error))
    assert (type(again).__bases__, str(again)) == ((kind,), str(error))


def test_bodies_ask_a_context_for_nothing_that_a_submitted_step_lacks() -> None:
    known = {name for name in dir(submitted.StepContext) if not name.startswith("_")}
    of_the_run_only = {"failing.py", "submitting.py", "steps.py", "arrivals.py"}
    asked = {
        (file.name, node.attr)
        for file in Path(inspect.getfile(assets)).parent.glob("*.py")
        if file.name not in of_the_run_only
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "context"
    }
    assert {"partition_key", "log", "run", "instance"} <= {attribute for _, attribute in asked}
    assert [one for one in sorted(asked) if one[1] not in known] == []
