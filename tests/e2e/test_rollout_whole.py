"""A second model on the real way: trained, judged, made in its shadow, served to all by hand, and taken back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conf.loading import load
from jobs.tables import PUBLISHED
from stores.opening import open_store
from tests.e2e.commands import in_this_process

pytestmark = pytest.mark.timeout(900)


def test_a_challenger_is_scored_published_served_and_taken_back(challenged: tuple[Path, str]) -> None:
    home, status = challenged
    topshelf, shadow = in_this_process(home), json.loads(status)
    assert (shadow["rollout"]["model_version"], shadow["rollout"]["step"]) == ("v2", 0)
    assert [row["state"] for row in shadow["history"]][:2] == ["shadow", "validating"]
    user = topshelf("sql", "--csv", "SELECT min(user_id) FROM published").split()[1]
    before = json.loads(topshelf("recs", user, "--json"))
    # A shadow is not served.
    assert (before["model_version"], before["assigned"], before["variant"]) == ("v1", "champion", "champion")
    with open_store(load({"TOPSHELF_HOME": str(home)}).settings) as store:
        control = store.read_control()
    assert control is not None
    made = control.generation()
    assert made is not None
    assert made.challenger is not None
    assert (made.model_version, made.challenger.model_version) == ("v1", "v2")
    counted = f"SELECT variant, count(*) AS lists FROM {PUBLISHED.name} GROUP BY ALL"
    lists = {row["variant"]: row["lists"] for row in json.loads(topshelf("sql", "--json", counted))}
    assert lists["champion"] == lists["challenger"] > 100

    topshelf("rollout", "advance")
    tried = json.loads(topshelf("recs", user, "--json"))
    assert (tried["model_version"], tried["assigned"], tried["variant"]) == ("v2", "challenger", "challenger")
    topshelf("rollout", "abort")
    back = json.loads(topshelf("recs", user, "--json"))
    assert (back["model_version"], back["variant"]) == ("v1", "champion")
