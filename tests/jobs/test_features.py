"""User features, item features and popularity on a world small enough to work out by hand."""

from jobs import item_features, popularity, trending, user_features
from jobs.tables import ITEM_FEATURES, POPULARITY, USER_FEATURES
from tests.jobs.conftest import HOUR, at

ALIEN, BRAZIL, CLUE, DUNE = range(4)


def test_user_features(world, settings, rows_of):
    assert user_features.run(world, HOUR, settings) == user_features.Result(users=3, with_watches=2, again=3)
    rows = rows_of(USER_FEATURES, "user_id")

    ann = rows["ann"]
    assert [(w["item_no"], w["liked"]) for w in ann["recent_watches"]] == [(DUNE, True), (BRAZIL, False), (ALIEN, True)]
    assert ann["watched"] == [ALIEN, BRAZIL, DUNE]
    assert ann["favorite_genres"] == {"Sci-Fi": 0.30000000000000004, "Horror": 0.1}
    assert ann["watch_time_preference"]["evening"] == 2 / 3
    assert ann["watch_time_preference"]["night"] == 1 / 3
    assert ann["avg_session_length_min"] == 10  # 20:00 to 20:20, and one watch alone
    assert ann["region"] == "US"

    bob = rows["bob"]  # what he did or what arrived after the hour is not known yet
    assert bob["watched"] == [ALIEN, CLUE]
    assert bob["watches"] == 1
    assert bob["last_active"].isoformat() == "2026-01-03T09:00:00"

    cat = rows["cat"]
    assert (cat["recent_watches"], cat["watched"], cat["favorite_genres"], cat["last_active"]) == ([], [], {}, None)

    user_features.run(world, HOUR, settings)
    assert rows_of(USER_FEATURES, "user_id") == rows, "a re-run leaves the same rows"


def test_item_features_and_popularity(world, settings, rows_of):
    settings = settings.model_copy(
        update={"features": settings.features.model_copy(update={"segment_min_users": 1, "cold_below_watches": 2})}
    )
    assert item_features.run(world, HOUR, settings) == item_features.Result(items=4, cold=3)
    rows = rows_of(ITEM_FEATURES, "item_no")
    alien = rows[ALIEN]
    assert (alien["watch_count"], alien["positives"], alien["cold"]) == (2, 2, False)
    # bob's watch is 6 days and 22 hours old, ann's 10 hours; half of the weight is lost in 7 days.
    assert abs(alien["popularity"] - (0.5 ** (166 / 168) + 0.5 ** (10 / 168))) < 1e-5
    assert alien["trend"] == 1.0  # one watch in the last 3 days, none in the 3 before

    item_features.run(world, HOUR, settings)
    assert rows_of(ITEM_FEATURES, "item_no") == rows, "a re-run leaves the same rows"

    assert popularity.run(world, HOUR, settings).segments == 1
    scopes = {scope: [i["item_no"] for i in row["items"]] for scope, row in rows_of(POPULARITY, "scope").items()}
    assert scopes["global"] == [ALIEN, DUNE, BRAZIL, CLUE]
    assert scopes["genre:Horror"] == [ALIEN]
    assert scopes["genre:Sci-Fi"] == [ALIEN, DUNE]
    assert scopes["new"] == [CLUE]
    assert scopes["trending"] == [ALIEN, BRAZIL, DUNE]
    assert scopes["segment:25-34/US"] == [DUNE, ALIEN]
    assert at("01-10 05:00") == HOUR.start


def test_what_trends_between_the_hours_knows_what_came_since(world, settings):
    # As `popularity` has it, but that brazil, which the hour did not know yet, was watched twice.
    assert trending.ranked(world, settings, at("01-10 06:00")) == (BRAZIL, ALIEN, DUNE)
    assert trending.ranked(world, settings, at("01-20 00:00")) == ()
