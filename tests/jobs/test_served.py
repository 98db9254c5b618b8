"""From the service's log of what was shown to Delta: each page once, in the hour in which it was shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cli.query import Query
from conf.hours import Hour
from conf.rules import load_rules
from jobs import served
from jobs.tables import SERVED
from stores.eventlog.framing import SegmentWriter, line, sealed_and_open_segments

HOUR = Hour.parse("2026-01-10T05")


def lines(*pages: tuple[str, int, str, int]) -> bytes:
    """Pages by request_id, offset, time and the number dropped before them."""
    return b"".join(
        line(
            {
                "request_id": request_id, "user_id": "ann", "context": "home",
                "timestamp": datetime.fromisoformat(f"2026-01-10T{time}+00:00").timestamp(),
                "item_ids": ["alien", "brazil"], "positions": [offset, offset + 1], "propensities": [None, 0.25],
                "tiers": ["personalized", "exploration"], "generation": 41, "model_version": "v3",
                "assigned": "champion", "variant": "champion", "offset": offset,
                **({"dropped": dropped} if dropped else {}),
            }
        )
        for request_id, offset, time, dropped in pages
    )  # fmt: skip


def test_each_page_arrives_once_in_its_hour_and_finished_segments_go(lake, tmp_path: Path):
    assert served.run(lake, HOUR, tmp_path / "none") == served.Result(read=0, new=0, damaged=(), in_hour=0, dropped=0)
    folder = tmp_path / "shown"
    finished, growing, broken = (SegmentWriter(folder, name) for name in ("finished", "growing", "broken"))
    finished.append(lines(("r1", 0, "05:59:59.900000", 0), ("r1", 2, "06:00:00", 0)), sync=False)
    finished.close()
    growing.append(lines(("r2", 0, "05:10:00", 3)), sync=False)
    broken.append(b"nothing of ours\n" + lines(("r3", 0, "05:10:00", 0)), sync=False)
    broken.close()

    damage = "log segment broken-00000001: bytes 0 to 16 are damaged"
    assert served.run(lake, HOUR, folder) == served.Result(3, 3, (damage,), in_hour=2, dropped=3)
    assert [segment.name for segment in sealed_and_open_segments(folder)] == ["growing-00000001"]
    assert [path.name for path in folder.glob("*.damaged")] == ["broken-00000001.damaged"]

    # It was killed before it had saved how far it had read; meanwhile more was shown.
    (folder / served.STATE_FILE).unlink()
    growing.append(lines(("r2", 0, "05:10:00", 0), ("r4", 0, "05:11:00", 1)), sync=False)
    assert served.run(lake, HOUR, folder) == served.Result(read=3, new=1, damaged=(), in_hour=3, dropped=4)
    growing.close()
    assert served.run(lake, HOUR, folder) == served.Result(read=0, new=0, damaged=(), in_hour=3, dropped=4)
    assert sealed_and_open_segments(folder) == ()

    rows = {(row["request_id"], row["offset"]): row for row in lake.read(SERVED).collect()}
    assert {key: row["hour"] for key, row in rows.items()} == {
        ("r1", 0): 5, ("r1", 2): 6, ("r2", 0): 5, ("r4", 0): 5,
    }  # fmt: skip
    first = rows["r1", 2]
    assert first["timestamp"] == datetime(2026, 1, 10, 6, tzinfo=UTC).replace(tzinfo=None)
    assert (first["item_ids"], first["positions"]) == (["alien", "brazil"], [2, 3])
    assert (first["propensities"], first["tiers"]) == ([None, 0.25], ["personalized", "exploration"])
    view = "SELECT item_id, position, propensity, tier FROM served_items WHERE request_id = 'r1' ORDER BY position"
    assert Query(lake.root, load_rules()).ask(view).fetchall() == [
        ("alien", 0, None, "personalized"), ("brazil", 1, 0.25, "exploration"),
        ("alien", 2, None, "personalized"), ("brazil", 3, 0.25, "exploration"),
    ]  # fmt: skip
