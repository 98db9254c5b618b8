"""The gate's checks and the accounting of a publication as Dagster shows them: one asset check each, on published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import dagster as dg

from jobs.gate import CHECKS, Check
from jobs.publish import ACCOUNTING, EARLIER

ASSET = "published"


def specs() -> list[dg.AssetCheckSpec]:
    """What published checks about itself. All block what depends on it, but for the accounting: readers have the lists
    by then, and a rollout that stands would help nobody."""
    return [
        dg.AssetCheckSpec(name, asset=ASSET, description=description, blocking=name in CHECKS)
        for name, description in (CHECKS | ACCOUNTING).items()
    ]


def results(checks: Iterable[Check]) -> Iterator[dg.AssetCheckResult]:
    """What an attempt found."""
    for check in checks:
        yield dg.AssetCheckResult(
            check_name=check.name,
            asset_key=ASSET,
            passed=check.passed,
            description=check.text,
            metadata={"value": check.value, "limit": check.limit},
        )


def not_judged(state: str) -> Iterator[dg.AssetCheckResult]:
    """Where nothing was published, nothing was judged."""
    said = "not judged: readers have a later hour" if state == EARLIER else "nothing to publish"
    for name in CHECKS | ACCOUNTING:
        yield dg.AssetCheckResult(check_name=name, asset_key=ASSET, passed=True, description=said)
