"""The store in a DynamoDB table, for any number of machines.

One item a row: `u`, the user, is the partition key; `k`, variant × 3 + position, the sort key; `b` the row. A ring is
one query of half a read unit. The control record is the item u = "topshelf", k = -1, which no user's query reaches.
"""

from __future__ import annotations

import json
import time
import uuid
from binascii import a2b_base64
from collections.abc import Callable, Iterable
from typing import Any

from conf.settings import Dynamodb
from stores.base import (
    MAX_USER_ID_BYTES,
    RING,
    VARIANTS,
    ControlConflict,
    LeaseLost,
    Row,
    Store,
    StoreThrottled,
    Timeouts,
    WriteReport,
)
from stores.control import Control
from stores.dynamodb_client import ConditionFailed, DynamoClient, backoff
from stores.dynamodb_table import check_table, create_table
from stores.dynamodb_writer import Writer
from stores.pace import Pace
from stores.per_process import PerProcess

_CONTROL_KEY = {"u": {"S": "topshelf"}, "k": {"N": "-1"}}


class DynamoStore(Store):
    """See `stores.base.Store`.

    A write takes the lease at its word for up to two seconds: DynamoDB cannot tell a row of an older lease from one
    of a newer, so what a writer had on its way when it lost the lease may still arrive.
    """

    def __init__(
        self,
        settings: Dynamodb,
        timeouts: Timeouts,
        units_per_second: float | None,
        rows_in_flight: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """units_per_second: write units at most; None: as many as the table takes."""
        self._settings = settings
        self._rows_in_flight = rows_in_flight
        self._clock = clock
        self._sleep = sleep
        self._client = DynamoClient(settings, timeouts, sleep)
        self._pace = PerProcess(lambda: Pace(units_per_second, clock, sleep), lambda pace: None)

    def create(self) -> None:
        create_table(self._client, self._settings, self._clock, self._sleep)

    def check(self) -> str:
        return check_table(self._client)

    def read_control(self) -> Control | None:
        answer = self._client.repeat("get_item", TableName=self._client.table, Key=_CONTROL_KEY, ConsistentRead=True)
        if "Item" not in answer:
            return None
        return Control.from_json(answer["Item"].get("control", {}).get("S", ""))

    def swap_control(self, expected: Control | None, new: Control) -> None:
        after = 0 if expected is None else expected.version
        if new.version != after + 1:
            raise ValueError(f"the control record goes from version {after} to {after + 1}, not to {new.version}")
        # Two writers may want the very same record, so what tells whose it is has to be of this call alone.
        mark = uuid.uuid4().hex
        try:
            self._client.repeat(
                "put_item",
                TableName=self._client.table,
                Item={
                    **_CONTROL_KEY,
                    "version": {"N": str(new.version)},
                    "control": {"S": new.to_json()},
                    "mark": {"S": mark},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **_is(expected),
            )
        except ConditionFailed as error:
            if error.item.get("mark") == {"S": mark}:
                return  # An earlier try went through, and only its answer was lost.
            found = error.item.get("version", {}).get("N", 0)
            raise ControlConflict(f"the control record is at version {found}, expected {after}") from error

    def write(self, rows: Iterable[Row], lease: int) -> WriteReport:
        return Writer(
            self._client,
            self._pace.get(),
            lambda: self._held(lease),
            self._rows_in_flight,
            self._clock,
            self._sleep,
        ).write(rows)

    def ring(self, user_id: str, variant: int = 0) -> dict[int, bytes]:
        if not _may_have_rows(user_id):
            return {}
        first = variant * RING
        answer = self._client.query(self._ring_query(user_id, first))
        return {int(item["k"]["N"]) - first: a2b_base64(item["b"]["B"]) for item in answer["Items"]}

    def _ring_query(self, user_id: str, first: int) -> bytes:
        query = {
            "TableName": self._client.table,
            "KeyConditionExpression": "u = :u AND k BETWEEN :first AND :last",
            "ExpressionAttributeValues": {
                ":u": {"S": user_id},
                ":first": {"N": str(first)},
                ":last": {"N": str(first + RING - 1)},
            },
            "ProjectionExpression": "k, b",
        }
        return json.dumps(query).encode()

    def delete(self, user_id: str) -> None:
        if not _may_have_rows(user_id):
            return
        table = self._client.table
        # Every key a user can have, whether it is there or not: to look first would miss a row that is being written.
        requests: list[dict[str, Any]] = [
            {"DeleteRequest": {"Key": {"u": {"S": user_id}, "k": {"N": str(key)}}}}
            for key in range(len(VARIANTS) * RING)
        ]
        for tries in range(self._client.retries + 1):
            answer = self._client.repeat("batch_write_item", RequestItems={table: requests})
            requests = answer["UnprocessedItems"].get(table, [])
            if not requests:
                return
            self._sleep(backoff(tries))
        raise StoreThrottled(f"DynamoDB {self._client.where} is too busy to delete a user: try again later")

    def scrub(self) -> str:
        return "backups and point-in-time recovery, where the table has them, hold what was there as long as they say"

    def count(self) -> int:
        total, start = 0, dict[str, Any]()
        while True:
            answer = self._client.repeat(
                "scan",
                TableName=self._client.table,
                Select="COUNT",
                FilterExpression="k >= :zero",
                ExpressionAttributeValues={":zero": {"N": "0"}},
                ConsistentRead=True,
                **start,
            )
            total += int(answer["Count"])
            if "LastEvaluatedKey" not in answer:
                return total
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def close(self) -> None:
        self._client.close()
        self._pace.close()

    def _held(self, lease: int) -> Control:
        """The control record, which says that the lease is still the writer's."""
        control = self.read_control()
        if control is None or control.lease != lease:
            holder = None if control is None else control.lease
            raise LeaseLost(f"attempt {lease} may not write: the lease is with {holder or 'nobody'}")
        return control


def _may_have_rows(user_id: str) -> bool:
    """DynamoDB refuses to look for keys that it could not hold."""
    return 0 < len(user_id.encode()) <= MAX_USER_ID_BYTES


def _is(expected: Control | None) -> dict[str, Any]:
    """The condition that the control record is still `expected`."""
    if expected is None:
        return {"ConditionExpression": "attribute_not_exists(u)"}
    return {
        "ConditionExpression": "#version = :version AND #control = :control",
        "ExpressionAttributeNames": {"#version": "version", "#control": "control"},
        "ExpressionAttributeValues": {
            ":version": {"N": str(expected.version)},
            ":control": {"S": expected.to_json()},
        },
    }
