"""What `topshelf forget` works with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from cli.context import Context

if TYPE_CHECKING:
    from jobs.forget import Forgetting


@contextmanager
def forgetting(context: Context, say: Callable[[str], None]) -> Iterator[Forgetting]:
    """Stores are closed afterwards. say: told what is being done."""
    from dagster_project.forgetting import forget as from_history
    from jobs.forget import Forgetting
    from jobs.lake import Lake
    from jobs.spark import spark_session
    from stores.opening import open_sessions, open_store

    settings = context.settings

    def open_lake() -> Lake:
        # The context's would share the lake with itself.
        with _java_says_elsewhere():
            return Lake(spark_session(settings), settings.lake_root)

    with open_store(settings) as store, closing(open_sessions(settings)) as sessions:
        yield Forgetting(
            settings=settings,
            store=store,
            sessions=sessions,
            open_lake=open_lake,
            now=context.now,
            say=say,
            elsewhere={"history of Dagster, runs": lambda users: from_history(settings, users)},
        )


@contextmanager
def _java_says_elsewhere() -> Iterator[None]:
    """Delta's vacuum prints a line a table to standard output, where it would stand among a command's JSON."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
