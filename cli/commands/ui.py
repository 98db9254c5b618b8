"""`topshelf ui`: the pipeline in the Dagster UI, and the page that an operator opens first."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

import click

from cli.commands.inspect import PORT
from cli.context import Context, pass_context, set_option

ROOT = Path(__file__).parents[2]
DEV_NOTICE = "Function `dev_command` is superseded"
"""`dagster dev` announces `dg dev`, which wants a project layout of its own and no workspace.yaml."""
EVERYWHERE = "0.0.0.0"  # noqa: S104  # compared with, never listened on


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address it listens on; it asks for no password.")
@click.option(
    "--front-port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Port of the first page and of `topshelf inspect`, on 127.0.0.1 alone; 0: any free one.",
)
@set_option
@pass_context
def ui(context: Context, port: int, host: str, front_port: int) -> None:
    """Open the pipeline in the Dagster UI, with a first page that says how things stand.

    The first page tells whether the last hour is published, how fresh is what users see, what changed and what it
    costs, and leads to the runs; the operators' page of `topshelf inspect` is beside it. Runs until Ctrl-C. The
    schedules are off until you turn them on in Dagster. docs/dagster.md walks through it.
    """
    from cli.inspecting.server import pages
    from dagster_project.instance import prepare_instance

    home = prepare_instance(context.settings).absolute()
    shown = "127.0.0.1" if host == EVERYWHERE else host
    dagster = f"http://{shown}:{port}"
    command = [
        *(sys.executable, "-W", f"ignore:{DEV_NOTICE}", "-m", "dagster", "dev"),
        *("-w", str(ROOT / "workspace.yaml"), "-h", host, "-p", str(port)),
    ]
    with pages(context, front_port, dagster) as (server, url):
        click.echo(f"how things stand: {url}/now\nthe Dagster UI:   {dagster}, in some seconds\nCtrl-C ends both")
        sys.stdout.flush()
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        code = _until_ended(command, {**context.child_environment(), "DAGSTER_HOME": str(home)})
        server.shutdown()
        serving.join()
    sys.exit(code)


def _until_ended(command: list[str], env: dict[str, str]) -> int:
    """Run a program until it ends by itself or we are told to end, by Ctrl-C or SIGTERM; its exit status.

    It is a group of its own, so that it hears of Ctrl-C once, from us, and is given all the time it takes to end what
    it has started.
    """
    started: list[subprocess.Popen[bytes]] = []

    def end(_: int, __: FrameType | None) -> None:
        for child in started:
            child.send_signal(signal.SIGINT)

    # Before the start: a program inherits that SIGINT is ignored, as a shell has it for what runs in the background.
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        started.append(subprocess.Popen(command, env=env, process_group=0))
        return started[0].wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
