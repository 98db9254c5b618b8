"""Who liked what, and when: what peers learn from, read from a lake that `topshelf import` filled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from numpy.typing import NDArray

from conf.settings import Settings
from jobs.scan import readable
from jobs.tables import EVENTS, ITEMS, USERS, Table
from models.content import Bags, build_vocabulary, encode, genre_matrix, genre_vocabulary
from models.types import Floats, Ints, Longs

MIN_POSITIVES = 5
"""Users with fewer are left out: a fifth of them is nobody's measure."""
UNKNOWN = np.iinfo(np.int64).min
"""The release of an item of which the catalogue says nothing."""


@dataclass(frozen=True)
class About:
    """What the catalogue says of n items: genres (n, G), the tokens that models know, release (n,) see `releases`."""

    genres: Floats
    tokens: Bags
    release: Longs


@dataclass(frozen=True)
class Interactions:
    """m positives, each pair of user and item once, ordered by user, time and item.

    user (m,) rows of user_ids; item (m,) item_no, rows of item_ids and of `about`; time (m,) µs since 1970.
    """

    user_ids: list[str]
    item_ids: list[str]
    about: About
    user: Ints
    item: Ints
    time: Longs

    def __len__(self) -> int:
        return len(self.user)

    def of_users(self, kept: NDArray[np.bool_]) -> Interactions:
        """Those of some users (U,), who are numbered anew."""
        rows = kept[self.user]
        number = (np.cumsum(kept) - 1).astype(np.int32)
        ids = [user for user, keep in zip(self.user_ids, kept.tolist(), strict=True) if keep]
        return Interactions(
            ids, self.item_ids, self.about, number[self.user[rows]], self.item[rows], self.time[rows]
        )  # fmt: skip

    def active(self) -> Interactions:
        """Those of users with at least MIN_POSITIVES."""
        return self.of_users(np.bincount(self.user, minlength=len(self.user_ids)) >= MIN_POSITIVES)

    def sample(self, users: int, seed: int) -> Interactions:
        """Those of at most `users` users, drawn at random."""
        count = len(self.user_ids)
        kept = np.zeros(count, bool)
        kept[np.random.default_rng(seed).permutation(count)[:users]] = True
        return self.of_users(kept)


def read(settings: Settings) -> Interactions:
    """All positives of an imported lake, as training counts them: a user's first watch to the end of each item."""
    items = ordered_items(settings)
    rows = ask(
        settings,
        """
        SELECT e.user_id, i.item_no, epoch_us(min(e.timestamp)) AS time
        FROM events AS e JOIN items AS i USING (item_id)
        WHERE e.event_type = 'watch'
          AND (coalesce(e.completed, false) OR coalesce(e.watch_duration_sec > $share * i.duration_min * 60, false))
        GROUP BY e.user_id, i.item_no ORDER BY e.user_id, time, i.item_no
        """,
        {"share": settings.training.positive_share},
    )
    users = rows["user_id"].combine_chunks().dictionary_encode()
    return Interactions(
        users.dictionary.to_pylist(),
        items["item_id"].to_pylist(),
        About(genre_matrix(items, genre_vocabulary(items)), encode(items, build_vocabulary(items)), releases(items)),
        users.indices.to_numpy().astype(np.int32),
        rows["item_no"].to_numpy().astype(np.int32),
        rows["time"].to_numpy().astype(np.int64),
    )


def releases(items: pa.Table) -> Longs:
    """(n,) µs since 1970 of when each item came out: available_from, else release_date, UNKNOWN without both."""
    day = pc.cast(items["release_date"], pa.timestamp("us", "UTC"))
    moments = pc.coalesce(pc.cast(items["available_from"], pa.timestamp("us", "UTC")), day)
    return np.asarray(pc.fill_null(pc.cast(moments, pa.int64()), UNKNOWN).to_numpy(), np.int64)


def ordered_items(settings: Settings) -> pa.Table:
    """The items table, row i being item_no i."""
    return ask(settings, "SELECT * FROM items ORDER BY item_no")


def ask(settings: Settings, question: str, values: dict[str, Any] | None = None, **more: Any) -> pa.Table:
    """An answer of DuckDB over `items`, `users`, `events` and the tables in `more`."""
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        for table in (ITEMS, USERS, EVENTS):
            database.register(table.name, _scan(settings, table))
        for name, table in more.items():
            database.register(name, table)
        return database.sql(question, params=values or {}).to_arrow_table()


def _scan(settings: Settings, table: Table) -> Any:
    return readable(DeltaTable(f"{settings.lake_root}/{table.name}"))
