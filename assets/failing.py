"""What becomes of an asset that fails: tried again where that can help, and told of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import dagster as dg

from assets.resources import TERMINAL_TAG, Topshelf
from conf.errors import RetryableError, TopshelfError
from conf.settings import Settings
from jobs.alerts import Alert, send

Body = Callable[[dg.AssetExecutionContext, Topshelf], Any]


def retried(body: Body) -> Body:
    """Have an asset's step tried again after a RetryableError, alerts.retries times; other errors end the run.

    Not where a person waits for the run in a terminal: they are told at once, and can try again themselves.
    """
    if inspect.isgeneratorfunction(body):

        @wraps(body)
        def steps(context: dg.AssetExecutionContext, topshelf: Topshelf) -> Iterator[Any]:
            with _retrying(context, topshelf):
                yield from body(context, topshelf)

        return steps

    @wraps(body)
    def whole(context: dg.AssetExecutionContext, topshelf: Topshelf) -> Any:
        with _retrying(context, topshelf):
            return body(context, topshelf)

    return whole


@contextmanager
def _retrying(context: dg.AssetExecutionContext, topshelf: Topshelf) -> Iterator[None]:
    try:
        yield
    except RetryableError as error:
        alerts = topshelf.settings().alerts
        if TERMINAL_TAG in context.run.tags or context.retry_number >= alerts.retries:
            raise
        wait = alerts.retry_seconds * 2**context.retry_number
        context.log.warning(f"{error}; tried again in {wait} s")
        raise dg.RetryRequested(max_retries=alerts.retries, seconds_to_wait=wait) from error


def alert(context: dg.AssetExecutionContext, settings: Settings, what: Alert) -> None:
    """Send an alert; one that cannot be sent is an error line of the run, and costs it nothing else."""
    try:
        send(settings, what)
    except TopshelfError as error:
        context.log.error(str(error))
