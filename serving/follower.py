"""Follows the control record: which generation is served, and the artefact that belongs to it."""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path

from conf.errors import DataError, PermanentError, RetryableError, TopshelfError
from serving.artefacts import Artefacts
from serving.metrics import Metrics
from serving.snapshot import Snapshot
from stores.artefact import Artefact
from stores.base import Store
from stores.control import Control
from stores.generation import Generation

log = logging.getLogger(__name__)
LAST_CONTROL_FILE = "last-control.json"


class Follower:
    """Polls the control record and has the artefact of its current generation loaded before it is served.

    A generation whose artefact cannot be loaded is not served: the newest before it that can be is, and takedowns and
    bad generations hold all the same. The last control record is kept beside the artefacts, so that a worker which
    starts while the store is away has something to serve. Without even that, the newest artefact that is there is
    served as generation 0: its popular lists, and no user's row, for nobody knows which rows may be seen.
    """

    def __init__(
        self,
        store: Store,
        root: Path,
        interval: float,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """clock: epoch seconds; it says when an item was found to be taken down."""
        self._store = store
        self._root = root
        self._interval = interval
        self._metrics = metrics
        self._clock = clock
        self._down_since: dict[str, float] = {}
        self._artefacts = Artefacts(root)
        self._followed: Control | None = None
        """What is followed in full; None while something of it is missing."""
        self._noted: Control | None = None
        """What is in the file."""
        self._shown: tuple[Snapshot, ...] = ()
        """What is served, then what this process still has of the generation before it."""
        self._polling = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._prepare: Callable[[Snapshot], None] | None = None
        self._seal: Callable[[], None] | None = None
        self._sealing = False
        self.problem: str | None = "no look at the store yet"
        """Why the last look failed; None when it did not."""
        self.lasting = False
        """Whether what failed stays so until somebody puts it right."""

    @property
    def snapshot(self) -> Snapshot | None:
        """What is served now; None before the first generation."""
        shown = self._shown
        return shown[0] if shown else None

    def snapshot_of(self, generation: int) -> Snapshot | None:
        """The snapshot of the current generation, or of the one before, as long as this process still has it.

        None for any other, and from one look to the next for one that is bad.
        """
        return next((each for each in self._shown if each.generation.number == generation), None)

    def before_serving(self, prepare: Callable[[Snapshot], None]) -> None:
        """Have every snapshot prepared before it is served, so that no request pays for what is worked out once.

        Called at once for the one that is served now.
        """
        self._prepare = prepare
        if self.snapshot is not None:
            prepare(self.snapshot)

    def when_forgotten(self, seal: Callable[[], None]) -> None:
        """Have logs sealed one look after users were found to be forgotten: by then what came before is written."""
        self._seal = seal

    def poll(self) -> None:
        """Look once. A failure is left in `problem` and counted; what was served goes on being served."""
        with self._polling:
            if self._sealing and self._seal is not None:
                self._sealing = False
                self._seal()
            try:
                self._follow()
            except (TopshelfError, OSError) as error:
                self._note(str(error), isinstance(error, PermanentError))
            else:
                self._note(None, False)

    def start(self) -> None:
        """Look every `interval` seconds in a thread of this process, until `stop`."""
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self.poll()
            except Exception as error:  # the thread must outlive a fault of ours, and /readyz must tell of it
                log.exception("following the control record failed")
                self._note(f"{type(error).__name__}: {error}", False)

    def _note(self, problem: str | None, lasting: bool) -> None:
        self.problem, self.lasting = problem, lasting
        self._metrics.following.set(problem is None)
        if problem is not None:
            self._metrics.follow_failures.inc()

    def _follow(self) -> None:
        try:
            control = self._store.read_control()
        except TopshelfError:
            if self.snapshot is None:
                self._serve_what_is_here()
            raise
        if control is None or control.current == 0:
            if self.snapshot is None:
                self._serve_remembered()
            raise RetryableError(
                "nothing has been published to this store yet: run `topshelf run`"
                if self.snapshot is None
                else "the store has no control record any more, the last one goes on: run `topshelf run`"
            )
        if control != self._followed:
            self._followed = None
            try:
                self._serve(control)
            except DataError:
                with suppress(OSError):  # what cannot be served is the graver of the two
                    self._remember(control)
                raise
            self._remember(control)
            self._followed = control

    def _serve(self, control: Control) -> None:
        """Serve the current generation.

        Raises:
            DataError: it cannot be. What can be is served: the newest one before it, or else the catalogue at hand,
                by this record all the same.
        """
        current = control.generation()
        if current is None:
            raise DataError(f"the control record does not describe its current generation {control.current}")
        problem: DataError | None = None
        for generation in _kept(control, below=control.current + 1):
            try:
                artefact = self._artefacts.get(generation.artefact_id)
            except DataError as error:
                problem = problem or error
            else:
                problem = self._show(control, generation, artefact) or problem
                break
        else:
            now = self.snapshot
            if now is not None:
                self._show(control, current, now.artefact)
        if problem is not None:
            raise problem

    def _show(self, control: Control, generation: Generation, artefact: Artefact) -> DataError | None:
        """Serve a generation. Returns what is wrong with its challenger, whose users get the champion meanwhile."""
        made, problem, challenger = replace(control, current=generation.number), None, None
        try:
            challenger = self._challenger(control, generation, self._artefacts.get)
        except DataError as error:
            problem = error
        now = self.snapshot
        if now is not None and _parts(now) == (made, generation, artefact, challenger):
            return problem
        # What this process finds when it starts may have been down for long.
        seen = self._clock() if now is not None else -inf
        self._down_since = {item: self._down_since.get(item, seen) for item in control.takedowns}
        shown = [Snapshot(made, generation, artefact, self._down_since, challenger)]
        earlier = next(iter(_kept(control, below=generation.number)), None)
        loaded = None if earlier is None else self._artefacts.loaded(earlier.artefact_id)
        if earlier is not None and loaded is not None:
            then, other = replace(control, current=earlier.number), self._artefacts.loaded
            shown.append(Snapshot(then, earlier, loaded, self._down_since, self._challenger(control, earlier, other)))
        variants = [each for snapshot in shown for each in (snapshot, snapshot.challenger) if each is not None]
        if self._prepare is not None:
            for each in variants:
                if each.generation.number == generation.number:
                    self._prepare(each)
        self._sealing = self._sealing or (now is not None and now.control.barrier != control.barrier)
        self._shown = tuple(shown)
        self._artefacts.keep_only([each.artefact.artefact_id for each in variants])
        self._metrics.generation.set(generation.number)
        return problem

    @staticmethod
    def _challenger(control: Control, generation: Generation, get: Callable[[str], Artefact | None]) -> Artefact | None:
        """The artefact of a generation's challenger, where somebody is to be served it."""
        rollout, made = control.rollout, generation.challenger
        if rollout is None or made is None or made.model_id != rollout.model_id or not rollout.percent:
            return None
        return get(made.artefact_id)

    def _serve_what_is_here(self) -> None:
        """Of a process that never saw a control record."""
        self._serve_remembered()
        newest = self._artefacts.newest() if self.snapshot is None else None
        if newest is not None:
            unknown = Generation(0, newest.artefact_id, newest.model_version, newest.made_for, newest.made_for)
            self._show(Control(0, "", 0, 0, None, (unknown,)), unknown, newest)

    def _serve_remembered(self) -> None:
        path = self._root / LAST_CONTROL_FILE
        # Whatever is wrong with it, the caller raises why it was needed.
        with suppress(TopshelfError, OSError):
            if path.exists():
                self._serve(Control.from_json(path.read_bytes()))

    def _remember(self, control: Control) -> None:
        if control == self._noted:
            return
        path = self._root / LAST_CONTROL_FILE
        partial = path.with_name(f".{path.name}-{os.getpid()}-{uuid.uuid4().hex}")
        partial.write_text(control.to_json())
        partial.replace(path)
        self._noted = control


def _parts(snapshot: Snapshot) -> tuple[Control, Generation, Artefact, Artefact | None]:
    other = snapshot.challenger
    return snapshot.control, snapshot.generation, snapshot.artefact, None if other is None else other.artefact


def _kept(control: Control, below: int) -> Iterable[Generation]:
    """The good generations that the record describes, newest first."""
    good = [each for each in control.live if each.number < below and control.shows(each.number)]
    return sorted(good, key=lambda generation: -generation.number)
