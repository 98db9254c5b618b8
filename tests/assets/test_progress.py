"""How a load's progress reads, and how often it is told."""

from __future__ import annotations

from assets.progress import LINE_SECONDS, Listener, line
from jobs.load import Progress

HALF = Progress(planned=3000, unchanged=500, written=1400, rejected=100, throttled=0, seconds=1.5)


def test_a_line_has_rate_counts_and_time_left():
    assert line(HALF) == "1,400 of 3,000 rows written, 500 unchanged, 100 rejected, 1,000 rows/s, 0:02 left"
    slow = Progress(10_000_000, 0, 1000, 0, 7, 1.0)
    assert line(slow).endswith("1,000 rows/s, slowed down 7 times, 2:46:39 left")


def test_before_the_first_row_there_is_no_rate_to_go_by():
    assert line(Progress(10, 0, 0, 0, 0, 0.0)) == "0 of 10 rows written, 0 unchanged, 0 rejected, 0 rows/s"


def test_without_a_terminal_a_line_is_told_from_time_to_time():
    said, now = [], [0.0]
    listener = Listener(said.append, None, lambda: now[0])
    for second in range(int(2 * LINE_SECONDS) + 1):
        now[0] = float(second)
        listener.progress(HALF)
    assert said == [line(HALF)] * 2
