"""How one step of an hour tells the next, and the next hour, what it made."""

import pytest

from conf.errors import DataError
from conf.hours import Hour
from conf.settings import Settings
from jobs.manifests import Built, Scored, built, built_before, built_from, encoded_folder, remove_unused, save, scored

FIVE, SIX, SEVEN = (Hour.parse(f"2026-01-10T0{hour}") for hour in (5, 6, 7))


def test_what_was_saved_is_what_is_read(settings: Settings) -> None:
    with pytest.raises(DataError, match=r"2026-01-10T06:00Z has not been scored: run it with `topshelf run --hour"):
        scored(settings, SIX)
    made = Scored("m", "v1", "a", 3, 2, 1, {"items": 4, "published": None})
    save(settings, SIX, made)
    save(settings, SIX, Built("a", "m", 9, ["Comedy"], []))
    assert scored(settings, SIX) == made
    assert built(settings, SIX).items == 9


def test_the_hour_before_is_the_newest_earlier_one_whatever_came_later(settings: Settings) -> None:
    for hour, name in ((FIVE, "five"), (SEVEN, "seven")):
        save(settings, hour, Built(name, "m", 1, [], []))
    assert built_before(settings, FIVE) is None
    assert [built_before(settings, hour).artefact_id for hour in (SIX, SEVEN)] == ["five", "five"]
    assert built_from(settings, SIX) == {"seven"}


def test_unused_artefacts_go_with_what_models_made_of_them(settings: Settings) -> None:
    for name in ("old", "live"):
        (settings.artefacts_path / name).mkdir(parents=True)
        encoded_folder(settings, name).mkdir(parents=True)
    (settings.artefacts_path / "last-control.json").touch()
    assert remove_unused(settings, {"live"}) == 2
    assert [folder.name for folder in sorted(settings.artefacts_path.iterdir())] == ["last-control.json", "live"]
