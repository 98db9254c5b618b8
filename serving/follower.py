"""Follows the control record: which generation is served, and the artefact that belongs to it."""

from __future__ import annotations

import logging
import os
import threading
import uuid
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conf.errors import DataError, PermanentError, RetryableError, TopshelfError
from serving.metrics import Metrics
from stores.artefact import Artefact, load_artefact
from stores.base import Store
from stores.control import Control, Generation

log = logging.getLogger(__name__)
LAST_CONTROL_FILE = "last-control.json"
KEPT_ARTEFACTS = 2


class Snapshot:
    """What one answer is made from: a generation, the control record that shows it, and its artefact. Immutable."""

    def __init__(self, control: Control, generation: Generation, artefact: Artefact) -> None:
        self.control = control
        self.generation = generation
        self.artefact = artefact
        self.active = artefact.active
        """(n,) which items may be shown at all."""
        self._terms: dict[str, tuple[tuple[int, int], NDArray[np.float32]]] = {}

    def context_term(self, page: str, daypart: int, weekday: int) -> NDArray[np.float32]:
        """(n,) what a page at this time adds to each item's logit; worked out once a quarter of a day."""
        when = (daypart, weekday)
        kept = self._terms.get(page)
        if kept is None or kept[0] != when:
            kept = self._terms[page] = (when, self.artefact.context_term(page, daypart, weekday))
        return kept[1]


class Follower:
    """Polls the control record and has the artefact of its current generation loaded before it is served.

    A generation whose artefact cannot be loaded is not served: the one before stays. The last control record is
    kept beside the artefacts, so that a worker which starts while the store is away still has something to serve.
    """

    def __init__(self, store: Store, root: Path, interval: float, metrics: Metrics) -> None:
        self._store = store
        self._root = root
        self._interval = interval
        self._metrics = metrics
        self._artefacts: dict[str, Artefact] = {}
        self._polling = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.snapshot: Snapshot | None = None
        """What is served now; None before the first generation."""
        self.problem: str | None = "no look at the store yet"
        """Why the last look failed; None when it did not."""
        self.lasting = False
        """Whether what failed stays so until somebody puts it right."""

    def poll(self) -> None:
        """Look once. A failure is left in `problem` and counted; what was served goes on being served."""
        with self._polling:
            try:
                self._follow()
                self.problem, self.lasting = None, False
            except (TopshelfError, OSError) as error:
                self.problem, self.lasting = str(error), isinstance(error, PermanentError)
                self._metrics.follow_failures.inc()

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
                self.problem, self.lasting = f"{type(error).__name__}: {error}", False

    def _follow(self) -> None:
        try:
            control = self._store.read_control()
        except TopshelfError:
            if self.snapshot is None:
                self._serve(self._remembered())
            raise
        if control is None or control.current == 0:
            raise RetryableError("nothing has been published to this store yet: run `topshelf run`")
        if self.snapshot is None or control != self.snapshot.control:
            self._serve(control)
            self._remember(control)

    def _serve(self, control: Control | None) -> None:
        if control is None:
            return
        generation = control.generation()
        if generation is None:
            raise DataError(f"the control record does not describe its current generation {control.current}")
        artefact = self._artefacts.get(generation.artefact_id)
        if artefact is None:
            artefact = self._load(generation.artefact_id)
            # Built here rather than within the first request that needs it.
            len(artefact.item_no)
        self._artefacts.pop(generation.artefact_id, None)
        self._artefacts[generation.artefact_id] = artefact
        while len(self._artefacts) > KEPT_ARTEFACTS:
            del self._artefacts[next(iter(self._artefacts))]
        self.snapshot = Snapshot(control, generation, artefact)
        self._metrics.generation.set(generation.number)

    def _load(self, artefact_id: str) -> Artefact:
        try:
            return load_artefact(self._root, artefact_id)
        except DataError as error:
            raise DataError(f"{error}; `topshelf run --republish` writes it anew") from error

    def _remembered(self) -> Control | None:
        path = self._root / LAST_CONTROL_FILE
        return Control.from_json(path.read_bytes()) if path.exists() else None

    def _remember(self, control: Control) -> None:
        path = self._root / LAST_CONTROL_FILE
        partial = path.with_name(f".{path.name}-{os.getpid()}-{uuid.uuid4().hex}")
        partial.write_text(control.to_json())
        partial.replace(path)
