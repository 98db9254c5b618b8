import json
from pathlib import Path

import numpy as np
import pytest

from conf.errors import DataError
from models.modelfiles import MANIFEST, encode_items, load_model
from models.training import PROGRESS, train
from tests.models.blocks import BLOCK, block_of, items_table, make_world


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fit(world, small, folder, progress=None):
    return train(world.source, world.items, world.holdout, small, folder, progress)


def test_two_fits_give_the_same_bytes_and_beat_popularity(world, small, trained, tmp_path):
    report = fit(world, small, tmp_path / "again")
    assert files(tmp_path / "again") == files(trained)
    assert report.metrics["popularity.recall@10"] < 0.6
    assert report.metrics["two_tower.recall@10"] > 0.9
    assert report.metrics["item_item.recall@10"] > 0.9
    assert report.metrics["lists.recall@10"] > 0.9
    assert f"valid.{load_model(trained).order.replace(' ', '_')}.ndcg@20" in report.metrics
    assert not report.calibrated
    assert len(report.curves["tower.past"]["loss"]) + 1 == len(report.curves["tower.past"]["valid"])


class Killed(Exception):
    pass


@pytest.mark.parametrize("stage", ["tower.sequence", "tower.pooled", "ranker", "tower.final"])
def test_a_killed_training_goes_on_and_ends_with_the_same_files(world, small, trained, tmp_path, stage):
    said = []

    def kill(name, epoch, measured):
        said.append(name)
        if name == stage:
            raise Killed

    folder = tmp_path / "killed"
    with pytest.raises(Killed):
        fit(world, small, folder, kill)
    assert (folder / PROGRESS).exists()
    after = []
    fit(world, small, folder, lambda name, epoch, measured: after.append((name, epoch)))
    assert (stage, 1) not in after
    assert files(folder) == files(trained)


def test_no_file_is_a_pickle(trained):
    assert sorted(path.suffix for path in trained.iterdir()) == sorted(
        [".json", ".faiss", ".safetensors", ".safetensors"] + [".npy"] * 11
    )


def test_a_changed_file_is_refused(world, small, trained, tmp_path):
    for name in json.loads((trained / MANIFEST).read_text())["sha256"]:
        copy = tmp_path / name
        copy.mkdir()
        for path in trained.iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(DataError, match="SHA-256"):
            load_model(copy)
        (copy / name).unlink()
        with pytest.raises(DataError, match="missing"):
            load_model(copy)


def test_an_unfinished_model_is_refused(tmp_path):
    with pytest.raises(DataError, match="did not finish"):
        load_model(tmp_path)


def test_a_loaded_model_gives_the_vectors_that_were_stored(trained):
    model = load_model(trained)
    encoded = encode_items(model, items_table())
    assert np.array_equal(encoded.vectors, np.load(trained / "item_vectors.npy"))
    assert model.metrics["lists.recall@10"] > 0.9
    assert model.context_pages == ["", "home", "search", "similar"]


def test_a_newer_item_lies_among_those_it_is_like_by_content_alone(trained):
    model = load_model(trained)
    encoded = encode_items(model, items_table(2 * BLOCK + 1))
    near = encoded.vectors[:-1] @ encoded.vectors[-1]
    assert [block_of(item) for item in np.argsort(-near)[:5]] == [0] * 5
    assert np.array_equal(encoded.vectors[:-1], encode_items(model, items_table()).vectors)


def test_impressions_calibrate_the_scores(small, tmp_path):
    world = make_world(lambda user, item: float(block_of(item) == user % 2 and (user * 7 + item) % 3 > 0))
    report = fit(world, small, tmp_path)
    assert report.calibrated
    assert load_model(Path(tmp_path)).calibrated
