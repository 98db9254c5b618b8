"""What one answer is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from math import inf

import numpy as np
from numpy.typing import NDArray

from stores.artefact import Artefact
from stores.base import CHALLENGER, CHAMPION
from stores.control import Control
from stores.generation import Generation


class Snapshot:
    """What one answer is made from: a generation, the control record that shows it, and its artefact. Immutable."""

    def __init__(
        self,
        control: Control,
        generation: Generation,
        artefact: Artefact,
        down_since: Mapping[str, float] | None = None,
        challenger: Artefact | None = None,
    ) -> None:
        """down_since: epoch seconds at which items that are taken down were found to be; of the others nobody knows.

        challenger: the artefact that the generation's challenger is served with; None: everybody gets the champion.
        """
        self.control = control
        self.generation = generation
        self.artefact = artefact
        self._down_since = down_since or {}
        self.variant, self.since = CHAMPION, 0
        """since: rows of earlier generations are not of this variant's model."""
        self.challenger = None if challenger is None else self._of_challenger(challenger)
        self.active = _without(artefact, control.takedowns)
        """(n,) which items may be shown at all: those of the catalogue that are not taken down."""
        self.trending = _trending(control, generation, artefact)
        """(k,) item_nos of what trends, best first: as counted last, by the stream or by the hour."""
        self._before: dict[tuple[str, ...], Snapshot] = {}

    def _of_challenger(self, artefact: Artefact) -> Snapshot:
        made = self.generation.challenger
        assert made is not None  # its artefact was loaded
        generation = replace(self.generation, artefact_id=made.artefact_id, model_version=made.model_version)
        other = Snapshot(self.control, generation, artefact, self._down_since)
        other.variant, other.since = CHALLENGER, made.since
        return other

    def of(self, variant: str) -> Snapshot:
        """What the answers of a variant are made from: this snapshot, or its challenger's."""
        return self.challenger if variant == CHALLENGER and self.challenger is not None else self

    def gives_challenger(self, user_id: str) -> bool:
        """Whether the user is to get the challenger's list."""
        rollout = self.control.rollout
        return self.challenger is not None and rollout is not None and rollout.serves(user_id)

    def bars(self, user_id: str | None) -> bool:
        """Whether the user was forgotten: they are served as a stranger, and nothing of them is kept."""
        barrier = self.control.barrier
        if barrier is None or user_id is None or not (barrier.entries or len(self.artefact.forgotten)):
            return False
        hashed = barrier.hash_of(user_id)
        return hashed in barrier.hashes or self.artefact.bars(hashed)

    def newcomers_from(self, generation: int) -> int:
        """The lowest item_no that lists of a generation cannot have, because it came after them.

        What such lists lack below it may have been left out on purpose, as an item that the user watched long ago.
        """
        slots = self.control.slots_at(generation)
        return len(self.artefact) if slots is None else slots

    def as_of(self, moment: float) -> Snapshot:
        """This snapshot with the items in it that were taken down only after `moment`, epoch seconds.

        For orders that were begun before: what stood on their first page keeps its place, and is passed over.
        """
        held = tuple(item for item in self.control.takedowns if self._down_since.get(item, -inf) <= moment)
        if held == self.control.takedowns:
            return self
        found = self._before.get(held)
        if found is None:
            found = Snapshot(replace(self.control, takedowns=held), self.generation, self.artefact)
            found.variant, found.since = self.variant, self.since
            self._before[held] = found
        return found


def _without(artefact: Artefact, takedowns: tuple[str, ...]) -> NDArray[np.bool_]:
    numbers = [artefact.item_no[item_id] for item_id in takedowns if item_id in artefact.item_no]
    if not numbers:
        return artefact.active
    active = artefact.active.copy()
    active[numbers] = False
    return active


def _trending(control: Control, generation: Generation, artefact: Artefact) -> NDArray[np.int32]:
    now = control.trending
    if now is None or _epoch(now.as_of) < _epoch(generation.made_at):
        return artefact.popular.get("trending", np.zeros(0, np.int32))
    numbers = np.array(now.item_no, np.int32)
    return numbers[numbers < len(artefact)]  # the stream may know newer items


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
