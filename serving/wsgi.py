"""What gunicorn calls in each worker, after the fork."""

from __future__ import annotations

import atexit
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from flask import Flask

from conf.errors import TopshelfError
from conf.rules import Rules
from conf.settings import Settings
from serving.app import create_app
from serving.follower import Follower
from serving.metrics import Metrics
from serving.search import Searcher
from serving.secrets import token_secret
from stores.base import Timeouts
from stores.opening import open_eventlog, open_reader, open_sessions, open_shown, open_store

FOLLOWING = Timeouts(connect=1, read=1, retries=0)
"""Of looks at the control record: no request waits for them, but a worker's start does."""
SETTINGS_FILE, RULES_FILE = "settings.json", "rules.json"


def preload(folder: str) -> None:
    """Import what `build` will need; for the process that the workers are forked from. Nothing is opened."""
    open_reader(_settings(folder))


def build(folder: str, clock: Callable[[], float] = time.time) -> Flask:
    """The app for the settings and rules that `topshelf serve` left in `folder`. Starts with the store down.

    clock: epoch seconds.
    """
    settings = _settings(folder)
    rules = Rules.model_validate_json((Path(folder) / RULES_FILE).read_bytes())
    metrics = Metrics()
    follower = Follower(
        open_store(settings, FOLLOWING), settings.artefacts_path, settings.serving.follow_seconds, metrics
    )
    follower.poll()
    follower.start()
    reader = open_reader(settings)
    with suppress(TopshelfError):  # only so that the first request finds a connection; it will see for itself
        reader.read_control()
    writer = f"{os.getpid()}-{secrets.token_hex(4)}"
    shown = open_shown(settings, writer, metrics.shown_dropped.inc)
    atexit.register(shown.close)
    return create_app(
        store=reader,
        follower=follower,
        sessions=open_sessions(settings),
        eventlog=open_eventlog(settings, writer, clock),
        settings=settings,
        rules=rules,
        secret=token_secret(settings),
        clock=clock,
        metrics=metrics,
        searcher=Searcher(metrics),
        shown=shown,
    )


def _settings(folder: str) -> Settings:
    return Settings.model_validate_json((Path(folder) / SETTINGS_FILE).read_bytes())
