from __future__ import annotations

import json
from pathlib import Path

from conf.loading import load
from stores.artefact import write_artefact
from stores.control import Control
from stores.generation import Generation
from stores.opening import open_store
from tests.cli.conftest import Topshelf
from tests.serving.conftest import content


def publish(home: Path) -> None:
    """One generation of the twelve films m0 to m11."""
    settings = load({"TOPSHELF_HOME": str(home)}).settings
    artefact_id = write_artefact(settings.artefacts_path, content())
    with open_store(settings) as store:
        first = Control.first("a-store")
        store.swap_control(None, first)
        store.swap_control(first, first.begun(1))
        made = Generation(1, artefact_id, "v1", "2026-01-01T05:00Z", "2026-01-01T06:00:00Z")
        store.swap_control(first.begun(1), first.begun(1).switched(made))


def test_items_are_taken_down_listed_and_put_back(topshelf: Topshelf, home: Path) -> None:
    publish(home)
    done = topshelf("takedown", "m3", "m4", "m99")
    assert (done.exit_code, done.stdout) == (0, "3 items taken down; 3 are down\n")
    assert done.stderr == "not in the catalogue that is served now: m99\n"
    listed = topshelf("takedown", "--list", "--json")
    assert json.loads(listed.stdout) == {"takedowns": ["m3", "m4", "m99"], "unknown": ["m99"]}
    assert topshelf("takedown", "--undo", "m99", "m3").stdout == "2 items may be shown again; 1 are down\n"
    assert topshelf("takedown", "--list").stdout == "m4\n"


def test_before_the_first_publication_nothing_can_be_taken_down(topshelf: Topshelf) -> None:
    assert (topshelf("takedown", "--list").exit_code, topshelf("takedown", "--list").stdout) == (0, "")
    refused = topshelf("takedown", "m1")
    assert refused.exit_code == 1
    assert "nothing has been published" in refused.stderr


def test_wrong_usage_is_said(topshelf: Topshelf) -> None:
    for arguments in ([], ["--undo"], ["--list", "m1"], ["--list", "--undo"]):
        assert topshelf("takedown", *arguments).exit_code == 2
