"""From which moment on an event is in every list that a user's readers may be sent to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stores.control import Control
from stores.generation import Generation
from stores.records import ListBody, encode_body, encode_row, pack_vector
from stores.sessions.retention import passed

NOTHING = np.zeros(0, dtype=np.uint8)
BODY = encode_body(
    ListBody(0, None, 0, pack_vector(np.zeros(4, np.float32)), (), NOTHING.astype(np.int32), NOTHING, NOTHING, NOTHING)
)


def live(*numbers: int, **more: tuple[int, ...]) -> Control:
    kept = tuple(Generation(number, "a", "v1", "2026-11-23T12:00Z", "") for number in numbers)
    return replace(Control.first("s"), current=numbers[0], live=kept, **more)


def ring(*rows: tuple[int, int]) -> dict[int, bytes]:
    """Rows of (generation, watermark)."""
    return {place: encode_row(BODY, *row) for place, row in enumerate(rows)}


@pytest.mark.parametrize(
    ("rows", "control", "moment"),
    [
        ([(5, 500)], live(5), 500),
        ([(5, 500), (4, 400), (3, 300)], live(5, 4, 3), 300),
        # Unchanged for long: all generations show the same row.
        ([(2, 200)], live(5, 4, 3), 200),
        # Of the load of generation 6, which the next switch shows; made for an earlier hour on purpose.
        ([(6, 100), (5, 500), (4, 400)], live(5, 4), 100),
        # Passed over by readers.
        ([(6, 100), (5, 500), (4, 400)], live(5, 4, aborted=(6,)), 400),
        ([(5, 500), (4, 100), (3, 300)], live(5, 3, bad=(4,)), 300),
        # Going back to generation 3 would leave the user without a list, and so with the session alone.
        ([(5, 500), (4, 400)], live(5, 4, 3), None),
        ([], live(5, 4, 3), None),
        ([(5, 500)], Control.first("s"), None),
    ],
)
def test_it_is_the_lowest_watermark_that_can_be_shown(
    rows: list[tuple[int, int]], control: Control, moment: float | None
) -> None:
    assert passed(ring(*rows), control) == moment


def test_a_row_that_cannot_be_read_is_passed_over_as_readers_do() -> None:
    rows = ring((5, 500), (4, 100))
    assert passed({**rows, 1: rows[1][:-1] + b"?"}, live(5)) == 500
