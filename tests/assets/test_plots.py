"""Plots are pictures in the metadata, small, and none where there is nothing to draw."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from PIL import Image

from assets.metadata import headline, publications
from assets.plots import DOTS, HIGH, WIDE, learning, popularity_curve, score_histogram

NIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def size(shown: dg.MetadataValue) -> tuple[int, int]:
    """Panels across and down."""
    assert isinstance(shown, dg.MarkdownMetadataValue)
    content = base64.b64decode(shown.md_str.partition("base64,")[2].rstrip(")"))
    assert len(content) < 60_000
    width, height = Image.open(io.BytesIO(content)).size
    return round(width / DOTS / WIDE), round(height / DOTS / HIGH)


def report(**curves: Any) -> Any:
    return SimpleNamespace(curves=curves)


def test_a_training_has_a_panel_for_loss_and_one_for_validation_of_each_model() -> None:
    past = {"loss": [3.0, 2.0], "valid": [0.1, 0.2, 0.3], "mean.valid": [0.1, 0.2, 0.2]}
    curves = {"tower.past": past, "tower.all": {"loss": [3.0, 2.5]}, "ranker.past": {"loss": [1.0, 0.5]}}
    assert size(learning(report(**curves))) == (2, 2)
    assert learning(report(**{"ranker.past": {"loss": [1.0]}})) == dg.MetadataValue.text("too few epochs for a curve")


def test_curves_of_nothing_say_so() -> None:
    assert size(popularity_curve([9.0, 3.0, 0.0])) == (1, 1)
    assert popularity_curve([0.0]) == dg.MetadataValue.text("nobody has watched anything yet")
    assert size(score_histogram([3, 2, 1], 2)) == (1, 1)
    assert score_histogram([0, 0, 0], 0) == dg.MetadataValue.text("no list changed")


@pytest.mark.parametrize("dollars", [0.0, 0.25])
def test_publications_are_drawn_over_time(dollars: float) -> None:
    check = {"name": "item_coverage", "passed": True, "value": 0.8, "limit": 0.1, "text": ""}
    past = [
        {"hour": NIGHT + timedelta(hours=hour), "checks": [check], "written": 400 - hour, "bytes": 400_000,
         "dollars": dollars, "load_seconds": 0.5}
        for hour in range(60)
    ]  # fmt: skip
    assert size(publications(past)) == (2, 2)
    assert size(publications(past[:1])) == (2, 2)
    assert publications([]) == dg.MetadataValue.text("nothing was published yet")


def test_trainings_are_compared_by_what_users_get() -> None:
    metrics = {"lists.recall@20": 0.2, "lists.ndcg@20": 0.1, "popularity.recall@20": 0.05}
    assert headline(metrics) == {"Recall@20 of lists": 0.2, "NDCG@20 of lists": 0.1}
