"""A published world of twelve films (tests/serving/conftest.py), its service, and the table of what was done to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime

import pytest

from conf.rules import load_rules
from conf.settings import Settings
from serving.local import serve_once
from stores.base import Store
from stores.opening import open_store
from tests.serving.conftest import SECRET, World, body
from tests.serving.load import Answer, Load

HOME = "/api/v1/recommendations"
SIMILAR = f"{HOME}?context=similar&item_id=m0"
USERS = 20
BUDGET_SECONDS = 0.08
NOISE_SECONDS = 0.17
"""Allowed beyond the budget in the 99th percentile: the tests share two cores with the servers and the suite."""
PAUSE_SECONDS = 0.01
NOBODYS, ADULTS, US = {"m8", "m11"}, "m10", "m9"
HEADINGS = ("fault", "store", "answers", "not 200", "p50 ms", "p99 ms", "slowest ms", "sources meanwhile")
_FOUND = pytest.StashKey[list["Found"]]()


@dataclass
class Found:
    fault: str
    store: str
    answers: int
    failed: int
    median: float
    p99: float
    slowest: float
    sources: str


@dataclass
class Service:
    world: World
    store: Store
    url: str

    def load(self, clients: int = 4) -> Load:
        """Known users and strangers, on their home page and on another."""
        now = datetime.now(UTC)
        users = [f"user{number}" for number in range(USERS)] + ["stranger"]
        requests = [(path, self.world.token(user, at=now)) for user in users for path in (HOME, SIMILAR)]
        return Load(self.url, requests, clients=clients, pause=PAUSE_SECONDS)

    def token(self) -> str:
        return self.world.token("user0", at=datetime.now(UTC))


def judge(answers: list[Answer]) -> None:
    """Every answer is a page, and holds nothing that its viewer may not see.

    Users are adults in the US; strangers, and users whose row is not known, are not.
    """
    for answer in answers:
        assert answer.status == 200, answer.body
        found = answer.json
        items = {item["item_id"] for item in found["recommendations"]}
        assert items
        assert not NOBODYS & items
        if found["source"] == "popular":
            assert not {ADULTS, US} & items


@pytest.fixture
def note(request: pytest.FixtureRequest):
    """Judges the answers of a fault, adds them to the table, and fails where they took too long."""
    table = request.config.stash.setdefault(_FOUND, [])

    def add(fault: str, store: str, load: Load, since: int) -> None:
        during = Load(load.url, load.requests, answers=load.answers[since:])
        sources: dict[str, int] = {}
        for answer in during.answers:
            source = answer.json.get("source", "none")
            sources[source] = sources.get(source, 0) + 1
        told = ", ".join(f"{name} {count}" for name, count in sorted(sources.items()))
        failed = sum(answer.status != 200 for answer in during.answers)
        times = [1000 * during.slowest(share) for share in (0.5, 0.99, 1)]
        table.append(Found(fault, store, len(during.answers), failed, *times, told))
        assert load.broken + load.unaccepted == []
        judge(during.answers)
        assert during.slowest() < BUDGET_SECONDS + NOISE_SECONDS, table[-1]

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash.get(_FOUND, [])
    if found and config.option.markexpr == "soak":
        terminalreporter.section("faults of the service")
        for row in (HEADINGS, ["---"] * len(HEADINGS), *(astuple(each) for each in found)):
            cells = (f"{cell:,.0f}" if isinstance(cell, int | float) else str(cell) for cell in row)
            terminalreporter.line("| " + " | ".join(cells) + " |")


def is_personal(answer: Answer) -> bool:
    return b'"source":"personalized"' in answer.body


@contextmanager
def served(settings: Settings) -> Iterator[Service]:
    """A store of these settings with lists in it, and two workers."""
    serving = settings.serving.model_copy(update={"token_secret": SECRET, "follow_seconds": 0.2})
    settings = settings.model_copy(update={"serving": serving})
    with open_store(settings) as store:
        store.create()
        world = World(settings, store)
        world.publish({f"user{number}": body([11, 10, 9, 8, 3, 4, 5]) for number in range(USERS)})
        with serve_once(settings, load_rules()) as url:
            yield Service(world, store, url)


@contextmanager
def under_load(service: Service) -> Iterator[Load]:
    """Users have been seen by the workers when the block begins, most of them by both."""
    with service.load() as load:
        load.wait_for(4 * USERS, is_personal)
        yield load
