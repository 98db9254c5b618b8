"""Settings of how the pipeline is watched."""

from __future__ import annotations

from pydantic import Field, HttpUrl

from conf.section import Positive, Section


class Alerts(Section):
    webhook: HttpUrl | None = Field(
        description="Where alerts are posted as JSON with a `text`, as chat services take it; empty: only logged"
    )
    late_minutes: Positive = Field(description="Minutes after an hour's end by which it must be published")
    retries: int = Field(
        ge=0, description="Times that a step of a scheduled run is tried again when something was busy or away"
    )
    retry_seconds: Positive = Field(description="Before the first of these; each waits twice as long as the one before")
