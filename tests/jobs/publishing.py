"""Publishing small lists of a catalogue whose items 0 to 7 anybody may see (tests/serving/conftest.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import duckdb
import numpy as np
from deltalake import DeltaTable

from conf.hours import Hour
from conf.settings import Settings
from jobs import publish
from jobs.attempt import Result
from jobs.lake import Lake
from jobs.load import Progress
from jobs.manifests import Scored, Tried
from jobs.rollback import attempts
from jobs.scan import readable
from jobs.tables import PUBLISHED, RECOMMENDATIONS
from stores.artefact import write_artefact
from stores.base import Store, choose
from stores.records import ListBody, body_hash, encode_body, pack_vector
from tests.serving.conftest import content

NOW = datetime(2026, 1, 10, 7, tzinfo=UTC)
Lists = Mapping[str, Sequence[int]]
HISTORY: Sequence[Lists] = ({"ann": [1], "bob": [2]}, {"ann": [3], "bob": [4]}, {"ann": [5], "cat": [6]})
"""Of the hours 3, 4 and 5, which become generations 1, 2 and 3 (the fixture `history`)."""
FIRST = 3


def hour(number: int) -> Hour:
    """The number-th hour of a day of 2026."""
    return Hour.parse(f"2026-01-10T{number:02}")


def open_gate(settings: Settings, **limits: float) -> Settings:
    """Settings whose gate lets lists of one item pass that change altogether."""
    wide = {
        "least_lists": 1,
        "short_list": 1,
        "min_overlap": 0.0,
        "max_concentration": 1.0,
        "max_rejected": 0.5,
        **limits,
    }
    return settings.model_copy(update={"gate": settings.gate.model_copy(update={**wide, **limits})})


def encoded(items: Sequence[int], maturity_limit: int = 0) -> bytes:
    count = len(items)
    body = ListBody(
        maturity_limit=maturity_limit,
        region=None,
        segment=0xFFFF,
        vector=pack_vector(np.zeros(128, np.float32)),
        anchors=(),
        item_no=np.array(items, np.int32),
        score=np.zeros(count, np.uint8),
        source=np.zeros(count, np.uint8),
        anchor=np.zeros(count, np.uint8),
    )
    return encode_body(body)


def recommend(lake: Lake, settings: Settings, of: Hour, lists: Lists, unchanged: int = 0) -> Scored:
    """Recommendations of an hour, as scoring leaves them, and the artefact that they were made with."""
    _put(lake, of, lists, "champion", "m")
    artefact_id = write_artefact(settings.artefacts_path, content())
    return Scored("m", "v1", artefact_id, len(lists) + unchanged, len(lists), unchanged, {})


def challenge(lake: Lake, settings: Settings, of: Hour, scored: Scored, lists: Lists, model: str = "b") -> Scored:
    """The same hour with lists of a second model."""
    _put(lake, of, lists, "challenger", model)
    artefact_id = write_artefact(settings.artefacts_path, content(model_version="v2"))
    tried = Tried(model, "v2", artefact_id, len(lists), len(lists))
    more = {"scored": scored.scored + len(lists), "changed": scored.changed + len(lists)}
    return replace(scored, challenger=tried, **more)


def _put(lake: Lake, of: Hour, lists: Lists, variant: str, model: str) -> None:
    rows = []
    for user, items in lists.items():
        body = encoded(items)
        named = [(item, f"m{item}", 0.5, "ann", None) for item in items]
        rows.append((user, named, b"", None, None, 0, body, body_hash(body), model, of.date, of.start.hour, variant))
    where = {"date": of.date, "hour": of.start.hour, "variant": variant}
    lake.replace(RECOMMENDATIONS, lake.spark.createDataFrame(rows, RECOMMENDATIONS.schema), where)


@dataclass
class Heard:
    """A listener that remembers."""

    said: list[str] = field(default_factory=list)
    seen: list[Progress] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, progress: Progress) -> None:
        self.seen.append(progress)


@dataclass
class Publisher:
    lake: Lake
    settings: Settings
    store: Store
    heard: Heard = field(default_factory=Heard)

    def __call__(self, number: int, lists: Lists, republish: bool = False, unchanged: int = 0) -> Result:
        """Publish an hour's lists."""
        scored = recommend(self.lake, self.settings, hour(number), lists, unchanged)
        return self.again(number, scored, republish)

    def again(self, number: int, scored: Scored, republish: bool = False) -> Result:
        return publish.run(
            self.lake, hour(number), self.settings, self.store, scored, lambda: NOW, self.heard, republish=republish
        )

    def served(self, *users: str) -> list[list[int] | None]:
        """What readers get for each user."""
        control = self.store.read_control()
        assert control is not None
        found = (choose(self.store.ring(user), control) for user in users)
        return [None if stored is None else stored.body.item_no.tolist() for stored in found]

    def states(self) -> dict[int, str]:
        """How each attempt stands in the ledger."""
        control = self.store.read_control()
        assert control is not None
        mine = (entry for entry in attempts(self.lake.root) if entry["store_id"] == control.store_id)
        return {entry["generation"]: entry["state"] for entry in mine}

    def published(self) -> dict[str, tuple[int, int, list[int]]]:
        """Generation, ring position and items of each user, as those read the table who have no Spark."""
        connection = duckdb.connect(":memory:")
        connection.register("published", readable(DeltaTable(self.lake.path(PUBLISHED))))
        rows = connection.sql("SELECT user_id, generation, ring_position, items FROM published").fetchall()
        return {
            user: (generation, place, [item["item_no"] for item in items]) for user, generation, place, items in rows
        }
