"""What spark-submit starts: one asset's body, told of through Dagster Pipes."""

from __future__ import annotations

from inspect import unwrap

from dagster._core.definitions.decorators.op_decorator import DecoratedOpFunction
from dagster_pipes import open_dagster_pipes

from assets import submitted
from assets.failing import Body
from conf.settings import Settings
from dagster_project.build import build


def body_of(settings: Settings, asset: str) -> Body:
    """The body of an asset, without what starts it elsewhere and tries it again."""
    compute = build(settings).resolve_assets_def(asset).op.compute_fn
    assert isinstance(compute, DecoratedOpFunction)
    body: Body = unwrap(compute.decorated_fn)
    return body


def main() -> None:
    """Raises as the body does, so that spark-submit ends with an exit code other than 0."""
    with open_dagster_pipes() as pipes:
        submitted.end_with(pipes.extras["process"])
        topshelf = submitted.given(pipes)
        submitted.run(pipes, body_of(topshelf.settings(), pipes.extras["asset"]), topshelf)


if __name__ == "__main__":
    main()
