from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conf.errors import DataError
from stores.eventlog.base import EventLogUnavailable, derive_event_id
from stores.eventlog.embedded import EmbeddedEventLog, read, sealed_and_open_segments

ROOT = Path(__file__).parents[3]


@pytest.fixture
def root(tmp_path):
    return tmp_path / "eventlog"


def log_at(root, writer="w", **options):
    return EmbeddedEventLog(root, writer, clock=lambda: 17.5, **options)


def numbers(root):
    return sorted(event["n"] for segment in sealed_and_open_segments(root) for event in read(segment)[0])


def test_events_come_back_in_order_with_the_time_of_their_append(root):
    log = log_at(root)
    log.append([{"n": 1, "title": "Amélie\n"}, {"n": 2}])
    log.append([])
    log.append([{"n": 3}])
    (segment,) = sealed_and_open_segments(root)
    events, end = read(segment)
    assert events[0] == {"n": 1, "title": "Amélie\n", "logged_at": 17.5}
    assert [event["n"] for event in events] == [1, 2, 3]
    assert end == segment.path.stat().st_size
    log.close()


def test_reading_goes_on_from_an_offset(root):
    log = log_at(root)
    log.append([{"n": 1}])
    (segment,) = sealed_and_open_segments(root)
    _, offset = read(segment)
    log.append([{"n": 2}])
    events, end = read(segment, offset)
    assert [event["n"] for event in events] == [2]
    assert read(segment, end) == ([], end)
    log.close()


def test_a_segment_is_sealed_when_its_writer_lets_go(root):
    log = log_at(root)
    log.append([{"n": 1}])
    assert [segment.sealed for segment in sealed_and_open_segments(root)] == [False]
    log.close()
    assert [segment.sealed for segment in sealed_and_open_segments(root)] == [True]


def test_a_full_segment_is_followed_by_another(root):
    log = log_at(root, segment_bytes=1)
    for number in range(3):
        log.append([{"n": number}])
    assert [segment.sealed for segment in sealed_and_open_segments(root)] == [True, True, False]
    assert numbers(root) == [0, 1, 2]
    log.close()


def test_a_torn_end_is_left_out(root):
    log = log_at(root)
    log.append([{"n": 1}, {"n": 2}])
    log.close()
    (segment,) = sealed_and_open_segments(root)
    data = segment.path.read_bytes()
    for cut in range(1, len(data)):
        segment.path.write_bytes(data[:cut])
        events, end = read(segment)
        assert len(events) == data[:cut].count(b"\n")
        assert end <= cut
    segment.path.write_bytes(data + b"0badc0de {}\n\0\0\0")
    assert read(segment)[1] == len(data)


def test_damage_before_the_end_is_an_error_and_not_a_shorter_log(root):
    log = log_at(root)
    log.append([{"n": 1}, {"n": 2}, {"n": 3}])
    log.close()
    (segment,) = sealed_and_open_segments(root)
    data = bytearray(segment.path.read_bytes())
    data[data.index(b"\n") + 12] ^= 1
    segment.path.write_bytes(data)
    with pytest.raises(DataError, match="are damaged"):
        read(segment)


def test_a_log_that_cannot_be_written_takes_nothing(root):
    root.write_text("in the way")
    with pytest.raises(EventLogUnavailable):
        log_at(root).append([{"n": 1}])


def test_a_log_that_is_deleted_under_its_writer_does_not_swallow_events(root):
    log = log_at(root)
    log.append([{"n": 1}])
    shutil.rmtree(root)
    root.write_text("in the way")
    with pytest.raises(EventLogUnavailable):
        log.append([{"n": 2}])
    root.unlink()
    log.append([{"n": 3}])
    assert numbers(root) == [3]


def test_a_failed_sync_takes_nothing_and_the_next_append_works(root, monkeypatch):
    log = log_at(root)
    log.append([{"n": 1}])

    def fail(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(EventLogUnavailable, match="No space left"):
            log.append([{"n": 2}])
    log.append([{"n": 3}])
    assert numbers(root) == [1, 3]
    log.close()


def test_threads_of_one_writer_do_not_mix_their_lines(root):
    log = log_at(root)
    threads = [threading.Thread(target=log.append, args=([{"n": number}] * 5,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(root) == sorted(list(range(8)) * 5)
    log.close()


def test_what_was_appended_survives_a_kill_and_its_segment_is_sealed(root):
    code = (
        "import sys; from pathlib import Path; from stores.eventlog.embedded import EmbeddedEventLog\n"
        f"log = EmbeddedEventLog(Path({str(root)!r}), 'child', lambda: 1.0)\n"
        "log.append([{'n': 1}]); print('appended', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, cwd=ROOT)
    assert child.stdout.readline() == b"appended\n"
    assert [segment.sealed for segment in sealed_and_open_segments(root)] == [False]
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert [segment.sealed for segment in sealed_and_open_segments(root)] == [True]
    assert numbers(root) == [1]


def test_an_event_without_an_id_gets_the_same_one_each_time():
    event = ("ann", "watch", "m1", "2026-11-23T05:00:00+00:00")
    assert derive_event_id(*event) == derive_event_id(*event)
    assert derive_event_id("ann", "watch", "m1", "x") != derive_event_id("annw", "atch", "m1", "x")
