"""Training examples: what is a positive, what came before it, and what is held out."""

from datetime import timedelta

from jobs import examples
from jobs.example_files import StoredExamples
from jobs.lake import Lake
from jobs.tables import TRAINING_EXAMPLES
from tests.jobs.conftest import HOUR, at, put_events, put_items, put_users

CUT = HOUR.end


def historical(settings):
    return settings.model_copy(
        update={
            "data": settings.data.model_copy(update={"profile": "historical"}),
            "training": settings.training.model_copy(update={"window_days": None, "history": 3}),
        }
    )


def test_each_example_knows_only_what_came_before_it(lake: Lake, settings, rows_of):
    put_items(
        lake,
        *[{"item_id": f"i{number}"} for number in range(12)],
        *[{"item_id": f"later{number}", "release_date": at("01-05 00:00").date()} for number in range(12)],
    )
    put_users(lake, {"user_id": "ann"}, {"user_id": "bob"})
    start = at("01-01 00:00")
    put_events(
        lake,
        *[{"user_id": "ann", "item_id": f"i{n}", "timestamp": start + timedelta(hours=n)} for n in range(10)],
        {"user_id": "ann", "item_id": "i0", "timestamp": start + timedelta(hours=2.5)},  # again: not a second positive
        {"user_id": "bob", "item_id": "i11", "timestamp": start, "completed": False},  # left early: not a positive
    )
    result = examples.run(lake, HOUR.date, CUT, historical(settings))
    rows = rows_of(TRAINING_EXAMPLES, "example_id")
    positives = {row["item_no"]: row for row in rows.values() if row["origin"] == "watch"}
    assert result.positives == len(positives) == 10
    assert set(positives) == set(range(10))
    assert [positives[n]["history"] for n in (0, 1, 2, 5)] == [[], [0], [0, 1], [2, 3, 4]]
    assert [positives[n]["watches"] for n in (0, 5)] == [0, 5]
    assert [positives[n]["split"] for n in range(10)] == ["train"] * 7 + ["valid"] + ["holdout"] * 2

    sampled = [row for row in rows.values() if row["origin"] == "sampled"]
    assert sampled
    for row in sampled:
        event = rows[row["example_id"].split("#")[0]]
        assert row["item_no"] not in [*event["history"], event["item_no"]]
        assert row["item_no"] < 12  # what comes out on 5 January was no choice then
        assert (row["label"], row["history"], row["split"]) == (0, event["history"], event["split"])

    stored = StoredExamples(lake.path(TRAINING_EXAMPLES), HOUR.date).batches({"train", "valid", "holdout"})
    keys = [key for batch in stored for key in batch.column("shuffle_key").to_pylist()]
    assert keys == sorted(row["shuffle_key"] for row in rows.values())

    held = examples.holdout(lake, CUT, historical(settings)).to_pylist()
    assert [(row["user_id"], row["history"], row["seen"], row["relevant"]) for row in held] == [
        ("ann", [5, 6, 7], list(range(8)), [8, 9])
    ]


def test_live_impressions_are_answered_within_a_day(lake: Lake, settings, rows_of):
    put_items(lake, {"item_id": "alien"}, {"item_id": "brazil"})
    put_users(lake, {"user_id": "ann"})
    shown = {
        "user_id": "ann",
        "event_type": "impression",
        "completed": None,
        "context": {"page": "home", "position": 3},
    }
    put_events(
        lake,
        {**shown, "item_id": "alien", "timestamp": at("01-07 10:00")},  # watched two days later: no answer to this
        {**shown, "item_id": "alien", "timestamp": at("01-09 10:00")},
        {"user_id": "ann", "item_id": "alien", "timestamp": at("01-09 10:05")},
        {**shown, "item_id": "brazil", "timestamp": at("01-09 10:01")},
    )
    keep_all = settings.model_copy(update={"training": settings.training.model_copy(update={"impressions_kept": 1.0})})
    examples.run(lake, HOUR.date, CUT, keep_all)
    rows = rows_of(TRAINING_EXAMPLES, "example_id")
    assert {name: (row["label"], row["split"]) for name, row in rows.items() if row["origin"] == "impression"} == {
        "e0": (0, "train"),
        "e1": (1, "holdout"),
        "e3": (0, "holdout"),
    }
    assert (rows["e1"]["page"], rows["e1"]["position"], rows["e1"]["daypart"]) == ("home", 3, 1)
    assert rows["e3"]["history"] == []


def test_ignored_impressions_left_out_are_made_up_for_by_weight(lake: Lake, settings):
    put_items(lake, {"item_id": "alien"})
    put_users(lake, {"user_id": "ann"})
    put_events(
        lake,
        *[
            {
                "user_id": "ann",
                "item_id": "alien",
                "event_type": "impression",
                "completed": None,
                "timestamp": at("01-09 00:00") + timedelta(seconds=n),
            }
            for n in range(500)
        ],
    )
    examples.run(lake, HOUR.date, CUT, settings)
    kept = lake.read(TRAINING_EXAMPLES).collect()
    assert 60 < len(kept) < 140
    assert {row["weight"] for row in kept} == {5.0}
