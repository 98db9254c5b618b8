"""What a tour shows at its end. A stand-in answers over real HTTP; the service itself is in tests/e2e."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import jwt
import pytest

from cli import showcase
from cli.context import Context
from cli.steps import Steps
from conf.errors import PermanentError
from jobs.tables import USER_FEATURES
from tests.cli.conftest import HOUR, write

USERS = [
    {"user_id": user, "watches": 12, "favorite_genres": [(genre, 0.5)], "watched": [], "watch_time_preference": [],
     "avg_session_length_min": 1.0, "last_active": HOUR, "maturity_limit": 0, "inputs_at": HOUR, "as_of": HOUR,
     "recent_watches": [{"item_no": 1, "timestamp": HOUR, "liked": True}]}
    for user, genre in (("ann", "Sci-Fi"), ("bob", "Drama"), ("nobody-has-a-list", "War"))
]  # fmt: skip


class Answers(BaseHTTPRequestHandler):
    """Recommends to each user an item named after them, and one that all get."""

    status = 200

    def do_GET(self) -> None:
        token = self.headers["Authorization"].removeprefix("Bearer ")
        user = jwt.decode(token, options={"verify_signature": False})["sub"]
        items = [
            {"item_id": name, "title": f"For {name}", "score": 0.5, "reason": "Picked for you",
             "metadata": {"genre": ["War"], "year": None, "rating": None}}
            for name in (user, "all")
        ]  # fmt: skip
        answer = {"recommendations": items, "source": "personalized", "model_version": "v1"}
        body = json.dumps(answer).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the test reads what the tour prints."""


@pytest.fixture
def context(small_lake: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    write(small_lake, USER_FEATURES, USERS)
    with HTTPServer(("127.0.0.1", 0), Answers) as server:

        @contextmanager
        def serve_once(*_: object) -> Iterator[str]:
            yield f"http://127.0.0.1:{server.server_port}"

        monkeypatch.setattr(showcase, "serve_once", serve_once)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Context({"TOPSHELF_HOME": str(small_lake)})
        server.shutdown()
        thread.join()


def test_two_users_are_shown_with_their_history_and_their_answers(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    showcase.showcase(context, Steps(context))
    shown = " ".join(capsys.readouterr().out.split())
    for user in ("ann", "bob"):
        assert f"User {user}: the last 1 of 12 watched" in shown
        assert f"User {user}: what the service answers (personalized, model v1" in shown
        assert f"For {user}" in shown
    assert "Blade [Runner] Sci-Fi 2026-01-01 05:00Z yes" in shown
    assert "nobody-has-a-list" not in shown
    assert "share 1 of 2 items (favourite genres: Sci-Fi, Drama)" in shown


def test_an_error_of_the_service_is_told(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answers, "status", 503)
    with pytest.raises(PermanentError, match="the service answered 503 for ann"):
        showcase.showcase(context, Steps(context))
