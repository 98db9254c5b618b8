"""Who is scored in an hour, and who keeps the list they have."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from pyspark.sql import functions as F

from conf.errors import DataError
from conf.hours import Hour
from jobs import rescoring, user_features
from jobs.manifests import Scored, Tried, save
from jobs.readers import Readers
from jobs.rescoring import Basis
from jobs.tables import PUBLISHED, USER_FEATURES
from stores.artefact import load_artefact, write_artefact
from stores.base import CHALLENGER, CHAMPION
from stores.control import Control
from stores.generation import Generation
from tests.jobs.conftest import HOUR, at, put_events
from tests.serving.conftest import content

NEXT = Hour(HOUR.end)
EVERYBODY = Basis(None, because="a test")
SINCE = Basis(HOUR)
BASIS = Basis(HOUR, whole=HOUR)
CLUE = 2
USERS = [f"user {number}" for number in range(10)]
GENRES = ["Drama", "Sci-Fi", "Comedy"]


@pytest.fixture
def week(settings):
    """Users count as active for so long."""
    return settings.model_copy(update={"features": settings.features.model_copy(update={"activity_window_days": 6})})


def live_row(user, region=None, maturity_limit=0, hour=HOUR, items=()):
    listed = [(item, f"m{item}", 0.5, "ann", None) for item in items]
    return (user, "champion", listed, region, maturity_limit, b"", "hash", 0, 1, "store", hour.start)


@pytest.fixture
def scored(world, week):
    """Users scored in NEXT, given what readers have."""

    def ask(basis, *rows, touched=None, settings=week):
        live = world.spark.createDataFrame(list(rows), PUBLISHED.schema)
        marks = world.spark.createDataFrame([] if touched is None else [(touched,)], "user_id string")
        found = rescoring.users(world, NEXT, settings, basis, live, marks)
        return sorted(row["user_id"] for row in found.collect())

    return ask


def test_all_who_are_active_and_those_whose_limits_are_no_longer_what_is_live(world, settings, week, scored):
    with pytest.raises(DataError, match="user_features are not those of 2026-01-10T06:00Z"):
        scored(EVERYBODY)
    for hour in (HOUR, NEXT):
        user_features.run(world, hour, week)
    short = week.model_copy(update={"features": week.features.model_copy(update={"activity_window_days": 1})})
    assert scored(EVERYBODY, settings=short) == ["ann", "bob"]  # cat did never do anything
    assert scored(EVERYBODY, live_row("cat", None, 4)) == ["ann", "bob", "cat"]  # whose limit was lowered from 4 to 0
    # An attempt that nobody was switched to had planned a list for cat.
    assert scored(EVERYBODY, touched="cat") == ["ann", "bob", "cat"]
    assert scored(EVERYBODY, live_row("cat", hour=NEXT)) == ["ann", "bob", "cat"]  # it was scored in this hour before


def test_those_whose_list_would_be_another_one_and_nobody_else(world, week, scored):
    for hour in (HOUR, NEXT):
        user_features.run(world, hour, week)
    ann, bob, cat = live_row("ann", "US", items=[CLUE]), live_row("bob"), live_row("cat")
    assert scored(SINCE, ann, bob, cat) == ["bob"]  # who watched something in NEXT
    assert scored(SINCE, bob, cat) == ["ann", "bob"]  # ann has no list yet
    assert scored(replace(SINCE, narrowed=(CLUE,)), ann, bob, cat) == ["ann", "bob"]  # her list has what was taken away
    assert scored(replace(SINCE, narrowed=(0,)), ann, bob, cat) == ["bob"]
    assert scored(SINCE, live_row("ann", "DE"), bob, cat) == ["ann", "bob"]  # she moved
    assert scored(SINCE, ann, bob, cat, touched="ann") == ["ann", "bob"]


def test_who_comes_back_is_scored_once_for_lists_were_made_without_them(world, week, scored):
    put_events(world, {"event_id": "seen", "user_id": "cat", "item_id": "dune", "event_type": "impression",
                       "timestamp": at("01-10 06:20")})  # fmt: skip
    for hour in (HOUR, NEXT, NEXT):
        user_features.run(world, hour, week)
    rows = [live_row(user, hour=Hour(HOUR.start - timedelta(hours=5))) for user in ("ann", "bob", "cat")]
    assert scored(SINCE, live_row("ann", "US"), *rows[1:]) == ["bob", "cat"]
    assert scored(Basis(NEXT), live_row("ann", "US"), *rows[1:]) == []


def test_a_list_is_kept_for_half_a_week_to_a_week_and_then_as_long_again(spark):
    """A user's hours lie as far apart as the first of them lies from the list, and not all users have the same."""
    live = NEXT.start
    rows = spark.createDataFrame([(user, live) for user in USERS], "user_id string, live_hour timestamp")
    at_end = [
        F.when(rescoring._due(7, *(Hour(live + timedelta(hours=hours)) for hours in (ago - 1, ago))), ago)
        for ago in range(1, 340)
    ]
    found = rows.select("user_id", F.array_compact(F.array(*at_end)).alias("ended")).collect()
    ended = {row["user_id"]: row["ended"] for row in found}
    for hours in ended.values():
        assert 84 <= hours[0] <= 168
        assert hours == list(range(hours[0], 340, hours[0]))
    assert len({hours[0] for hours in ended.values()}) > 5


