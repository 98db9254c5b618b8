from __future__ import annotations

from cli.commands.pipeline import metric_rows


def test_metrics_are_a_row_a_model_and_a_column_a_cutoff() -> None:
    metrics = {"popularity.recall@20": 0.1, "lists.recall@20": 0.2, "lists.ndcg@10": 0.05, "seconds": 3.0}
    assert metric_rows(metrics) == (
        ["model", "recall@20", "ndcg@10"],
        [["popularity", "0.1000", "–"], ["lists", "0.2000", "0.0500"]],
    )


def test_no_metrics_are_no_rows() -> None:
    assert metric_rows({}) == (["model"], [])
