"""A published world of twelve films in which a reader can see every right answer.

m0 to m7 may be shown to anybody. m8: its licence is over. m9: licensed in the US only. m10: for adults. m11: taken
out. The forbidden ones lead every list, so a filter that is missing shows at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import numpy as np
import pytest

from conf.loading import load
from conf.rules import Rules, load_rules
from conf.settings import Settings
from conf.vocabulary import EVERYWHERE, NO_ANCHOR, Source
from serving.app import create_app
from serving.auth import make_token
from serving.follower import Follower
from serving.metrics import Metrics
from stores.artefact import encode_fragment, write_artefact
from stores.artefact_parts import ArtefactContent
from stores.base import Row, Store
from stores.control import Control
from stores.generation import Generation
from stores.opening import open_eventlog, open_sessions, open_store
from stores.records import ListBody, encode_body, encode_row, pack_vector
from stores.rollout import Challenger
from stores.search import SearchDocument, build_index

NOW = datetime(2026, 11, 23, 13, 30, tzinfo=UTC)
ITEMS = 12
SECRET = "a secret that is used in tests only, and long enough"
LEADING = [11, 10, 9, 8]
SEGMENT = "25-34/US"


def content(**changes) -> ArtefactContent:
    genres = ["Drama", "Sci-Fi", "Comedy"]
    primary = np.arange(ITEMS) % 3
    licensed = np.full(ITEMS, EVERYWHERE, dtype=np.uint64)
    licensed[9] = 1
    maturity = np.zeros(ITEMS, dtype=np.uint8)
    maturity[10] = 4
    until = np.full(ITEMS, np.inf)
    until[8] = datetime(2001, 1, 1, tzinfo=UTC).timestamp()
    similar = np.full((ITEMS, 6), -1, dtype=np.int32)
    similar[0] = [*LEADING, 4, 2]
    context = np.zeros((ITEMS, 2), dtype=np.float32)
    context[5] = [1, 0]
    fields = {
        "item_ids": [f"m{number}" for number in range(ITEMS)],
        "titles": [f"Film {number}" for number in range(ITEMS)],
        "directors": [None] * ITEMS,
        "fragments": [
            encode_fragment(f"m{n}", f"Film {n}", thumbnail=None, genres=[genres[primary[n]]], year=2000, rating="PG")
            for n in range(ITEMS)
        ],
        "active": np.arange(ITEMS) != 11,
        "maturity": maturity,
        "licensed": licensed,
        "regions": ["US"],
        "available_from": np.full(ITEMS, -np.inf),
        "available_until": until,
        "genres": (np.uint64(1) << primary.astype(np.uint64)),
        "primary_genre": primary.astype(np.uint8),
        "genre_names": genres,
        "vectors": np.zeros((ITEMS, 4), dtype=np.float32),
        "context_items": context,
        "context_page": np.array([[0, 0], [3, 0]], dtype=np.float32),
        "context_pages": ["", "home"],
        "context_daypart": np.zeros((1, 4, 2), dtype=np.float32),
        "context_regions": [""],
        "context_weekday": np.zeros((7, 2), dtype=np.float32),
        "similar": similar,
        "similar_score": np.tile(np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], dtype=np.float32), (ITEMS, 1)),
        "popular": {
            "global": np.array([*LEADING, 0, 1, 2, 3, 4, 5, 6, 7], dtype=np.int32),
            f"segment:{SEGMENT}": np.array([*LEADING, 7, 6], dtype=np.int32),
        },
        "segments": [SEGMENT],
        "model_version": "v1",
        "made_for": "2026-11-23T12:00Z",
        "documents": [],
        **changes,
    }
    if not fields["documents"]:
        fields["documents"] = [
            SearchDocument(title, (f"Actor {number}",), None, (genres[number % 3],), "A film.", 2000)
            for number, title in enumerate(fields["titles"])
        ]
    return ArtefactContent(**fields)


def body(items, maturity_limit=4, region: str | None = "US", segment=0, anchors=(0,), **columns) -> ListBody:
    """A list with falling scores, all by ANN unless `source` and `anchor` say otherwise."""
    count = len(items)
    return ListBody(
        maturity_limit=maturity_limit,
        region=region,
        segment=segment,
        vector=pack_vector(np.ones(4, dtype=np.float32)),
        anchors=anchors,
        item_no=np.array(items, dtype=np.int32),
        score=np.maximum(160 - 8 * np.arange(count), 0).astype(np.uint8),
        source=np.array(columns.get("source", [Source.ANN] * count), dtype=np.uint8),
        anchor=np.array(columns.get("anchor", [NO_ANCHOR] * count), dtype=np.uint8),
    )


@cache
def index_of(documents: tuple[SearchDocument, ...]) -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        build_index(Path(folder), documents)
        return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def copy_index(folder, documents):
    """As build_index does; each catalogue is indexed, and synced to disk by tantivy, only once."""
    for name, data in index_of(tuple(documents)).items():
        (folder / name).write_bytes(data)


ANN = body([*LEADING, 3, 4, 5], source=[0, 0, 0, 0, 1, 2, 3], anchor=[31, 31, 31, 31, 0, 1, 31])
"""An adult in the US who watched m0 last."""
KID = body([*LEADING, 3, 4, 5], maturity_limit=0, region=None, segment=65535, anchors=())


@dataclass
class World:
    """A home folder with a store; generations are published to it as a job would."""

    settings: Settings
    store: Store
    generation: int = 0

    def publish(
        self,
        lists: dict[str, ListBody],
        position: int = 0,
        watermark: int = 0,
        knew: int | None = None,
        challenger: dict[str, ListBody] | None = None,
        since: int = 2,
        **changes,
    ) -> None:
        """knew: items that the batch knew when it made the lists; None: all that the artefact has.

        challenger: lists of model b, version v2; since: the first generation with any.
        """
        held = self.store.read_control()
        if held is None:
            held = Control.first("test-store")
            self.store.swap_control(None, held)
        number = held.attempts + 1
        loading = replace(held, version=held.version + 1, attempts=number, lease=number)
        self.store.swap_control(held, loading)
        rows = [
            Row(user, variant, position, encode_row(encode_body(one), number, watermark))
            for variant, given in enumerate((lists, challenger or {}))
            for user, one in given.items()
        ]
        assert self.store.write(rows, number).written == len(rows)
        made = content(**changes)
        artefact_id = write_artefact(self.settings.artefacts_path, made)
        slots = len(made.active) if knew is None else knew
        generation = Generation(number, artefact_id, made.model_version, made.made_for, NOW.isoformat(), slots)
        if challenger is not None:
            other = write_artefact(self.settings.artefacts_path, content(**changes, model_version="v2"))
            generation = replace(generation, challenger=Challenger("b", "v2", other, since))
        self.store.swap_control(loading, loading.switched(generation))
        self.generation = number

    def token(self, user: str, scope: str = "user", at: datetime | None = None) -> str:
        return make_token(user, SECRET, at or NOW, 24, scope)


@pytest.fixture(scope="session")
def rules() -> Rules:
    return load_rules()


@pytest.fixture
def world(tmp_path, monkeypatch):
    # Dozens of artefacts are written here, and none of them has to survive a power cut.
    monkeypatch.setattr("stores.folders._sync", lambda descriptor: None)
    monkeypatch.setattr("stores.artefact.build_index", copy_index)
    settings = home(tmp_path)
    with open_store(settings) as store:
        made = World(settings, store)
        made.publish({"ann": ANN, "kid": KID})
        yield made


def home(path, *overrides: str) -> Settings:
    scopes = ("", "anonymous_")
    unlimited = [f"serving.{scope}{name}=1000000" for scope in scopes for name in ("requests_per_second", "burst")]
    fast = [*unlimited, "serving.follow_seconds=0.05"]
    secret = f"serving.token_secret={SECRET}"
    return load({"TOPSHELF_HOME": str(path / "home")}, [secret, *fast, *overrides]).settings


@pytest.fixture
def make_client(world, rules):
    """Builds an app in this process, at a fixed time; any part can be replaced. Returns `call(method, path, …)`."""

    def make(now: Callable[[], float] = NOW.timestamp, **replaced) -> Call:
        metrics = Metrics()
        parts = {
            "store": world.store,
            "sessions": open_sessions(world.settings),
            "eventlog": open_eventlog(world.settings, "test", now),
            "settings": world.settings,
            "rules": rules,
            "secret": SECRET,
            "clock": now,
            "metrics": metrics,
            **replaced,
        }
        follower = Follower(parts["store"], world.settings.artefacts_path, 60, metrics, now)
        follower.poll()
        app = create_app(**{"follower": follower, **parts})
        return Call(app, world, parts.get("follower", follower), metrics)

    return make


class Call:
    """An app's test client with tokens put on; the answer's JSON is checked to be JSON."""

    def __init__(self, app, world, follower, metrics):
        self.app, self.world, self.follower, self.metrics = app, world, follower, metrics

    def __call__(self, path, user="ann", method="GET", scope="user", headers=None, **kwargs):
        if user is not None:
            headers = {"Authorization": f"Bearer {self.world.token(user, scope)}", **(headers or {})}
        return self.app.test_client().open(path, method=method, headers=headers, **kwargs)

    def items(self, path="/api/v1/recommendations", **kwargs):
        answer = self(path, **kwargs)
        assert answer.status_code == 200, answer.text
        return [item["item_id"] for item in answer.json["recommendations"]]

    def count(self, name, **labels):
        """A counter's value, 0 where it never counted."""
        wanted = f"{name}_total" if "{" not in name else name
        for line in self.metrics.exposition().decode().splitlines():
            head, _, value = line.rpartition(" ")
            found = head.partition("{")
            if found[0] == wanted and all(f'{key}="{text}"' in found[2] for key, text in labels.items()):
                return float(value)
        return 0.0


@pytest.fixture
def client(make_client):
    return make_client()


def fetch(url, token=None, method="GET", json_body=None):
    """One request over a new connection: (status, headers, decoded JSON)."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname, parts.port, timeout=10)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    payload = None if json_body is None else json.dumps(json_body)
    connection.request(method, f"{parts.path}?{parts.query}", body=payload, headers=headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), json.loads(data)


@pytest.fixture(scope="session")
def http():
    return fetch


@pytest.fixture(scope="session")
def make_body():
    return body


@pytest.fixture(scope="session")
def make_home():
    return home


@pytest.fixture(scope="session")
def new_world():
    return World
