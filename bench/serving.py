"""How fast the service answers, beside Flask's hello-world under the same gunicorn in the same run.

\b
    python -m bench.serving                          # 100,000 items, 10,000 users
    python -m bench.serving --seconds 2 --rounds 1   # a quick look

Prints JSON lines; progress goes to standard error. Cases: home.throughput and similar.throughput (answers/s, as many
connections on both sides, each sending its next request when it has its answer), home.p50 and home.p99 (ms, the same),
home.open.p50 and home.open.p99 (ms from the moment a request was due, at half of the highest rate just measured),
home.anew.* (pages made anew for every request: serving.memo_users=0), home.remembered (share of home.*'s pages that the
service remembered: most users ask for the second time there), start (s to the first good answer),
memory.worker, lookup.dynamodb (ms of a look-up beside boto3's get_item; .cpu: of this process alone). Every answer must
be a 200.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from urllib.request import urlopen

import click
import numpy as np

from bench import catalogue
from bench.gunicorns import HELLO, Running, gunicorn
from bench.http_load import Outcome, closed, get, open_loop
from bench.lines import emit, progress
from bench.lookups import measure_lookups
from conf.loading import load
from conf.rules import Rules, load_rules
from conf.settings import Settings
from serving.auth import make_token
from serving.secrets import token_secret
from stores.opening import open_sessions, open_store

PEER = "Flask hello-world, same gunicorn"
SEED = 7
SESSION_SHARE, SESSION_EVENTS = 0.3, 10
TOKEN_HOURS = 24
HALF = 0.5
OPEN_FACTOR = 4
"""Times as many connections for an open load, so that a slow answer holds up none that is due after it."""
SECONDS_A_USER = 0.002
"""Of a load that comes first, so that workers know most users when they are measured."""
SHUFFLED = 50_000
"""Requests that differ, before they are repeated."""


@dataclass(frozen=True)
class Plan:
    items: int
    users: int
    connections: int
    seconds: float
    rounds: int


@click.command(help=__doc__)
@click.option("--items", default=100_000, show_default=True, help="Items of the catalogue.")
@click.option("--users", default=10_000, show_default=True, help="Users with a list, each with a token of their own.")
@click.option("--connections", default=16, show_default=True, help="Connections on both sides.")
@click.option("--seconds", default=10.0, show_default=True, help="Of each measurement.")
@click.option("--rounds", default=3, show_default=True, help="Pairs of measurements.")
@click.option("--lookups/--no-lookups", default=True, show_default=True, help="Also the look-ups in DynamoDB Local.")
def main(items: int, users: int, connections: int, seconds: float, rounds: int, lookups: bool) -> None:
    plan = Plan(items, users, connections, seconds, rounds)
    with home(plan) as (settings, rules):
        measure_throughput(plan, settings, rules)
        measure_start(plan, settings, rules)
    if lookups:
        measure_lookups(rounds)


@contextmanager
def home(plan: Plan) -> Iterator[tuple[Settings, Rules]]:
    """A home folder with a published world of so many items and users."""
    with tempfile.TemporaryDirectory(prefix="topshelf-bench-") as folder:
        env = {name: value for name, value in os.environ.items() if not name.startswith("TOPSHELF_")}
        settings = load({**env, "TOPSHELF_HOME": folder}, []).settings
        progress(f"making {plan.items:,} items and {plan.users:,} lists")
        artefact_id = catalogue.write(settings.artefacts_path, plan.items, SEED)
        with open_store(settings) as store:
            store.create()
            catalogue.publish(store, artefact_id, plan.users, plan.items, SEED)
        active = range(0, plan.users, round(1 / SESSION_SHARE))
        sessions = open_sessions(settings)
        catalogue.watch(sessions, active, plan.items, SESSION_EVENTS, time.time(), SEED)
        sessions.close()
        yield settings, load_rules()


def measure_throughput(plan: Plan, settings: Settings, rules: Rules) -> None:
    """Throughput and latency of each kind of request; then the latency of home pages at half of their highest rate."""
    tokens = _tokens(plan, settings)
    chosen = np.random.default_rng(SEED).integers(0, plan.users, SHUFFLED).tolist()
    kinds = {
        "home": [get("/api/v1/recommendations?limit=20", tokens[user]) for user in chosen],
        "similar": [get(f"/api/v1/items/item-{user % plan.items}/similar?limit=10", tokens[user]) for user in chosen],
    }
    forgetful = settings.serving.model_copy(update={"memo_users": 0})
    anew = gunicorn(settings.model_copy(update={"serving": forgetful}), rules)
    with gunicorn(settings, rules) as ours, gunicorn(settings, rules, HELLO) as theirs, anew as making:
        _warm(plan, making, theirs, kinds["home"])
        _report("home.anew", _pairs(plan, partial(closed, connections=plan.connections), making, theirs, kinds["home"]))
        _warm(plan, ours, theirs, kinds["home"])
        closed(ours.address, kinds["home"], plan.connections, plan.users * SECONDS_A_USER)
        before = _pages(ours)
        for name, requests in kinds.items():
            pairs = _pairs(plan, partial(closed, connections=plan.connections), ours, theirs, requests)
            _report(name, pairs)
            if name == "home":
                made, again = (after - earlier for after, earlier in zip(_pages(ours), before, strict=True))
                emit("home.remembered", [again / made], "of 1", int(made))
                rate = HALF * max(mine.rate for mine, _ in pairs)
                many = OPEN_FACTOR * plan.connections
                slow = partial(open_loop, connections=many, rate=rate)
                _latencies("home.open", _pairs(plan, slow, ours, theirs, requests))
        emit("memory.worker", [ours.worker_bytes() / 1e6], "MB", plan.items, PEER, [theirs.worker_bytes() / 1e6])


def _pages(running: Running) -> tuple[float, float]:
    """Pages that the service's workers have answered, and how many of them they remembered."""
    host, port = running.address
    with urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:  # an http address of ours
        text = answer.read().decode()

    def total(name: str) -> float:
        return sum(map(float, re.findall(rf"^topshelf_{name}_total(?:{{.*}})? (\S+)$", text, re.MULTILINE)))

    return total("pages"), total("remembered_pages")


