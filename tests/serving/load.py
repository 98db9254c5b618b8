"""Clients that ask a running service one request after the other, and keep every answer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from urllib.parse import urlsplit

PATIENCE = 30.0


@dataclass(frozen=True)
class Answer:
    status: int
    seconds: float
    body: bytes
    last: bool
    """The service closes the connection after it."""

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Load:
    """`clients` threads over connections that are kept alive, or with `fresh` over a new one for each request.

    pause: seconds that each waits between an answer and its next request. A client ends when it is refused.
    """

    url: str
    requests: Sequence[tuple[str, str]]
    """Addresses and tokens, taken in turn."""
    clients: int = 4
    pause: float = 0.0
    fresh: bool = False
    answers: list[Answer] = field(default_factory=list)
    refused: int = 0
    unaccepted: list[str] = field(default_factory=list)
    """Connections that were reset before their first answer, as `serving.worker` says may happen to one at its end."""
    broken: list[str] = field(default_factory=list)
    """Other requests that got no answer, or connections that broke: none of it may happen."""

    def __enter__(self) -> Load:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.join()

    def join(self) -> None:
        """Wait until every client has ended."""
        for thread in self._threads:
            thread.join(PATIENCE)

    def wait_for(self, count: int, which: Callable[[Answer], bool] = lambda answer: True) -> None:
        """Return once `count` more answers came for which `which` holds."""
        seen, deadline = len(self.answers), time.monotonic() + PATIENCE
        while count > 0:
            new = self.answers[seen:]
            seen += len(new)
            count -= sum(map(which, new))
            assert time.monotonic() < deadline, f"{count} such answers are missing: {self.broken[:3]}"
            time.sleep(0.01)

    def slowest(self, share: float = 0.99) -> float:
        """Seconds within which this share of the answers came."""
        times = sorted(answer.seconds for answer in self.answers)
        return times[min(int(len(times) * share), len(times) - 1)]

    def _run(self, number: int) -> None:
        where = urlsplit(self.url)
        turn = cycle(self.requests[number % len(self.requests) :] + self.requests[: number % len(self.requests)])
        connection = None
        while not self._stop.is_set():
            path, token = next(turn)
            new = connection is None
            if connection is None:
                connection = HTTPConnection(where.hostname, where.port, timeout=10)
                try:
                    connection.connect()
                except ConnectionRefusedError:
                    self.refused += 1
                    return
            try:
                answer = _ask(connection, path, token)
            except (OSError, HTTPException) as error:
                # Its subclass RemoteDisconnected is a connection that was accepted, and closed without an answer.
                reset = type(error) is ConnectionResetError
                (self.unaccepted if new and reset else self.broken).append(repr(error))
                answer = None
            if answer is not None:
                self.answers.append(answer)
            if self.fresh or answer is None or answer.last:
                connection.close()
                connection = None
            self._stop.wait(self.pause)
        if connection is not None:
            connection.close()


def _ask(connection: HTTPConnection, path: str, token: str) -> Answer:
    started = time.perf_counter()
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    body = response.read()
    return Answer(response.status, time.perf_counter() - started, body, response.will_close)
