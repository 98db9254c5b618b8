"""What gunicorn calls in each worker, after the fork."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from flask import Flask

from conf.rules import Rules
from conf.settings import Settings
from serving.app import create_app
from serving.follower import Follower
from serving.metrics import Metrics
from serving.secrets import token_secret
from stores.opening import open_eventlog, open_sessions, open_store

SETTINGS_FILE, RULES_FILE = "settings.json", "rules.json"


def build(folder: str) -> Flask:
    """The app for the settings and rules that `topshelf serve` left in `folder`. Starts with the store down."""
    settings = Settings.model_validate_json((Path(folder) / SETTINGS_FILE).read_bytes())
    rules = Rules.model_validate_json((Path(folder) / RULES_FILE).read_bytes())
    metrics = Metrics()
    store = open_store(settings)
    follower = Follower(store, settings.artefacts_path, settings.serving.follow_seconds, metrics)
    follower.poll()
    follower.start()
    return create_app(
        store=store,
        follower=follower,
        sessions=open_sessions(settings),
        eventlog=open_eventlog(settings, f"{os.getpid()}-{secrets.token_hex(4)}", time.time),
        settings=settings,
        rules=rules,
        secret=token_secret(settings),
        clock=time.time,
        metrics=metrics,
    )
