"""A way to a real CQL server that does to requests what a test asks for: lose answers, refuse, hold, or hang up."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_HEADER = struct.Struct(">BBhBi")
"""Version, flags, stream, opcode and length of the body, in protocol 4."""
_ANSWER_VERSION, _ERROR, _RESULT, _PREPARE, _EXECUTE = 0x84, 0x00, 0x08, 0x09, 0x0A
_PREPARED = 4
LOST = object()
"""What a rule returns to have a request carried out and its answer lost."""


@dataclass(frozen=True)
class Request:
    query: str
    """Of what was prepared; empty for requests of other kinds."""
    body: bytes


def error(code: int, message: str, extra: bytes = b"") -> bytes:
    """Body of an error, for a rule to return; codes as in the protocol's specification."""
    return struct.pack(">i", code) + _string(message) + extra


def overloaded() -> bytes:
    return error(0x1001, "too many requests")


def write_timeout(kind: str) -> bytes:
    """kind: SIMPLE or CAS."""
    return error(0x1100, "Operation timed out", struct.pack(">Hii", 1, 0, 1) + _string(kind))


class CqlProxy:
    """On loopback; `rule` is asked about every request: None lets it pass, LOST or an error's body do not."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.rule: Callable[[Request], object] = lambda request: None
        self.widest = 0
        """Most prepared requests that were on their way at once."""
        self._flowing = threading.Event()
        self._flowing.set()
        self._queries: dict[bytes, str] = {}
        self._pipes: list[_Pipe] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, nothing passes either way, and nobody is told."""
        self._flowing.clear()
        yield
        self._flowing.set()

    def hang_up(self) -> None:
        """End all connections; new ones are taken."""
        pipes, self._pipes = self._pipes, []
        for pipe in pipes:
            pipe.close()

    def close(self) -> None:
        self._flowing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.hang_up()

    def __enter__(self) -> CqlProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            for end in (client, server):
                # As a server does: else an answer would wait until the one before it was acknowledged.
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pipes.append(_Pipe(self, client, server))


class _Pipe:
    """One connection, its two ways in a thread each."""

    def __init__(self, proxy: CqlProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._preparing: dict[int, str] = {}
        self._on_the_way: set[int] = set()
        self._lost: set[int] = set()
        self._to_client = threading.Lock()
        for way in (self._ask, self._answer):
            threading.Thread(target=self._run, args=(way,), daemon=True).start()

    def close(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _run(self, way: Callable[[], None]) -> None:
        with suppress(OSError):
            way()
        self.close()
        (self._client if way == self._ask else self._server).close()

    def _ask(self) -> None:
        for header, stream, opcode, body in self._frames(self._client):
            request = self._look_at(stream, opcode, body)
            verdict = self._proxy.rule(request)
            if isinstance(verdict, bytes):
                self._tell(_HEADER.pack(_ANSWER_VERSION, 0, stream, _ERROR, len(verdict)) + verdict)
                continue
            if verdict is LOST:
                self._lost.add(stream)
            if opcode == _EXECUTE:
                self._on_the_way.add(stream)
                self._proxy.widest = max(self._proxy.widest, len(self._on_the_way))
            self._server.sendall(header + body)

    def _look_at(self, stream: int, opcode: int, body: bytes) -> Request:
        if opcode == _PREPARE:
            self._preparing[stream] = body[4:].decode()
        query = self._proxy._queries.get(_short_bytes(body), "") if opcode == _EXECUTE else ""
        return Request(query, body)

    def _answer(self) -> None:
        for header, stream, opcode, body in self._frames(self._server):
            self._on_the_way.discard(stream)
            query = self._preparing.pop(stream, None)
            if query is not None and opcode == _RESULT and body[:4] == struct.pack(">i", _PREPARED):
                self._proxy._queries[_short_bytes(body[4:])] = query
            if stream in self._lost:
                self._lost.remove(stream)
            else:
                self._tell(header + body)

    def _tell(self, frame: bytes) -> None:
        with self._to_client:
            self._client.sendall(frame)

    def _frames(self, end: socket.socket) -> Iterator[tuple[bytes, int, int, bytes]]:
        with end.makefile("rb") as stream:
            while len(header := stream.read(_HEADER.size)) == _HEADER.size:
                _, _, number, opcode, length = _HEADER.unpack(header)
                body = stream.read(length)
                self._proxy._flowing.wait()
                yield header, number, opcode, body


def _string(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def _short_bytes(data: bytes) -> bytes:
    (length,) = struct.unpack_from(">H", data)
    return data[2 : 2 + length]
