"""Dollars by the price table."""

from __future__ import annotations

import pytest

from jobs.cost import cheaper, dollars

GB = 10**9


def priced(settings, billing="on_demand", **prices):
    return settings.model_copy(
        update={
            "dynamodb": settings.dynamodb.model_copy(update={"billing": billing}),
            "prices": settings.prices.model_copy(update={"write_units_million": 0.625, "import_gb": 0.15, **prices}),
        }
    )


def test_fifty_million_rows_cost_about_thirty_dollars_on_demand(settings):
    assert dollars(50e6, priced(settings)) == pytest.approx(31.25)
    assert dollars(50e6, priced(settings, billing="provisioned")) == 0


def test_a_cheaper_way_is_named_where_there_is_one(settings):
    import_is_cheaper = "ImportTable into a new table, from S3 would cost $0.1500 instead of $0.6250"
    assert cheaper(GB, 1e6, priced(settings), empty_store=True) == import_is_cheaper
    assert cheaper(GB, 1e6, priced(settings), empty_store=False) is None
    assert cheaper(GB, 1e6, priced(settings, import_gb=9), empty_store=True) is None
    assert cheaper(GB, 0, priced(settings), empty_store=True) is None
    bulk = cheaper(GB, 1e6, priced(settings, bulk_put_units_million=0.1), empty_store=False)
    assert bulk == "StartBulkPutItems, from S3 would cost $0.1000 instead of $0.6250"
