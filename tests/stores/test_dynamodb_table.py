"""Making the table in DynamoDB, and saying in words what is wrong with it."""

from __future__ import annotations

import boto3
import pytest

from stores.base import StoreDenied, StoreFull, StoreMisshaped, StoreMissing, StoreThrottled, StoreUnavailable
from tests.services.ports import free_port
from tests.services.throttling import BUSY
from tests.stores.dynamo import LOADING, open_at, some_rows, through


def test_a_table_that_is_ready_is_described(loading, dynamodb):
    loading.write(some_rows(3), 1)
    before = loading.count()
    assert loading.check().startswith(
        f"DynamoDB table {dynamodb.table} at {dynamodb.endpoint}: active, on demand, about 4 items, 0 MiB"
    )
    loading.create()
    assert loading.count() == before
    assert loading.read_control() == LOADING


def test_provisioned_units_are_those_of_the_settings(dynamodb):
    provisioned = dynamodb.model_copy(update={"billing": "provisioned", "read_units": 7, "write_units": 1200})
    with open_at(provisioned) as store:
        store.create()
        assert "7 read and 1,200 write units a second" in store.check()


def test_a_missing_table_says_what_makes_it(dynamodb):
    with open_at(dynamodb) as store:
        for call in (store.check, store.read_control, store.count, lambda: store.ring("ann")):
            with pytest.raises(StoreMissing, match="topshelf store create"):
                call()


def test_a_table_with_other_keys_is_not_taken(dynamodb):
    client = boto3.client(
        "dynamodb",
        endpoint_url=dynamodb.endpoint,
        region_name=dynamodb.region,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    client.create_table(
        TableName=dynamodb.table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.close()
    with open_at(dynamodb) as store:
        for call in (store.create, store.check):
            with pytest.raises(StoreMisshaped, match=r"id \(partition key, S\), not u .*, k \(sort key, N\)"):
                call()
        with pytest.raises(StoreMisshaped, match="topshelf store check"):
            store.read_control()


def test_check_notices_whatever_a_publication_would_be_denied(loading, dynamodb):
    with through(dynamodb) as (store, busy):
        for operation in ("DescribeTable", "GetItem", "Query", "PutItem", "BatchWriteItem"):
            busy.fail(operation, "AccessDeniedException")
            with pytest.raises(StoreDenied, match="allow it in IAM"):
                store.check()
        assert "on demand" in store.check()
    assert loading.count() == 0


def test_check_says_at_once_that_a_table_is_busy(loading, dynamodb):
    with through(dynamodb) as (store, busy):
        busy.fail("PutItem", BUSY)
        with pytest.raises(StoreThrottled, match="slow down"):
            store.check()


def test_an_address_that_nothing_listens_on_is_named_with_the_command_that_starts_it(dynamodb):
    endpoint = f"http://127.0.0.1:{free_port()}"
    with (
        open_at(dynamodb.model_copy(update={"endpoint": endpoint})) as store,
        pytest.raises(StoreUnavailable, match=f"{endpoint}.*topshelf services up dynamodb"),
    ):
        store.check()


def test_two_who_make_the_table_at_once_both_find_it(loading, dynamodb):
    with through(dynamodb) as (store, busy):
        busy.fail("DescribeTable", "ResourceNotFoundException")
        store.create()
        assert busy.calls["CreateTable"] == 1


def test_an_account_that_is_full_of_tables_says_so(dynamodb):
    with through(dynamodb) as (store, busy):
        busy.fail("CreateTable", "LimitExceededException")
        with pytest.raises(StoreFull, match="limit of the account"):
            store.create()
