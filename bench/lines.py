"""What a benchmark prints: one JSON object a line, each figure beside its peer's from the same run."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence


def emit(
    case: str,
    values: Sequence[float],
    unit: str,
    n: int,
    peer: str | None = None,
    peer_values: Sequence[float] = (),
    interval: tuple[float, float] | None = None,
) -> None:
    """Print a case. values and peer_values are pairs, measured in turn; the ratio is the median of the pairs'.

    Args:
        n: what was counted in each measurement, such as rows.
        interval: where it was measured once, of the ratio (of the value, without a peer), in place of the spread.
    """
    ratios = [mine / theirs for mine, theirs in zip(values, peer_values, strict=True)] if peer is not None else []
    spread = interval or ratios or list(values)
    line = {
        "case": case,
        "value": _round(statistics.median(values)),
        "unit": unit,
        "peer": peer,
        "peer_value": _round(statistics.median(peer_values)) if peer is not None else None,
        "ratio": _round(statistics.median(ratios)) if ratios else None,
        "n": n,
        "spread": [_round(min(spread)), _round(max(spread))],
    }
    print(json.dumps(line), flush=True)


def progress(text: str) -> None:
    """A line for whoever watches."""
    print(text, file=sys.stderr, flush=True)


def _round(value: float) -> float:
    return float(f"{value:.4g}")
