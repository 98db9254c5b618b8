from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from models import content
from models.batches import survey
from models.encoding import read_catalogue, tower_items
from models.evaluation import measure, valid_cases
from models.fit_tower import TowerFitted, TowerRun, dot_scores, fit_towers
from models.fitting import reproducible
from models.tower import POOLED, SEQUENCE
from tests.models.blocks import BLOCK, SCHEMA, TableSource, block_of, example, items_table, make_world

NEW = 2 * BLOCK


def run_on(source, folder, splits=("train",), items=2 * BLOCK):
    table = items_table(items)
    tokens = content.build_vocabulary(table)
    catalogue = read_catalogue(table, tokens, content.genre_vocabulary(table))
    seen = survey(source, splits, items)
    return TowerRun(source, splits, seen, catalogue, len(tokens), valid_cases(source, 10, 99), None, folder, "")


def fit(run, settings):
    with reproducible(threads=1):
        return fit_towers(run, settings, torch.device("cpu"), lambda *said: None)


def circle():
    """Everyone watches one item after the other, from anywhere on: only the last watch tells the next."""
    rows = []
    for user in range(2 * BLOCK):
        order = [(user + place) % (2 * BLOCK) for place in range(8)]
        rows += [
            example(user, order[:place], item, 1.0, "valid" if place == 7 else "train", age_band=None)
            for place, item in enumerate(order)
        ]
    return TableSource(pa.Table.from_pylist(rows, SCHEMA))


def test_where_order_tells_what_is_next_the_sequence_encoder_is_used(small, tmp_path):
    run = run_on(circle(), tmp_path)
    tower, fitted = fit(run, small)
    assert fitted.encoder == tower.shape.encoder == SEQUENCE
    assert max(fitted.curves["valid"]) > max(fitted.curves["pooled.valid"])
    scores = dot_scores(tower, run.catalogue, run.survey.vocabularies)
    assert measure(run.cases, scores, "valid")["valid.ndcg@10"] > 0.8


@pytest.mark.parametrize("encoder", [SEQUENCE, POOLED])
def test_the_last_fit_uses_the_encoder_found_for_its_epochs(small, tmp_path, encoder):
    found = TowerFitted(2, {}, encoder)
    run = replace(run_on(make_world().source, tmp_path), cases=None, found=found)
    tower, fitted = fit(run, small)
    assert tower.shape.encoder == fitted.encoder == encoder
    assert len(fitted.curves["loss"]) == 2


@pytest.mark.parametrize("encoder", [SEQUENCE, POOLED])
def test_a_sample_of_the_items_teaches_as_all_of_them_do(small, tmp_path, encoder):
    sampled = small.model_copy(
        update={"tower": small.tower.model_copy(update={"full_softmax_items": 1, "negatives": 10})}
    )
    run = run_on(make_world().source, tmp_path)
    last = replace(run, cases=None, found=TowerFitted(6, {}, encoder))
    tower, _ = fit(last, sampled)
    scores = dot_scores(tower, run.catalogue, run.survey.vocabularies)
    ranked = scores(run.cases).argsort(1)[:, ::-1][:, :BLOCK]
    owner = [block_of(items[-1]) for items in run.cases.users.history]
    assert np.mean(block_of(ranked) == np.array(owner)[:, None]) > 0.95


def test_an_item_nobody_watched_is_its_content(small, tmp_path):
    run = run_on(make_world().source, tmp_path, items=NEW + 1)
    tower, _ = fit(run, small)
    assert tower.ids.weight[NEW].abs().max() == 0
    vectors = tower_items(tower, run.catalogue)[1]
    near = vectors[:NEW] @ vectors[NEW]
    assert {block_of(int(item)) for item in near.argsort(descending=True)[:5]} == {0}
