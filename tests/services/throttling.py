"""A DynamoDB that is busy, slow or broken: a proxy in front of DynamoDB Local, which itself never refuses."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

ERROR = "com.amazonaws.dynamodb.v20120810#"
BUSY = "ProvisionedThroughputExceededException"


@dataclass
class Fault:
    """What happens to the next `times` calls of an operation. code None: it is done, but its answer is lost."""

    operation: str
    code: str | None
    status: int = 400
    times: int = 1


class ThrottlingProxy:
    """Answers at `endpoint` while the context lasts.

    A row written is one unit. What goes beyond `units_per_second` comes back as unprocessed, or, where nothing of a
    request fits, as an exception: as DynamoDB does it.
    """

    def __init__(
        self,
        upstream: str,
        units_per_second: float | None = None,
        left_out: float = 0,
        delay: float = 0,
        seed: int = 0,
    ) -> None:
        """left_out: share of the rows, drawn at random, that come back unprocessed. delay: seconds a call."""
        self.faults: list[Fault] = []
        self.calls: Counter[str] = Counter()
        self.rows = 0
        """Written through here."""
        self.units_per_second = units_per_second
        self._left_out = left_out
        self._delay = delay
        self._random = random.Random(seed)
        self._level = units_per_second or 0
        self._filled_at = time.monotonic()
        self._lock = threading.Lock()
        self._upstream = urlsplit(upstream)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ThrottlingProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, operation: str, code: str | None, status: int = 400, times: int = 1) -> None:
        """Have the next calls of an operation answered by an error; see `Fault`."""
        with self._lock:
            self.faults.append(Fault(operation, code, status, times))

    def next_fault(self, operation: str) -> Fault | None:
        """Counts the call, and takes what was planned for it."""
        with self._lock:
            self.calls[operation] += 1
            for fault in self.faults:
                if fault.operation == operation and fault.times > 0:
                    fault.times -= 1
                    return fault
            return None

    def admit(self, requests: list[Any]) -> tuple[list[Any], list[Any]]:
        """Those of a batch that are done, and those that are left."""
        with self._lock:
            room = self._room(len(requests))
            done = [request for request in requests[:room] if self._random.random() >= self._left_out]
            self._level -= len(done)
            self.rows += len(done)
            return done, [request for request in requests if request not in done]

    def _room(self, wanted: int) -> int:
        if self.units_per_second is None:
            return wanted
        now = time.monotonic()
        gained = (now - self._filled_at) * self.units_per_second
        self._level, self._filled_at = min(self._level + gained, self.units_per_second), now
        return max(0, min(wanted, int(self._level)))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy, upstream, delay = self, self._upstream, self._delay

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_POST(self) -> None:
                operation = self.headers["X-Amz-Target"].partition(".")[2]
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(delay)
                fault = proxy.next_fault(operation)
                if fault is not None and fault.code is not None:
                    self._refuse(fault.status, fault.code)
                elif fault is not None:
                    self._forward(body)
                    self.close_connection = True
                elif operation == "BatchWriteItem":
                    self._batch(json.loads(body))
                else:
                    self._answer(*self._forward(body))

            def _batch(self, request: dict[str, Any]) -> None:
                ((table, requests),) = request["RequestItems"].items()
                done, left = proxy.admit(requests)
                if not done:
                    self._refuse(400, BUSY)
                    return
                request["RequestItems"][table] = done
                status, body = self._forward(json.dumps(request).encode())
                if status == 200 and left:
                    fields = json.loads(body)
                    fields["UnprocessedItems"] = {table: fields["UnprocessedItems"].get(table, []) + left}
                    body = json.dumps(fields).encode()
                self._answer(status, body)

            def _forward(self, body: bytes) -> tuple[int, bytes]:
                kept = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
                with closing(HTTPConnection(upstream.hostname or "", upstream.port)) as ahead:
                    ahead.request("POST", "/", body, kept)
                    answer = ahead.getresponse()
                    return answer.status, answer.read()

            def _refuse(self, status: int, code: str) -> None:
                self._answer(status, json.dumps({"__type": ERROR + code, "message": "because of the test"}).encode())

            def _answer(self, status: int, body: bytes) -> None:
                # Without x-amz-crc32, which an altered body would not fit: clients check it only where it is.
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Tests print nothing."""

        return Handler
