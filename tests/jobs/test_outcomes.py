"""What users did with what they were shown, by variant."""

from __future__ import annotations

from jobs import outcomes
from jobs.tables import OUTCOMES, SERVED
from tests.jobs.conftest import HOUR, at, put_events


def page(request, user, assigned, shown="01-10 05:10", context="home"):
    when = at(shown)
    return (request, 0, user, context, ["alien", "dune"], [0, 1], [None, None], ["personalized"] * 2, 1, "v1", assigned,
            assigned, 0, when, when.date(), when.hour)  # fmt: skip


def did(request, event_type, item="alien", user="ann", **more):
    context = (None, "home", 0, request, "v1")
    return {"user_id": user, "item_id": item, "event_type": event_type, "timestamp": at("01-10 05:20"),
            "event_id": f"{request}{event_type}{item}{len(more)}", "context": context, **more}  # fmt: skip


def test_clicks_count_for_the_answer_they_name_in_the_hour_in_which_they_arrive(world):
    pages = [
        page("r1", "ann", "challenger"),
        page("r2", "bob", "champion"),
        page("r3", "bob", "champion", "01-10 04:59"),
        page("r4", "ann", "challenger", context="similar"),
        page("r5", None, "champion"),
    ]
    world.append(SERVED, world.spark.createDataFrame(pages, SERVED.schema))
    put_events(
        world,
        did("r1", "impression"),
        did("r1", "impression", "dune"),
        did("r1", "click"),
        did("r1", "click", seconds_later=1),  # the same item once more
        did("r1", "watch", watch_duration_sec=180),
        did("r3", "click", user="bob"),  # of a page of the hour before
        did("r4", "click"),
        did("unknown", "click"),
        did("r2", "click", user="bob", ingested_at=at("01-10 06:01")),
    )
    assert outcomes.run(world, HOUR) == 2
    rows = {row["user_id"]: row for row in world.read(OUTCOMES).collect()}
    ann, bob = rows["ann"], rows["bob"]
    counts = ("assigned", "pages", "shown", "impressions", "clicks", "watches", "minutes")
    assert [ann[name] for name in counts] == ["challenger", 1, 2, 2, 1, 1, 3.0]
    assert [bob[name] for name in counts] == ["champion", 1, 2, 0, 1, 0, 0.0]
    assert outcomes.run(world, HOUR) == 2  # again, the same
