"""The table in DynamoDB: making it, and finding out whether a publication could be written to it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from conf.settings import Dynamodb
from stores.base import StoreDenied, StoreMisshaped, StoreMissing, StoreTimeout, StoreUnavailable
from stores.dynamodb_client import ConditionFailed, DynamoClient, TableInUse

KEYS = (("u", "HASH", "S"), ("k", "RANGE", "N"))
"""Name, role and type of the key's attributes."""
CREATE_SECONDS = 300.0
_POLL_SECONDS = 1.0
_PROBE = {"u": {"S": "topshelf"}, "k": {"N": "-2"}}
"""Key of an item that is never there."""
_NEVER = "attribute_exists(u) AND attribute_not_exists(u)"


def create_table(
    client: DynamoClient, settings: Dynamodb, clock: Callable[[], float], sleep: Callable[[float], None]
) -> None:
    """Make the table unless it is there, and wait until it can be used.

    Raises:
        StoreMisshaped: it is there with other keys.
        StoreTimeout: it was not ready after five minutes.
        StoreDenied, StoreFull, StoreUnavailable: as for every call.
    """
    deadline = clock() + CREATE_SECONDS
    asked = False
    while clock() < deadline:
        try:
            table = client.repeat("describe_table", TableName=client.table)["Table"]
        except StoreMissing:
            if not asked:
                with suppress(TableInUse):  # Somebody else asks for it at the same time.
                    _ask_for(client, settings)
                asked = True
                continue
        else:
            if table["TableStatus"] != "DELETING":
                _check_keys(client, table)
            if table["TableStatus"] in {"ACTIVE", "UPDATING"}:
                return
        sleep(_POLL_SECONDS)
    raise StoreTimeout(f"DynamoDB {client.where} is not ready after {CREATE_SECONDS:.0f} s: try again later")


def check_table(client: DynamoClient) -> str:
    """See `Store.check`. Tries each kind of call that publications and services make, and changes nothing.

    It asks once only: whoever waits for the answer sits in front of it.
    """
    table = client.call("describe_table", TableName=client.table)["Table"]
    _check_status(client, table["TableStatus"])
    _check_keys(client, table)
    name = client.table
    client.call("get_item", TableName=name, Key=_PROBE, ConsistentRead=True)
    client.call(
        "query",
        TableName=name,
        KeyConditionExpression="u = :u AND k = :k",
        ExpressionAttributeValues={":u": _PROBE["u"], ":k": _PROBE["k"]},
    )
    with suppress(ConditionFailed):
        client.call("put_item", TableName=name, Item=_PROBE, ConditionExpression=_NEVER)
    client.call("batch_write_item", RequestItems={name: [{"DeleteRequest": {"Key": _PROBE}}]})
    return (
        f"DynamoDB {client.where}: {table['TableStatus'].lower()}, {_billing(table)}, about "
        f"{table['ItemCount']:,} items, {table['TableSizeBytes'] >> 20:,} MiB"
    )


def _ask_for(client: DynamoClient, settings: Dynamodb) -> None:
    billing: dict[str, Any] = {"BillingMode": "PAY_PER_REQUEST"}
    if settings.billing == "provisioned":
        units = {"ReadCapacityUnits": settings.read_units, "WriteCapacityUnits": settings.write_units}
        billing = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": units}
    client.repeat(
        "create_table",
        TableName=client.table,
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, _, kind in KEYS],
        KeySchema=[{"AttributeName": name, "KeyType": role} for name, role, _ in KEYS],
        **billing,
    )


def _check_keys(client: DynamoClient, table: dict[str, Any]) -> None:
    kinds = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    found = tuple((key["AttributeName"], key["KeyType"], kinds[key["AttributeName"]]) for key in table["KeySchema"])
    if found != KEYS:
        raise StoreMisshaped(
            f"DynamoDB {client.where} has the key {_in_words(found)}, not {_in_words(KEYS)}: "
            "choose another name for dynamodb.table, or delete that table"
        )


def _check_status(client: DynamoClient, status: str) -> None:
    if status == "CREATING":
        raise StoreUnavailable(f"DynamoDB {client.where} is still being made: try again in a minute")
    if status == "DELETING":
        raise StoreMissing(
            f"DynamoDB {client.where} is being deleted: `topshelf store create` makes it anew afterwards"
        )
    if status not in {"ACTIVE", "UPDATING"}:
        raise StoreDenied(f"DynamoDB {client.where} cannot be used, its status is {status}: see to it in AWS")


def _in_words(keys: tuple[tuple[str, str, str], ...]) -> str:
    roles = {"HASH": "partition key", "RANGE": "sort key"}
    return ", ".join(f"{name} ({roles[role]}, {kind})" for name, role, kind in keys)


def _billing(table: dict[str, Any]) -> str:
    if table.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST":
        return "on demand"
    units = table["ProvisionedThroughput"]
    return f"{units['ReadCapacityUnits']:,} read and {units['WriteCapacityUnits']:,} write units a second"