def _warm(plan: Plan, ours: Running, theirs: Running, requests: list[bytes]) -> None:
    closed(ours.address, requests, plan.connections, plan.seconds / 4)
    closed(theirs.address, [get("/")], plan.connections, plan.seconds / 4)


def _pairs(
    plan: Plan, load: Callable[..., Outcome], ours: Running, theirs: Running, requests: list[bytes]
) -> list[tuple[Outcome, Outcome]]:
    """Both sides measured in turn; who goes first changes."""
    sides = [(ours.address, requests), (theirs.address, [get("/")])]
    pairs = []
    for turn in range(plan.rounds):
        order = sides if turn % 2 == 0 else sides[::-1]
        found = [_good(load(address, wanted, seconds=plan.seconds)) for address, wanted in order]
        pairs.append((found[turn % 2], found[1 - turn % 2]))
    return pairs


def _report(name: str, pairs: list[tuple[Outcome, Outcome]]) -> None:
    answers = sum(len(mine.latencies) for mine, _ in pairs)
    rates = [mine.rate for mine, _ in pairs], [theirs.rate for _, theirs in pairs]
    emit(f"{name}.throughput", rates[0], "answers/s", answers, PEER, rates[1])
    _latencies(name, pairs)


def _latencies(name: str, pairs: list[tuple[Outcome, Outcome]]) -> None:
    answers = sum(len(mine.latencies) for mine, _ in pairs)
    for label, share in (("p50", 0.5), ("p99", 0.99)):
        mine = [outcome.quantile(share) for outcome, _ in pairs]
        emit(f"{name}.{label}", mine, "ms", answers, PEER, [outcome.quantile(share) for _, outcome in pairs])


def _good(outcome: Outcome) -> Outcome:
    if outcome.refused:
        raise SystemExit(f"not every answer was a 200: {json.dumps(outcome.refused)}")
    return outcome


def measure_start(plan: Plan, settings: Settings, rules: Rules) -> None:
    """Seconds from the start of gunicorn with one worker to its first good answer."""
    single = settings.model_copy(update={"serving": settings.serving.model_copy(update={"workers": 1})})
    mine, theirs = [], []
    for _ in range(plan.rounds):
        with gunicorn(single, rules) as running:
            mine.append(running.started_in)
        with gunicorn(single, rules, HELLO) as running:
            theirs.append(running.started_in)
    emit("start", mine, "s", plan.items, PEER, theirs)


def _tokens(plan: Plan, settings: Settings) -> list[str]:
    secret, now = token_secret(settings), datetime.now(UTC)
    return [make_token(catalogue.user_id(number), secret, now, TOKEN_HOURS) for number in range(plan.users)]


if __name__ == "__main__":
    main()
