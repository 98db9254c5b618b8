"""A new model's way to all users: judged by its shadow and by what users do, and taken back where they do less."""

from __future__ import annotations

import json
from datetime import timedelta
from hashlib import sha256

import pytest

from jobs import rollout
from jobs.outcomes import CTR, WATCH_TIME, Lift
from jobs.registry import DEPLOYED, RETIRED, VALIDATING, Model, Registry
from jobs.tables import MODELS, OUTCOMES, ROLLOUTS
from models.modelfiles import MANIFEST
from models.sequential import Change
from stores.base import choose
from stores.changing import change_control
from stores.rollout import HELD, RUNNING, Rollout
from tests.jobs.publishing import NOW, challenge, hour, recommend

pytestmark = pytest.mark.timeout(600)
AT_5 = Rollout("b", "v2", "salt", (5, 50, 100), 1, RUNNING, NOW.isoformat())


def lift(ctr, watch_time=(0.0, -0.01, 0.01), users=1000):
    return Lift({CTR: Change(*ctr, 0.1, 0.1), WATCH_TIME: Change(*watch_time, 5.0, 5.0)}, users, users)


SURE, HARM, OPEN = (0.1, 0.02, 0.2), (-0.2, -0.3, -0.1), (0.0, -0.2, 0.2)


@pytest.mark.parametrize(
    ("found", "hours", "state", "action"),
    [
        (lift(SURE), 6, RUNNING, "advance"),
        (lift(SURE), 5, RUNNING, "wait"),
        (lift(SURE), 6, HELD, "wait"),
        (lift(OPEN), 71, RUNNING, "wait"),
        (lift(OPEN), 72, RUNNING, "hold"),
        (lift(HARM), 0.5, RUNNING, "abort"),
        (lift(HARM), 0.5, HELD, "abort"),
        (lift(SURE, watch_time=HARM), 6, RUNNING, "abort"),
        (lift(SURE, watch_time=OPEN), 6, RUNNING, "wait"),
        (lift(HARM, users=199), 6, RUNNING, "wait"),
        (lift(HARM, users=199), 72, RUNNING, "hold"),
        (None, 6, RUNNING, "wait"),
    ],
)
def test_what_is_decided(settings, found, hours, state, action):
    step = AT_5 if state == RUNNING else AT_5.held("")
    assert rollout.judged(step, found, hours, settings).action == action


@pytest.fixture
def registered(after):
    """A publisher with one publication by the deployed model m, and a registry with b in validation."""
    publisher = after(1)
    registry = Registry(publisher.lake, publisher.settings)
    for name, created in (("m", NOW - timedelta(days=1)), ("b", NOW)):
        folder = publisher.settings.models_path / name
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_text(name)
        digest = sha256(name.encode()).hexdigest()
        model = registry.add(Model(name, "", folder, created, {"lists.ndcg@20": 0.1}, digest), created, "trained")
        if name == "m":
            registry.deploy(model, created, "the first")
    return publisher, registry


def put_outcomes(publisher, at, clicks):
    """400 users with ten impressions and about eleven minutes each; `clicks` of the challenger's, one of the others."""
    rows = [
        (f"user{number}", variant, "v", 1, 20, 10, count + number % 2, 1, 10.0 + number % 3, at.date, at.start.hour)
        for variant, count in (("champion", 1), ("challenger", clicks))
        for number in range(400)
    ]
    publisher.lake.append(OUTCOMES, publisher.lake.spark.createDataFrame(rows, OUTCOMES.schema))


def turn(publisher, number, now):
    return rollout.run(publisher.lake, hour(number), publisher.settings, publisher.store, now)


def statuses(publisher):
    return {row["model_id"]: (row["status"], row["traffic_percent"]) for row in publisher.lake.read(MODELS).collect()}


def published(publisher, number, champion, challenger):
    scored = recommend(publisher.lake, publisher.settings, hour(number), champion)
    return publisher.again(number, challenge(publisher.lake, publisher.settings, hour(number), scored, challenger))


