"""Jobs share the lake, an erasure has it alone."""

from __future__ import annotations

import threading
from pathlib import Path

from jobs.alone import Share, alone


def test_an_erasure_waits_for_the_jobs_under_way_and_jobs_wait_for_it(tmp_path: Path) -> None:
    home, waits, inside, done, came = tmp_path / "home", *(threading.Event() for _ in range(4))
    first, second = Share(home), Share(home)

    def erase() -> None:
        with alone(home, waits.set):
            inside.set()
            assert done.wait(30)

    def work() -> None:
        Share(home)
        came.set()

    threads = [threading.Thread(target=erase), threading.Thread(target=work)]
    threads[0].start()
    assert waits.wait(30)
    del first
    assert not inside.wait(1.5)
    del second
    assert inside.wait(30)
    threads[1].start()
    assert not came.wait(0.2)
    done.set()
    assert came.wait(30)
    for thread in threads:
        thread.join(30)


def test_an_erasure_that_is_alone_waits_for_nobody(tmp_path: Path) -> None:
    told: list[str] = []
    with alone(tmp_path, lambda: told.append("waits")):
        pass
    assert told == []
