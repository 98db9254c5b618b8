"""A load of HTTP requests from one thread: closed (each connection waits for its answer) or open (a fixed rate).

Hand-made on sockets and epoll, so that most of a shared machine is left to the server: about 20 µs a request.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from conf.errors import RetryableError

_CHUNK = 1 << 16
_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
SILENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Outcome:
    """What came of a load."""

    seconds: float
    latencies: NDArray[np.float64]
    """(answers,) seconds; of an open load from the moment a request was due, whether or not it could be sent then."""
    refused: dict[int, int]
    """How often each status that is not 200 came."""

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """Milliseconds."""
        return float(np.quantile(self.latencies, share)) * 1000


def get(path: str, token: str | None = None) -> bytes:
    """A request as it goes over the wire."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n{authorization}\r\n".encode()


@dataclass(eq=False)
class _Connection:
    address: tuple[str, int]
    due: float = 0.0
    received: bytearray = field(default_factory=bytearray)
    expected: int | None = None

    def __post_init__(self) -> None:
        self.socket = socket.create_connection(self.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self.received.clear()
        self.expected = None
        self.socket.sendall(request)

    def status(self) -> int | None:
        """Of the answer, once all of it is there.

        Raises:
            RetryableError: the server closed the connection in the middle.
        """
        got = self.socket.recv(_CHUNK)
        if not got:
            raise RetryableError("the server closed a connection that was waiting for an answer")
        self.received += got
        if self.expected is None:
            end = self.received.find(_END)
            if end < 0:
                return None
            head = bytes(self.received[:end]).lower()
            at = head.find(_LENGTH)
            if at < 0:
                raise RetryableError("an answer has no Content-Length")
            length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])
            self.expected = end + len(_END) + length
        return int(self.received[9:12]) if len(self.received) >= self.expected else None


def closed(address: tuple[str, int], requests: Sequence[bytes], connections: int, seconds: float) -> Outcome:
    """Every connection sends its next request as soon as it has the answer to the one before.

    requests: sent one after the other, by whichever connection is free; begun anew at their end.

    Raises:
        RetryableError: the server closed a connection, or fell silent.
    """
    pending = cycle(requests)
    waiting = _opened(address, pending, connections)
    latencies, refused = list[float](), dict[int, int]()
    started = time.perf_counter()
    for connection in waiting:
        connection.send(next(pending), time.perf_counter())
    with _watching(waiting) as selector:
        while (now := time.perf_counter()) < started + seconds:
            for connection in _ready(selector, SILENCE_SECONDS):
                if (status := connection.status()) is not None:
                    now = time.perf_counter()
                    _note(status, now - connection.due, latencies, refused)
                    connection.send(next(pending), now)
        took = now - started
    return Outcome(took, np.array(latencies), refused)


def open_loop(
    address: tuple[str, int], requests: Sequence[bytes], connections: int, rate: float, seconds: float
) -> Outcome:
    """Requests fall due at an even rate, however slow the answers are; a late one waits in a queue, and that counts.

    Raises:
        RetryableError: the server closed a connection, or fell silent.
    """
    pending, count = cycle(requests), int(rate * seconds)
    free, queue = deque(_opened(address, pending, connections)), deque[float]()
    latencies, refused = list[float](), dict[int, int]()
    started, sent = time.perf_counter(), 0
    with _watching(free) as selector:
        while len(latencies) + sum(refused.values()) < count:
            now = time.perf_counter()
            while sent < count and started + sent / rate <= now:
                queue.append(started + sent / rate)
                sent += 1
            while queue and free:
                free.popleft().send(next(pending), queue.popleft())
            patience = max(started + sent / rate - now, 0) if sent < count else SILENCE_SECONDS
            for connection in _ready(selector, patience, may_be_silent=sent < count):
                if (status := connection.status()) is not None:
                    _note(status, time.perf_counter() - connection.due, latencies, refused)
                    free.append(connection)
        took = time.perf_counter() - started
    return Outcome(took, np.array(latencies), refused)


def _opened(address: tuple[str, int], pending: Iterator[bytes], count: int) -> list[_Connection]:
    """Connections that have had an answer each, opened one after the other.

    Of many that are opened at once, the worker that wakes first takes nearly all and keeps them, and the others idle.
    """
    opened = []
    for _ in range(count):
        connection = _Connection(address)
        connection.send(next(pending), 0)
        while connection.status() is None:
            pass
        opened.append(connection)
    return opened


@contextmanager
def _watching(connections: Iterable[_Connection]) -> Iterator[selectors.BaseSelector]:
    """A selector over connections, which are closed with it."""
    kept = list(connections)
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for connection in kept:
            stack.enter_context(connection.socket)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        yield selector


def _ready(selector: selectors.BaseSelector, seconds: float, may_be_silent: bool = False) -> Iterator[_Connection]:
    events = selector.select(seconds)
    if not events and not may_be_silent:
        raise RetryableError(f"the server gave no answer for {seconds:.0f} s")
    for key, _ in events:
        yield key.data


def _note(status: int, latency: float, latencies: list[float], refused: dict[int, int]) -> None:
    if status == 200:
        latencies.append(latency)
    else:
        refused[status] = refused.get(status, 0) + 1
