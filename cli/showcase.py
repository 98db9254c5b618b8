"""The end of a tour: the real service, asked over HTTP for two real users."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from cli.context import Context
from cli.output import table
from cli.query import Query
from cli.steps import Steps
from conf.errors import DataError, PermanentError
from serving.auth import make_token
from serving.local import serve_once
from serving.secrets import our_claims, token_secret

SHOWN = 10
CANDIDATES = 500
LONG_ENOUGH = 10
TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Viewer:
    """A user with a list and a history. `tastes` is genre → weight; `newest` has the last watches, newest first."""

    user_id: str
    watches: int
    tastes: dict[str, float]
    newest: list[dict[str, Any]]

    @property
    def favourite(self) -> str:
        """The genre watched most; ties by name."""
        return min(self.tastes, key=lambda genre: (-self.tastes[genre], genre)) if self.tastes else ""


def showcase(context: Context, steps: Steps) -> None:
    """Start the service, ask it for two users of different tastes, print their histories and their answers.

    Raises:
        DataError: nobody with a history has a list.
        PermanentError: the service answered with an error.
    """
    query = Query(context.settings.lake_root, context.rules)
    viewers = two_viewers(_viewers(query))
    with steps.timed("service", "starting it on a free port and asking for two users"):
        with serve_once(context.settings, context.rules, context.child_environment()) as url:
            answers = [_ask(context, url, viewer.user_id) for viewer in viewers]
        for viewer, (answer, milliseconds) in zip(viewers, answers, strict=True):
            _print_viewer(context, query, viewer, answer, milliseconds)
        _print_difference(context, viewers, [answer for answer, _ in answers])


def _viewers(query: Query) -> list[Viewer]:
    """Users with a live list and some history, those active last first."""
    rows = query.ask(
        "SELECT user_id, watches, favorite_genres, recent_watches FROM user_features "  # noqa: S608  # numbers of ours
        "JOIN (SELECT user_id FROM published WHERE variant = 'champion') USING (user_id) "
        f"WHERE watches > 0 ORDER BY watches >= {LONG_ENOUGH} DESC, last_active DESC, user_id LIMIT {CANDIDATES}"
    )
    return [
        Viewer(row["user_id"], row["watches"], dict(row["favorite_genres"]), row["recent_watches"])
        for row in rows.to_arrow_table().to_pylist()
    ]


def two_viewers(viewers: Sequence[Viewer]) -> list[Viewer]:
    """The first, and for contrast the next whose favourite genre is another; fewer where there are no two.

    Raises:
        DataError: there is nobody.
    """
    if not viewers:
        raise DataError('nobody with a history has a list: see `topshelf sql "SELECT * FROM publications"`')
    first, others = viewers[0], viewers[1:]
    other = next((viewer for viewer in others if viewer.favourite != first.favourite), None)
    return [first, *([other] if other else others[:1])]


def _ask(context: Context, url: str, user_id: str) -> tuple[dict[str, Any], float]:
    """The service's answer for a user, and the milliseconds it took."""
    settings = context.settings
    claims = our_claims(settings)
    token = make_token(user_id, token_secret(settings), context.now(), settings.serving.token_hours, claims=claims)
    connection = HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)
    started = time.perf_counter()
    try:
        path = f"/api/v1/recommendations?context=home&limit={SHOWN}"
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    milliseconds = (time.perf_counter() - started) * 1000
    if response.status != 200:
        raise PermanentError(f"the service answered {response.status} for {user_id}: {body.decode(errors='replace')}")
    answer: dict[str, Any] = json.loads(body)
    return answer, milliseconds


def _print_viewer(context: Context, query: Query, viewer: Viewer, answer: dict[str, Any], milliseconds: float) -> None:
    newest = viewer.newest[:SHOWN]
    title = f"User {viewer.user_id}: the last {len(newest)} of {viewer.watches} watched"
    context.console.print(table(["watched", "genres", "when", "liked"], _history(query, newest), title=title))
    body = [
        (place, item["title"], ", ".join(item["metadata"]["genre"]), item["score"], item["reason"])
        for place, item in enumerate(answer["recommendations"], start=1)
    ]
    title = (
        f"User {viewer.user_id}: what the service answers ({answer['source']}, model {answer['model_version']}, "
        f"{milliseconds:.0f} ms)"
    )
    context.console.print(table(["", "recommended", "genres", "score", "reason"], body, [0, 3], title))


def _history(query: Query, watches: Sequence[dict[str, Any]]) -> list[tuple[str, str, datetime, bool]]:
    numbers = ", ".join(str(int(watch["item_no"])) for watch in watches)
    # Numbers only go into the text of the query, and they come from a table of ours.
    rows = query.ask(f"SELECT item_no, item_id, title, genres FROM items WHERE item_no IN ({numbers})")  # noqa: S608
    items = {row["item_no"]: row for row in rows.to_arrow_table().to_pylist()}
    found = [(items[watch["item_no"]], watch) for watch in watches]
    return [
        (item["title"] or item["item_id"], ", ".join(item["genres"]), watch["timestamp"], watch["liked"])
        for item, watch in found
    ]


def _print_difference(context: Context, viewers: Sequence[Viewer], answers: Sequence[dict[str, Any]]) -> None:
    if len(viewers) < 2:
        return
    first, second = ([item["item_id"] for item in answer["recommendations"]] for answer in answers)
    shared = len(set(first) & set(second))
    context.console.print(
        f"The two answers share {shared} of {max(len(first), len(second))} items "
        f"(favourite genres: {viewers[0].favourite or 'none'}, {viewers[1].favourite or 'none'})."
    )