def test_lists_are_built_upon_those_that_readers_have(world, settings):
    """Or everybody's are made again, and it is said why."""
    user_features.run(world, HOUR, settings)
    artefact = write_artefact(settings.artefacts_path, content())
    made = Scored("m", "v1", artefact, 9, 9, 0, {USER_FEATURES.name: world.version(USER_FEATURES)},
                  retrieval=rescoring.digest(settings), whole=str(HOUR))  # fmt: skip
    control = Control.first("store").begun(1).switched(Generation(1, artefact, "v1", str(HOUR), "", model_id="m"))

    def found(made=made, hour=NEXT, model="m", artefact=artefact, control=control, variant=CHAMPION, settings=settings,
              broken=False):  # fmt: skip
        said = None if made is None else {"lists": made.made(), "tables": made.versions}
        readers = Readers(control, None, None, (), {}, made=said)
        return rescoring.basis(world, settings, hour, model, artefact, readers, variant, broken)

    def because(**other):
        assert found(**other).since is None
        return found(**other).because

    def catalogue(**changes):
        return write_artefact(settings.artefacts_path, content(**changes))

    assert found() == BASIS
    assert found().text == f"whose lists changed since {HOUR}"
    nothing = "readers have no lists of which is known what they were made with"
    assert because(made=None) == because(control=Control.first("store")) == because(variant=CHALLENGER) == nothing
    assert because(hour=Hour(HOUR.start - timedelta(hours=1))) == "readers have a later hour"
    assert because(model="other") == "the model is another"
    assert because(made=replace(made, simpler=5)) == f"the ranker could not be used in {HOUR}"
    assert found(made=replace(made, simpler=5), broken=True) == BASIS  # better ones would be lost
    assert because(made=replace(made, artefact_id="none")) == f"the artefact of {HOUR} is gone"
    assert because(artefact=catalogue(genre_names=GENRES[::-1])) == "genres or segments were numbered anew"
    assert found(artefact=catalogue(genre_names=[*GENRES, "Western"])) == BASIS
    assert because(artefact=catalogue(active=np.ones(12, bool))) == f"items may be shown to more than in {HOUR}"
    assert found(artefact=catalogue(active=np.arange(12) < CLUE)).narrowed == (2, 3, 4, 5, 6, 7, 9, 10)
    for change, why in (
        ({"keep_days": 0}, "retrieval.keep_days is 0"),
        ({"ann": 1}, "the settings in retrieval.*, or who counts as active, are others"),
    ):
        changed = settings.retrieval.model_copy(update=change)
        assert because(settings=settings.model_copy(update={"retrieval": changed})) == why
    week = settings.features.model_copy(update={"activity_window_days": 7})
    assert "who counts as active" in because(settings=settings.model_copy(update={"features": week}))
    tried = replace(made, challenger=Tried("b", "v2", artefact, 1, 1, whole=str(HOUR)))
    assert found(made=tried, variant=CHALLENGER, model="b") == BASIS

    # Where readers have the hour itself, it builds upon what it built upon, whatever that has become.
    later = control.begun(2).switched(Generation(2, artefact, "v1", str(NEXT), "", model_id="m"))
    again = "so it was when this hour was scored first, or that is not known"
    assert because(made=None, control=later) == again
    save(settings, NEXT, replace(made, since=str(HOUR), narrowed=(CLUE,)))
    assert found(made=None, control=later) == replace(BASIS, narrowed=(CLUE,))
    assert because(made=None, control=later, model="other") == again
    # But the catalogue may have become another since it was made.
    assert found(control=later) == replace(BASIS, narrowed=(CLUE,))
    assert found(control=later, artefact=catalogue(active=np.arange(12) < 10)).narrowed == (CLUE, 10)
    assert (
        because(control=later, artefact=catalogue(active=np.ones(12, bool)))
        == f"items may be shown to more than in {NEXT}"
    )

    user_features.run(world, Hour(HOUR.start - timedelta(hours=1)), settings)
    assert found() == BASIS  # what was put below its rows left them as they were
    user_features.run(world, HOUR, settings)  # which may have dated changes before the hour's end anew
    assert because() == f"{HOUR} was worked out again since"


def test_what_fewer_may_see_than_before(settings):
    """Item 5 goes, 6 is for adults, 7 is not licensed in the US any more, and the licence of 4 ends."""
    then = content()
    active, maturity, licensed, until = (np.array(getattr(then, name)) for name in
                                         ("active", "maturity", "licensed", "available_until"))  # fmt: skip
    licensed[9] = 2  # in the US alone, before and after
    then = content(licensed=licensed.copy())
    active[5], maturity[6], licensed[7], until[4] = False, 3, 0, 50.0
    active[11] = True  # more may see it, which takes nothing from a list
    # A region before it in the alphabet moves the bit of the US.
    licensed[9] = 4
    now = content(active=active, maturity=maturity, licensed=licensed, available_until=until, regions=["DE", "US"])
    before, after = (
        load_artefact(settings.artefacts_path, write_artefact(settings.artefacts_path, each)) for each in (then, now)
    )
    assert np.flatnonzero(rescoring.narrowed(before, 0.0, after, 60.0)).tolist() == [4, 5, 6, 7]
    assert np.flatnonzero(rescoring.narrowed(before, 0.0, after, 40.0)).tolist() == [5, 6, 7]


def test_for_how_many_users_a_tried_model_has_lists_is_told_to_the_next_hour():
    scored = Scored("m", "v1", "a", 9, 9, 0, {}, challenger=Tried("b", "v2", "c", 1, 1, prepared=50))
    control = Control.first("store")
    assert rescoring.prepared(Readers(control, None, None, (), {}, made={"lists": scored.made()})) == 50
    assert rescoring.prepared(Readers(control, None, None, (), {})) == 0