def test_from_its_shadow_to_everybody(registered):
    publisher, _ = registered
    began = turn(publisher, 3, hour(3).end)
    assert (began.rollout.step, began.said) == (0, "the shadow of v2 begins: lists for 5% of users, not served")
    assert turn(publisher, 3, hour(3).end).decision.note == "its first lists come with the next publication"
    published(publisher, 4, {"ann": [3, 4]}, {"ann": [4, 3]})
    assert turn(publisher, 4, hour(4).end).decision.action == "wait"
    first = turn(publisher, 5, hour(5).end)  # two hours
    assert (first.decision.evidence["overlap"], first.rollout.percent) == (1.0, 5)
    assert statuses(publisher) == {"m": (DEPLOYED, 100), "b": (VALIDATING, 5)}

    put_outcomes(publisher, hour(6), clicks=2)
    assert turn(publisher, 10, hour(10).end).decision.action == "wait"  # five hours
    second = turn(publisher, 11, hour(11).end)
    assert (second.rollout.percent, second.rollout.state) == (50, RUNNING)
    put_outcomes(publisher, hour(12), clicks=2)
    assert turn(publisher, 17, hour(17).end).rollout.percent == 100
    last = turn(publisher, 23, hour(23).end)
    assert last.said == "v2 is deployed: 6 of 6 hours with all users"
    assert turn(publisher, 23, hour(23).end).decision is None  # its publication has not come yet
    assert Registry(publisher.lake, publisher.settings).tried(publisher.store.read_control()) is None
    assert statuses(publisher) == {"m": (RETIRED, 0), "b": (DEPLOYED, 100)}
    notes = [row["state"] for row in publisher.lake.read(ROLLOUTS).orderBy("noted_at").collect()]
    assert sorted(notes[-2:]) == [DEPLOYED, RETIRED]


def test_a_model_with_which_users_do_less_is_taken_back_by_itself(registered):
    publisher, _ = registered
    change_control(publisher.store, lambda known: known.with_rollout(AT_5), "")
    put_outcomes(publisher, hour(7), clicks=0)
    ended = turn(publisher, 7, hour(7).end)
    assert ended.alarming
    assert "users do less with its lists: ctr -" in ended.said
    assert publisher.store.read_control().rollout is None
    assert statuses(publisher)["b"] == (RETIRED, 0)
    row = publisher.lake.read(ROLLOUTS).where("state = 'retired'").first()
    assert json.loads(row["evidence"])["ctr"]["high"] < 0
    assert turn(publisher, 8, hour(8).end).said == "no model waits to be tried"


def test_one_taken_back_by_hand_is_retired(registered):
    publisher, _ = registered
    change_control(publisher.store, lambda known: known.with_rollout(AT_5.aborted("it looks odd")), "")
    assert turn(publisher, 7, hour(7).end).said == "v2 was taken back: it looks odd"
    assert statuses(publisher)["b"] == (RETIRED, 0)


def test_a_model_whose_files_are_gone_is_served_to_nobody(registered):
    publisher, _ = registered
    change_control(publisher.store, lambda known: known.with_rollout(AT_5), "")
    (publisher.settings.models_path / "b" / MANIFEST).unlink()
    assert turn(publisher, 7, hour(7).end).said == "v2 was taken back: its files are gone"
    assert publisher.store.read_control().rollout is None
    assert statuses(publisher)["b"] == (RETIRED, 0)
    assert turn(publisher, 8, hour(8).end).said == "no model waits to be tried"


def test_lists_of_both_are_published_and_another_challengers_are_not_mixed_with_them(registered):
    publisher, _ = registered
    change_control(publisher.store, lambda known: known.with_rollout(AT_5), "")
    done = published(publisher, 4, {"ann": [3]}, {"ann": [4], "bob": [5]})
    assert (done.planned, done.written, done.scored, done.changed) == (3, 3, 3, 3)
    made = publisher.store.read_control().generation()
    assert (made.model_id, made.challenger.model_version, made.challenger.since) == ("m", "v2", 2)

    published(publisher, 5, {"ann": [6]}, {"ann": [7]})
    assert publisher.store.read_control().generation().challenger.since == 2
    scored = recommend(publisher.lake, publisher.settings, hour(6), {"ann": [1]})
    publisher.again(6, challenge(publisher.lake, publisher.settings, hour(6), scored, {"ann": [2]}, model="c"))
    control = publisher.store.read_control()
    since = control.generation().challenger.since
    rows = [choose(publisher.store.ring(user, 1), control, since=since) for user in ("ann", "bob")]
    assert (since, rows[0].body.item_no.tolist(), rows[1]) == (4, [2], None)
    assert publisher.served("ann") == [[1]]


def test_a_challengers_forbidden_items_cost_the_champion_nothing(registered):
    publisher, _ = registered
    done = published(publisher, 4, {"ann": [3]}, {"ann": [11]})  # m11 was taken out
    assert (done.planned, done.written, done.scored) == (1, 1, 1)
    assert "forbidden_items: 1 of 1 lists" in done.left_out
    assert publisher.store.read_control().generation().challenger is None
    assert publisher.served("ann") == [[3]]
