from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conf.vocabulary import EVERYWHERE
from serving.request import Request
from tests.serving.films import NOW, Cinema, edited, films

US, DE = np.uint64(1), np.uint64(2)
TIERS = {"basic": {"genres": ["G4"], "items": ["m5"]}, "ads": {"items": ["m6"]}, "premium": {}}
COUNT = 14


@dataclass
class Hits:
    item_no: np.ndarray
    score: np.ndarray


def guarded(**changes):
    """m0 is for everybody; m1: maturity 2; m2: only US; m3: only DE; m4 to m6 are withheld from some tiers."""
    licensed = np.full(COUNT, EVERYWHERE, np.uint64)
    licensed[2:4] = [US, DE]
    maturity = np.zeros(COUNT, np.uint8)
    maturity[1] = 2
    everything = np.tile(np.arange(COUNT, dtype=np.int32), (COUNT, 1))
    popular = {scope: np.arange(COUNT, dtype=np.int32) for scope in ("global", "trending", "new", "genre:G0")}
    return films(
        COUNT,
        licensed=licensed,
        maturity=maturity,
        popular=popular,
        similar=everything,
        similar_score=np.ones((COUNT, COUNT), np.float32),
        vectors=np.ones((COUNT, 2), np.float32),
        **changes,
    )


@pytest.fixture
def cinema(world, rules, make_body):
    bodies = {"ann": make_body(range(COUNT), anchors=(), region="US"), "kid": make_body([0, 1], 0, None, anchors=())}
    world.publish(bodies, position=1, **guarded())
    return Cinema(world, edited(rules, tiers=TIERS))


def shown(cinema, **asked):
    return {number for number in cinema.home(COUNT, tier=asked.pop("tier", "premium"), **asked).item_no if number < 7}


def test_a_token_narrows_a_profile(cinema):
    assert shown(cinema) == {0, 1, 2, 4, 5, 6}
    assert shown(cinema, maturity_limit=1) == {0, 2, 4, 5, 6}
    assert shown(cinema, region="US") == {0, 1, 2, 4, 5, 6}
    assert shown(cinema, region="DE") == {0, 1, 4, 5, 6}
    assert shown(cinema, region="atlantis") == {0, 1, 4, 5, 6}


def test_a_token_never_widens_a_profile(cinema):
    assert shown(cinema, user="kid", maturity_limit=4, region="US") == {0, 4, 5, 6}
    assert shown(cinema, user="nobody", maturity_limit=4, region="DE") == {0, 4, 5, 6}


def test_a_tier_is_withheld_its_own_and_an_unknown_one_everything_that_any_is(cinema):
    assert shown(cinema, tier="basic") == {0, 1, 2, 6}
    assert shown(cinema, tier="ads") == {0, 1, 2, 4, 5}
    assert shown(cinema, tier="gold") == shown(cinema, tier=None) == {0, 1, 2}


def test_a_licence_begins_and_ends_while_bars_are_kept(world, rules, make_body):
    start, end = np.full(COUNT, -np.inf), np.full(COUNT, np.inf)
    start[0], end[1] = NOW + 60, NOW + 120
    world.publish(
        {"ann": make_body([0, 1], anchors=())}, position=1, **films(COUNT, available_from=start, available_until=end)
    )
    cinema = Cinema(world, rules)
    seen = []
    for cinema.now in (NOW, NOW + 59, NOW + 60, NOW + 119, NOW + 120, NOW):
        seen.append({number for number in cinema.home(COUNT).item_no if number < 2})
    assert seen == [{1}, {1}, {0, 1}, {0, 1}, {0}, {1}]


def every_way(cinema, **asked):
    """Every item that any method shows."""
    recommender, snapshot, found = cinema.recommender, cinema.snapshot, set()
    hits = Hits(np.arange(COUNT, dtype=np.int32), np.ones(COUNT, np.float32))

    def request(page, **more):
        return Request(seed="s", limit=COUNT, page=page, **asked, **more)

    pages = [
        recommender.home(snapshot, request("home")),
        recommender.home(snapshot, request("home", as_of=cinema.now - 3600)),
        recommender.alike(snapshot, request("similar"), 13, fill_up=True),
        recommender.alike(snapshot, request("similar"), 13, fill_up=False),
        recommender.found(snapshot, request("search"), hits),
        *(shelf.page for shelf in recommender.shelves(snapshot, request("home"))),
    ]
    for page in pages:
        found.update(page.item_no)
        assert len(page.item_no) == len(set(page.item_no))
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(
    user=st.sampled_from(["ann", "kid", "nobody", None]),
    maturity=st.none() | st.integers(0, 4),
    region=st.sampled_from([None, "US", "DE", "?"]),
    tier=st.sampled_from([None, "basic", "ads", "premium"]),
    watched=st.integers(7, 12),
    taken=st.integers(7, 12),
    popular=st.booleans(),
)
def test_no_way_shows_what_is_barred(world, rules, make_body, user, maturity, region, tier, watched, taken, popular):
    bodies = {"ann": make_body(range(COUNT), anchors=(), region="US"), "kid": make_body([0, 1], 0, None, anchors=())}
    if world.generation == 1:
        world.publish(bodies, position=1, **guarded())
    promoted = [
        {"item_id": f"m{number}", "slot": number + 1, "contexts": ["home", "search", "similar"]} for number in range(7)
    ]
    cinema = Cinema(
        world,
        edited(
            rules,
            tiers=TIERS,
            promotions={"per_page": 9, "items": promoted},
            exploration={"share": 1},
            baseline={"share": float(popular)},
        ),
    )
    cinema.take_down(taken)
    if user is not None:
        cinema.did("watch", watched, user=user)
    found = every_way(cinema, user_id=user, maturity_limit=maturity, region=region, tier=tier)
    barred = {taken} | ({watched} if user is not None else set())
    if user != "ann" or (maturity is not None and maturity < 2):
        barred.add(1)
    if user != "ann" or region not in (None, "US"):
        barred.add(2)
    barred.add(3)
    barred |= {"basic": {4, 5}, "ads": {6}, "premium": set(), None: {4, 5, 6}}[tier]
    assert not found & barred
    assert 0 in found


def test_what_rules_remove_is_counted_by_rule(cinema):
    cinema.did("watch", 7)
    cinema.take_down(8)
    cinema.home(12, tier="ads", maturity_limit=1)
    exposed = cinema.metrics.exposition().decode()
    for rule, count in {"maturity": 1, "region": 1, "tier": 1, "hidden": 1, "inactive": 1, "window": 0}.items():
        assert f'topshelf_removed_candidates_total{{rule="{rule}"}} {count}.0' in exposed
    assert "topshelf_depleted_pages_total 1.0" in exposed
    cinema.home(2)
    assert "topshelf_depleted_pages_total 1.0" in cinema.metrics.exposition().decode()


def test_a_title_is_not_a_reason_for_those_who_may_not_see_it(world, rules, make_body):
    body = make_body([9], anchors=(1,), source=[1], anchor=[0])
    world.publish({"ann": body}, position=1, **guarded())
    cinema = Cinema(world, rules)
    assert cinema.home(1).reason == ["Because you watched Film 1"]
    assert cinema.home(1, maturity_limit=1).reason == ["Picked for you"]
    cinema.take_down(1)
    assert cinema.home(1).reason == ["Picked for you"]
