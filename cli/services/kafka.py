"""What Kafka wants to find before it starts: its settings, and a folder that is marked as its own."""

from __future__ import annotations

import base64
import uuid
from pathlib import Path

MAIN = "kafka.Kafka"
_NODE = 1


def write_settings(folder: Path, port: int, controller_port: int) -> Path:
    """Write server.properties for a lone broker, which is its own controller, with its data in `folder`.

    Both ports are on 127.0.0.1. What `kafka-storage.sh format` would leave is written here: it would take a Java of
    its own, and so most of the time of a start.
    """
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    mark = logs / "meta.properties"
    if not mark.exists():
        mark.write_text(
            f"version=1\ncluster.id={_random_id()}\nnode.id={_NODE}\ndirectory.id={_random_id()}\n", encoding="ascii"
        )
    settings = {
        "process.roles": "broker,controller",
        "node.id": _NODE,
        "controller.quorum.voters": f"{_NODE}@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "log.dirs": logs,
        "auto.create.topics.enable": "false",
        "num.partitions": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
    }
    path = folder / "server.properties"
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return path


def _random_id() -> str:
    """A UUID as Kafka writes them: 22 characters of URL-safe base64, of which the first is no dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
