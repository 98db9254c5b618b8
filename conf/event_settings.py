"""Settings of what happens to events: where they are logged, and where each user's newest are kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from conf.section import Positive, Section


class Sessions(Section):
    kind: Literal["embedded", "redis"] = Field(description="Where the newest events of each user are kept")


class Redis(Section):
    url: str = Field(
        pattern=r"^(redis|rediss|unix)://[^@]*$", description="Address: redis://HOST:PORT/DB; rediss:// is by TLS"
    )
    username: str | None = Field(description="Name to log in with; empty: Redis's default user")
    password: str | None = Field(description="Password to log in with; empty: no log-in", repr=False)
    prefix: str = Field(description="Of every key")
    connect_ms: Positive = Field(description="How long a request waits for a connection")
    write_ms: Positive = Field(description="How long a POST waits for its events to be in the session")


class Eventlog(Section):
    kind: Literal["embedded", "kafka"] = Field(description="Where events are made durable before they are accepted")


class Kafka(Section):
    brokers: str = Field(description="Some brokers, HOST:PORT with commas between; the others are found through them")
    topic: str = Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$", description="Topic of the events")
    partitions: Positive = Field(description="Partitions of the topic, where `topshelf services up kafka` makes it")
    timeout_ms: Positive = Field(description="How long an event waits for the brokers' confirmation, at most")
    conf: dict[str, str] = Field(description="Any further setting of librdkafka, by its own name: security.protocol, …")


class Stream(Section):
    """`topshelf stream`, which moves Kafka's events into the lake as they come."""

    seconds: Positive = Field(description="From the beginning of one micro-batch to that of the next, at least")
    records: Positive = Field(description="Records of a micro-batch, at most")
    trending_seconds: Positive = Field(description="From one count of what trends to the next, at least")
    conf: dict[str, str] = Field(
        description="Any further setting of Kafka's Java client, by its own name, such as sasl.jaas.config"
    )
