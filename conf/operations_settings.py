"""Settings of how the pipeline is watched."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, HttpUrl

from conf.section import Positive, Section, Share


class Alerts(Section):
    webhook: HttpUrl | None = Field(
        description="Where alerts are posted as JSON with a `text`, as chat services take it; empty: only logged"
    )
    late_minutes: Positive = Field(description="Minutes after an hour's end by which it must be published")
    retries: int = Field(
        ge=0, description="Times that a step of a scheduled run is tried again when something was busy or away"
    )
    retry_seconds: Positive = Field(description="Before the first of these; each waits twice as long as the one before")


Owner = Annotated[str, Field(pattern=r"^(team:.+|[^@\s]+@[^@\s]+\.[^@\s.]+)$")]


class Dagster(Section):
    """What the Dagster UI says of us."""

    owners: tuple[Owner, ...] = Field(
        description="Who answers for the assets: e-mail addresses, or groups written team:NAME"
    )


class Tracking(Section):
    """MLflow, to which trainings are logged, and where their models are registered."""

    enabled: bool = Field(description="Whether trainings are logged")
    uri: str | None = Field(description="Its tracking address; empty: a SQLite file in the home folder")
    experiment: str = Field(min_length=1, description="Name of the experiment, and of the registered model")
    files: bool = Field(description="Whether a model's files are uploaded, too, for others to fetch them there")


class Health(Section):
    """Beyond these, what an hour reads looks odd. Its checks warn; they stop nothing."""

    least_events: Positive = Field(description="Events of the hour a week before, from which on volumes are compared")
    max_volume_change: float = Field(ge=0, description="Largest change of an hour's events in a week, as a share")
    max_bare: Share = Field(description="Largest share of watches that tell no length")
    max_skewed: Share = Field(description="Largest share of events with a time after their arrival, or long before")
    max_null_change: Share = Field(description="Largest change in a week of the share of events that lack a value")
    max_psi: float = Field(ge=0, description="Largest population stability index of a feature within a day")


class Retention(Section):
    """What the nightly upkeep leaves. It never takes what a live generation was made from."""

    lists_days: Positive = Field(description="Days of recommendations and popularity, before the oldest live hour")
    served_days: Positive = Field(description="Days of served")
    log_days: Positive = Field(description="Days of the embedded event log, of what is in the table events")
    rejected_days: Positive = Field(description="Days of rejected_events")
    examples_days: Positive = Field(description="Days of training_examples")
    history_days: int = Field(ge=7, description="Days that one can go back in the history of a table")
    models: Positive = Field(description="Trained models whose files are kept, the newest ones")
