"""One server as a process of its own, that outlives the one that started it: start, wait for an answer, stop.

A server is known by a file in its folder with the process id and the port, and by the folder's name among the
process's arguments, so that a process id that was given to somebody else since is never taken for it. Linux only:
the arguments are read from /proc.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.ivy import java
from cli.services.programs import LOOPBACK, Daemon, Launch, listens
from conf.errors import PermanentError, RetryableError

STOP_SECONDS = 30
POLL_SECONDS = 0.05
TAIL_LINES = 12
_MARK = "-Dtopshelf.service="
# The shell starts the server, says its process id and ends: the server is nobody's child, and nobody has to reap it.
_DETACH = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'


class ServerEnded(PermanentError):
    """The server ended before it answered. The text has the end of its log."""


class ServerSilent(RetryableError):
    """The server did not answer, or not end, in the time it was given. The text has the end of its log."""


class PortTaken(PermanentError):
    """Something else listens on the port."""


@dataclass(frozen=True)
class Running:
    pid: int
    port: int


class Server:
    """A program over one folder, which holds its data, its log and the file that says where it runs.

    Not safe for two callers that start a server in one folder at once.
    """

    def __init__(self, program: Daemon, folder: Path, env: Mapping[str, str]) -> None:
        self.program = program
        self.folder = folder.absolute()
        self.log = self.folder / "log"
        self._env = env
        self._note = self.folder / "running.json"

    def start(self, port: int) -> Running:
        """Start it on a port of 127.0.0.1 and return once it answers. Its jars must be there.

        Raises:
            PortTaken: something listens on the port already.
            ServerEnded, ServerSilent: it did not come up; nothing is left running.
            ConfigError: there is no Java.
        """
        if listens(port):
            raise PortTaken(f"something else listens on {LOOPBACK}:{port} already")
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        arguments = self.program.command(Launch(self.program.folder, data, port))
        logged = self.log.stat().st_size if self.log.exists() else 0
        running = Running(self._detach([java(self._env), f"{_MARK}{self.folder}", *arguments]), port)
        self._note.write_text(json.dumps({"pid": running.pid, "port": port}))
        try:
            self._wait(lambda: self.program.answers(port), running, self.program.start_seconds, logged)
        except BaseException:
            self.kill()
            raise
        return running

    def running(self) -> Running | None:
        """The process, if it is there; whether it answers is another question."""
        try:
            note = json.loads(self._note.read_text())
            running = Running(int(note["pid"]), int(note["port"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return running if self._is_ours(running.pid) else None

    def stop(self) -> bool:
        """End it, in an orderly way if it will; whether there was one to end.

        Raises:
            ServerSilent: not even a kill ended it.
        """
        return self._end(signal.SIGTERM)

    def kill(self) -> bool:
        """End it as a crash would (SIGKILL): nothing is flushed. Whether there was one to end."""
        return self._end(signal.SIGKILL)

    def log_tail(self, since: int = 0) -> str:
        """The last lines of its log; `since`: leave out what is before this byte."""
        if not self.log.exists():
            return ""
        lines = self.log.read_bytes()[since:].decode(errors="replace").splitlines()
        return "\n".join([line for line in lines if line.strip()][-TAIL_LINES:])

    def _detach(self, command: list[str]) -> int:
        done = subprocess.run(
            ["sh", "-c", _DETACH, "sh", str(self.log), *command],
            cwd=self.folder,
            env=dict(self._env),
            stdout=subprocess.PIPE,
            start_new_session=True,  # neither Ctrl-C nor the end of the terminal reaches it
            check=True,
        )
        return int(done.stdout)

    def _wait(self, met: Callable[[], bool], running: Running, seconds: float, logged: int) -> None:
        deadline = time.monotonic() + seconds
        while not met():
            if not self._is_ours(running.pid):
                raise ServerEnded(self._told(f"{self.program.title} ended before it answered", logged))
            if time.monotonic() > deadline:
                raise ServerSilent(self._told(f"{self.program.title} did not answer within {seconds:g} s", logged))
            time.sleep(POLL_SECONDS)
        # What answered may be another server that was faster to take the port.
        if not self._is_ours(running.pid):
            raise ServerEnded(self._told(f"{self.program.title} ended, and another server has its port", logged))

    def _end(self, first: signal.Signals) -> bool:
        running = self.running()
        if running is not None and not any(
            self._ended(running.pid, kind) for kind in dict.fromkeys((first, signal.SIGKILL))
        ):
            raise ServerSilent(f"{self.program.title}, process {running.pid}, does not end: end it by hand")
        self._note.unlink(missing_ok=True)
        return running is not None

    def _ended(self, pid: int, kind: signal.Signals) -> bool:
        if not self._is_ours(pid):
            return True
        try:
            os.kill(pid, kind)
        except ProcessLookupError:
            return True
        except PermissionError:
            raise PermanentError(f"{self.program.title}, process {pid}, was started by another user") from None
        deadline = time.monotonic() + STOP_SECONDS
        while not _gone(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _is_ours(self, pid: int) -> bool:
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return f"{_MARK}{self.folder}".encode() in arguments

    def _told(self, what: str, since: int) -> str:
        tail = self.log_tail(since)
        return f"{what}. The end of {self.log}:\n{tail}" if tail else f"{what}, and wrote nothing to {self.log}"


def _gone(pid: int) -> bool:
    """Whether all threads of a process have ended, so that its port and files are free; it may wait to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z" and len(threads) == 1
