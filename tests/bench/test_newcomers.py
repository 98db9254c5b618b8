"""New users: nothing of theirs is learnt, and a list for them is the service's own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from bench.relevance import curve, pipeline, welcome
from bench.relevance.__main__ import main
from bench.relevance.curve import REAL_TIME, SEGMENT, TOWER
from bench.relevance.interactions import Interactions
from bench.relevance.newcomers import COUNTS, LEFT, PARTS, newcomers
from jobs.tables import EVENTS
from models.evaluation import TOP
from tests.bench.relevance_data import interactions, rows
from tests.cli import scored_home
from tests.cli.conftest import write

ENOUGH = COUNTS[-1] + LEFT
FILMS = scored_home.FILMS


def users(count: int, items: int = ENOUGH) -> Interactions:
    """Each liked every item, the higher numbers first."""
    return interactions(*[{item: items - item for item in range(items)}] * count, items=items)


def test_every_user_is_new_in_one_part_and_nothing_of_theirs_is_learnt():
    data = users(2 * PARTS)
    found = [newcomers(data, part) for part in range(PARTS)]
    assert sorted(np.concatenate([part.users for part in found]).tolist()) == list(range(2 * PARTS))
    for part in found:
        learnt = np.diff(part.training.offsets)
        assert set(np.flatnonzero(learnt == 0).tolist()) == set(part.users.tolist())
        assert part.split.training is part.training


def test_users_with_too_few_positives_are_neither_learnt_from_nor_measured():
    parts = newcomers(users(PARTS, ENOUGH - 1), 0)
    assert len(parts.users) == 0
    assert np.count_nonzero(np.diff(parts.training.offsets)) == PARTS - 1


def test_their_first_positives_are_known_and_the_later_ones_relevant():
    parts = newcomers(users(PARTS), 0)
    after = parts.after(3)
    assert rows(after.training.seen(after.measured)) == [[14, 13, 12]]
    assert rows(after.relevant) == [list(range(11, -1, -1))]
    assert rows(parts.after(0).training.seen(after.measured)) == [[]]


@pytest.fixture
def service(tmp_path):
    """Of a home whose films are numbered the other way round than the data's items."""
    settings = scored_home.make(tmp_path)
    write(tmp_path, EVENTS, [])
    data = users(PARTS, FILMS)
    ids = [f"m{number}" for number in reversed(range(FILMS))]
    data = Interactions(["ann", *["bob"] * (PARTS - 1)], ids, data.about, data.user, data.item, data.time)
    return welcome.service(settings, settings, data, np.array([0])), data


def test_peers_and_the_service_leave_out_what_is_known(service):
    own, data = service
    parts = newcomers(data, 0)
    systems = {SEGMENT: own.segment, REAL_TIME: own.real_time, TOWER: own.tower, **welcome.peers(parts)}
    for count in COUNTS:
        after = parts.after(count)
        known = set(after.training.items.tolist())
        for name, lists in systems.items():
            (found,) = lists(after)
            there = found[found >= 0].tolist()
            assert len(there) == len(set(there)) == min(TOP, FILMS - count), name
            assert not known & set(there), name


def test_who_did_nothing_gets_what_is_popular_and_others_what_is_near(service):
    own, data = service
    parts = newcomers(data, 0)
    none, one = parts.after(0), parts.after(1)
    popular = (FILMS - 1 - own.artefact.popular["global"][:3]).tolist()
    assert own.segment(none)[0, :3].tolist() == own.real_time(none)[0, :3].tolist() == popular
    assert own.real_time(one)[0].tolist() != own.segment(one)[0].tolist()


def test_the_curve_is_printed_beside_the_real_time_vector(tmp_path, monkeypatch, capsys):
    """Without a run: its home is one that is there already."""
    data = users(PARTS, FILMS)
    data = Interactions(
        ["ann"] * PARTS, [f"m{n}" for n in range(FILMS)], data.about, data.user, data.item, data.time
    )  # fmt: skip
    whole = scored_home.make(tmp_path / "seed-17")
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(pipeline, "topshelf", lambda home, seed, overrides, *command: commands.append(command))
    write(tmp_path / "seed-17", EVENTS, [])
    curve.measure(tmp_path, whole, data, [17], (), resamples=20)
    lines = {line["case"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert [command[0] for command in commands] == ["import", "run"]
    assert lines["new-users.0.real-time-vector.recall@20"]["peer"] is None
    tower = lines["new-users.10.user-tower.ndcg@20"]
    assert (tower["peer"], tower["n"]) == ("real-time vector", 1)
    assert tower["ratio"] == pytest.approx(tower["value"] / tower["peer_value"], rel=1e-3)
    assert "new-users.10.user-tower.minus.real-time-vector.ndcg@20.interval" in lines


def test_the_curve_needs_a_run(tmp_path):
    result = CliRunner().invoke(main, ["--data", str(tmp_path), "--split", "new-users", "--seeds", "0"])
    assert result.exit_code == 2
    assert "needs a seed at least" in result.output
