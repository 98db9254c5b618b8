from __future__ import annotations

from datetime import UTC, datetime

from conf.hours import Hour
from jobs.histograms import BINS, scores
from jobs.lake import Lake
from jobs.tables import RECOMMENDATIONS

HOUR = Hour(datetime(2026, 1, 1, 5, tzinfo=UTC))


def test_scores_of_an_hours_lists_are_counted_in_bins_and_one_is_in_the_last(lake: Lake) -> None:
    def row(user: str, hour: int, *listed: float) -> tuple[object, ...]:
        items = [(number, f"m{number}", score, "ann", None) for number, score in enumerate(listed)]
        full = {"user_id": user, "items": items, "embedding": b"", "maturity_limit": 4, "body": b"", "hash": "h",
                "model_id": "m", "date": HOUR.date, "hour": hour, "variant": "champion"}  # fmt: skip
        return tuple(full.get(name) for name in RECOMMENDATIONS.columns)

    rows = [row("ann", 5, 1.0, 0.97, 0.51), row("bob", 5, 0.5, 0.01), row("ann", 4, 0.3)]
    lake.append(RECOMMENDATIONS, lake.spark.createDataFrame(rows, RECOMMENDATIONS.schema))
    counts, lists = scores(lake, HOUR)
    assert (len(counts), lists) == (BINS, 2)
    assert {place: count for place, count in enumerate(counts) if count} == {0: 1, 10: 2, 19: 2}
    assert scores(lake, Hour(HOUR.end)) == ([0] * BINS, 0)
