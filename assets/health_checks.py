"""Checks that warn of odd data, as Dagster shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import dagster as dg

from jobs.gate import Check


def warnings(asset: str, checks: Mapping[str, str]) -> list[dg.AssetCheckSpec]:
    """What an asset checks about itself, by name, with what each looks at. None of them blocks."""
    return [dg.AssetCheckSpec(name, asset=asset, description=text) for name, text in checks.items()]


def warned(checks: Iterable[Check]) -> list[dg.AssetCheckResult]:
    """What was found; what failed is a warning."""
    return [
        dg.AssetCheckResult(
            check_name=check.name,
            passed=check.passed,
            severity=dg.AssetCheckSeverity.WARN,
            description=check.text,
            metadata={"value": check.value, "limit": check.limit},
        )
        for check in checks
    ]
