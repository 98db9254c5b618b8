"""Making the keyspace and its tables, and looking at them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from conf.errors import ConfigError
from stores.base import Row, StoreMisshaped, StoreMissing, StoreUnavailable
from stores.control import Control
from stores.cql_tables import shortage
from stores.scylla import ScyllaStore
from tests.stores.cql.helpers import PATIENT, rows_of, take_lease


def test_a_store_is_made_in_parts_and_only_where_they_are_missing(bare, client):
    with ScyllaStore(bare, PATIENT, 1) as store:
        with pytest.raises(StoreMissing, match=r"no table \w+_bare\.control yet: `topshelf store create` makes it"):
            store.check()
        with pytest.raises(StoreMissing):
            store.ring("ann")
        with pytest.raises(StoreMissing):
            store.write(rows_of("ann"), 1)
        store.create()
        store.swap_control(None, Control.first("a-store"))
        store.create()
        assert store.read_control() == Control.first("a-store")
        take_lease(store, 1)

        def rows():
            yield Row("ann", 0, 0, b"row")
            client.define(f"DROP TABLE {bare.keyspace}.lists", 60)
            yield Row("bob", 0, 0, b"row")

        with pytest.raises(StoreMissing, match=r"\.lists yet"):
            store.write(rows(), 1)
        store.create()
        assert store.ring("ann") == {}
        assert store.read_control().lease == 1
        client.define(f"ALTER TABLE {bare.keyspace}.lists WITH default_time_to_live = 60", 60)
        with pytest.raises(StoreMisshaped, match=r"expire after 60 s.* ALTER TABLE"):
            store.create()


def test_a_table_with_other_columns_is_left_alone(bare, client):
    client.define(
        f"CREATE KEYSPACE {bare.keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 2}}", 60
    )
    client.define(f"CREATE TABLE {bare.keyspace}.lists (user_id int PRIMARY KEY, row blob)", 60)
    with ScyllaStore(bare, PATIENT, 1) as store:
        with pytest.raises(StoreMisshaped) as caught:
            store.create()
        assert str(caught.value) == (
            f"table {bare.keyspace}.lists has the columns row (regular blob), user_id (partition key int), not row "
            "(regular blob), slot (clustering tinyint), user_id (partition key text): choose another name for "
            "scylla.keyspace, or drop that table"
        )
        with pytest.raises(StoreMisshaped):
            store.ring("ann")
        client.define(f"DROP TABLE {bare.keyspace}.lists", 60)
        store.create()
        with pytest.raises(StoreUnavailable, match="LOCAL_QUORUM needs 2, 1 are up"):
            store.check()


def test_a_replication_that_the_server_does_not_know_is_a_wrong_setting(bare):
    wrong = bare.model_copy(update={"replication": {"class": "NoSuchStrategy"}})
    with ScyllaStore(wrong, PATIENT, 1) as store, pytest.raises(ConfigError, match=r"scylla\.replication"):
        store.create()


def test_a_check_tells_what_is_there(open_cql, scylla):
    store = open_cql()
    line = store.check()
    assert line.startswith(f"CQL store at 127.0.0.1:{scylla.port}, Cassandra 5.")
    assert line.endswith(
        f"1 of 1 nodes in use, in datacenter1; keyspace {scylla.keyspace}, NetworkTopologyStrategy datacenter1=1"
    )
    assert store.read_control() is None


@pytest.mark.parametrize(
    ("replication", "expected"),
    [
        ({"class": "N", "east": "2", "west": "1"}, "; warning: west is to hold 1 copies and has 0 nodes up"),
        ({"class": "S", "replication_factor": "4"}, "; warning: 4 copies are asked for and there are 3 nodes"),
        ({"class": "N", "east": "2"}, ""),
    ],
)
def test_a_check_warns_of_copies_that_no_node_can_hold(replication, expected):
    nodes = [
        SimpleNamespace(datacenter=name, is_up=up) for name, up in [("east", True), ("east", None), ("west", False)]
    ]
    assert shortage(replication, nodes) == expected
