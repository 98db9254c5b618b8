"""The table of hold-out metrics that `topshelf run` prints."""

from cli.commands.pipeline import metric_rows


def test_metrics_are_a_row_a_measure_and_a_column_a_model() -> None:
    metrics = {"popularity.recall@20": 0.1, "lists.recall@20": 0.2, "lists.ndcg@10": 0.05, "seconds": 3.0}
    assert metric_rows(metrics) == (
        ["", "popularity", "lists"],
        [["recall@20", "0.1000", "0.2000"], ["ndcg@10", "nan", "0.0500"]],
    )
    assert metric_rows({}) == ([""], [])
