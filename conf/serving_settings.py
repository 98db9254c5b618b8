"""Settings of the HTTP service."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from conf.section import Positive, Section


class Serving(Section):
    host: str = Field(description="Address the service listens on")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(description="Port the service listens on; 0: any free one")
    workers: Positive = Field(description="gunicorn workers")
    threads: Positive = Field(description="Threads in each worker")
    token_secret: str | None = Field(description="HS256 secret; empty: made once, kept in the home folder", repr=False)
    token_previous_secret: str | None = Field(
        description="HS256 secret in force before; its tokens are good until they expire; empty: none", repr=False
    )
    token_hours: Positive = Field(description="How long a token from `topshelf token` is good for")
    follow_seconds: float = Field(
        gt=0, description="How often a worker looks for a new generation, and for items taken down"
    )
    answer_ms: Positive = Field(description="How long an answer may take, all look-ups together")
    list_ms: Positive = Field(description="How long a look-up waits for a user's row, and likewise for a connection")
    session_ms: Positive = Field(description="How long a look-up waits for a user's session")
    breaker_failures: Positive = Field(description="Look-ups, or writes of sessions, that fail in a row before a pause")
    breaker_seconds: float = Field(gt=0, description="How long the pause is, before one is tried")
    cache_users: Positive = Field(description="Users whose rows each worker remembers, in case the store fails")
    cache_seconds: float = Field(gt=0, description="How long it remembers them")
    memo_users: int = Field(ge=0, description="Users whose last home page each worker remembers; 0: none is")
    token_audience: str | None = Field(min_length=1, description="What a token's `aud` must name; empty: not checked")
    token_issuer: str | None = Field(min_length=1, description="What a token's `iss` must be; empty: not checked")
    token_leeway_seconds: Annotated[float, Field(ge=0, le=300)] = Field(
        description="How far the clocks of those who make tokens may differ from ours"
    )
    jwks_file: str | None = Field(
        description="JWKS file of public keys (RS256, ES256), read again when it changes; relative to the home folder"
    )
    rules_file: str | None = Field(
        description="File of rules, read when a service starts; relative to the home folder; empty: conf/rules.yaml"
    )
    requests_per_second: float = Field(gt=0, description="Requests a second of one user, in each worker")
    burst: Positive = Field(description="Requests of one user at once, in each worker")
    service_requests_per_second: float = Field(
        gt=0, description="Requests a second of one service token's subject, in each worker; a batch counts its users"
    )
    service_burst: Positive = Field(description="Requests of one service token's subject at once, in each worker")
    anonymous_requests_per_second: float = Field(
        gt=0, description="Requests a second of all callers without a token together, in each worker"
    )
    anonymous_burst: Positive = Field(description="Requests of callers without a token at once, in each worker")
    max_body_bytes: Positive = Field(description="Largest request body")

    @model_validator(mode="after")
    def _look_ups_leave_time(self) -> Serving:
        if self.list_ms + self.session_ms >= self.answer_ms:
            raise ValueError(
                f"serving.list_ms ({self.list_ms}) and serving.session_ms ({self.session_ms}) leave nothing of "
                f"serving.answer_ms ({self.answer_ms}): an answer is more than its look-ups"
            )
        return self
