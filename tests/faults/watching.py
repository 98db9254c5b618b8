"""The test's side of the reader in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from conf.settings import Settings
from tests.faults.reader import Found
from tests.faults.world import World

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0
READ_MS = 1000
"""The service waits for 30 ms; a reader beside Spark on two cores would be late, not wrong, most of the time."""


def patient(settings: Settings) -> Settings:
    """The settings of a reader that is to get an answer."""
    return settings.model_copy(
        update={"serving": settings.serving.model_copy(update={"list_ms": READ_MS, "answer_ms": 2 * READ_MS})}
    )


class Watch:
    """Reads while the context lasts. On the way out it fails the test if any answer was wrong, or none was checked.

    older: whether answers may be lists of an earlier hour: where a row is destroyed on purpose.
    """

    def __init__(self, settings: Settings, world: World, folder: Path, older: bool = False) -> None:
        """settings: as the reader has them, time limits too. folder: for a file, made where it is missing."""
        self._world = world
        self._older = older
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"reader-{id(self)}.json"
        self._file.write_text(settings.model_dump_json())
        self._news = threading.Condition()
        self._found = Found()

    @property
    def found(self) -> Found:
        with self._news:
            return self._found

    def wait_for(self, answers: int = 40) -> None:
        """Return once so many more answers were checked."""
        goal = self.found.checked + answers
        self._wait(lambda found: found.checked >= goal, f"{answers} more answers")

    def wait_for_timeouts(self, count: int) -> None:
        goal = self.found.timeouts + count
        self._wait(lambda found: found.timeouts >= goal, f"{count} more time-outs")

    def wait_for_older(self) -> None:
        before = self.found.older
        self._wait(lambda found: found.older > before, "a list of an earlier hour")

    def __enter__(self) -> Watch:
        command = [sys.executable, "-m", "tests.faults.reader", str(self._file), str(self._world.users), "1"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE_SECONDS)
        finally:
            self._process.kill()
            self._thread.join()
            self._process.stdout.close()
        if kind is None:
            self.check()

    def check(self) -> None:
        found = self.found
        assert self._process.returncode == 0
        assert found.checked > 0
        assert found.wrong == 0, found.examples
        assert self._older or found.older == 0, found.examples

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._found = Found(**json.loads(line))
                self._news.notify_all()

    def _wait(self, met, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._news:
            while not met(self._found):
                assert self._process.poll() is None, "the reader ended"
                assert time.monotonic() < deadline, f"no {what} in {PATIENCE_SECONDS:g} s: {self._found}"
                self._news.wait(0.5)
