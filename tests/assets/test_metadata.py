from __future__ import annotations

from assets.metadata import metrics_table, orders_table

METRICS = {
    "popularity.ndcg@20": 0.1,
    "lists.ndcg@20": 0.25,
    "valid.blend.ndcg@20": 0.3,
    "valid.the_towers'_order.ndcg@20": 0.2,
    "valid.with_context.log_likelihood": -2.8,
}


def test_what_was_held_out_and_what_orders_scored_are_tables_of_their_own():
    held_out, orders = (table(METRICS).records for table in (metrics_table, orders_table))
    assert [one.data for one in held_out] == [
        {"lists by": "popularity", "ndcg@20": 0.1},
        {"lists by": "lists", "ndcg@20": 0.25},
    ]
    assert [one.data for one in orders] == [
        {"order": "blend", "ndcg@20": 0.3},
        {"order": "the towers' order", "ndcg@20": 0.2},
    ]
