"""What Dagster loads. Reading settings is all it does: nothing is connected to before an asset runs."""

from __future__ import annotations

import os

import dagster as dg

from conf.loading import load
from dagster_project.build import build


@dg.definitions
def topshelf() -> dg.Definitions:
    return build(load(os.environ).settings)
