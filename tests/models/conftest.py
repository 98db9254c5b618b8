"""The two-block world and a model trained on it, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from conf.loading import load
from conf.settings import Settings
from models.training import train
from tests.models.blocks import SMALL, World, make_world


@pytest.fixture(scope="session")
def small() -> Settings:
    """Settings of models that train in seconds."""
    return load({"TOPSHELF_HOME": "unused"}, SMALL).settings


@pytest.fixture(scope="session")
def world() -> World:
    return make_world()


@pytest.fixture(scope="session")
def trained(world: World, small: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model trained on the two blocks."""
    folder = tmp_path_factory.mktemp("model")
    train(world.source, world.items, world.holdout, small, folder)
    return folder
