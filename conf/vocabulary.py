"""Codes that models, stores and jobs share: what a byte or a bit of a list, a catalogue or an event means."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

EVENT_TYPES = ("impression", "click", "watch", "add_to_list", "rate", "not_interested")
"""What a user can do. The order is part of stored formats: append only."""
NO_ANCHOR = 31
"""Anchor of an item that nothing in particular led to, or a genre with a number above 30."""
NO_GENRE = 255
"""Primary genre of an item without genres."""
EVERYWHERE = np.uint64(1) << np.uint64(63)
"""Licence bit of what may be shown in every region, and to viewers whose region is unknown."""


class Source(IntEnum):
    """Where a candidate came from; the numbers are those of the stored row."""

    ANN = 0
    SIMILAR = 1
    GENRE = 2
    TRENDING = 3
    NEW = 4
    POPULAR = 5

    @property
    def label(self) -> str:
        return self.name.lower()


LABELS = tuple(source.label for source in Source)
