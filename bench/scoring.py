"""How fast lists are made, beside tools that make the first hundred items of a user, in the same run.

\b
    python -m bench.scoring                               # 100,000 items, 20,000 users: about six minutes
    python -m bench.scoring --items 20000 --users 2000 --rounds 1
    python -m bench.scoring --stages                      # where the time of one core goes

All three stages through Spark on two cores, from a table of users to the table recommendations: up to
retrieval.total candidates, the network, filters, retrieval.list_size items with source, reason and score. The peers do
less: `gemm` multiplies and keeps no result, which is the limit of exact search; `implicit` and `Spark ALS` rank all
items by an inner product and keep 100. Prints JSON lines, users a second on either side; progress goes to standard
error.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from implicit.cpu.als import AlternatingLeastSquares
from pyspark.ml.recommendation import ALS, ALSModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from bench import scoring_world
from bench.lines import emit, progress
from bench.worlds import workshop
from conf.loading import load
from conf.settings import Settings
from jobs.lake import Lake
from jobs.list_scoring import LIST_COLUMNS, Inputs, score, score_batch
from jobs.list_scoring import load as load_scorer
from jobs.tables import RECOMMENDATIONS
from jobs.user_batches import filters, user_batch
from models.scoring import Scorer, padded
from models.types import Floats
from stores.artefact import Artefact

SEED = 17
CORES = 2
KEPT = 100
WATCHES = (5, 120)
ALS_USERS = 2_000
"""It takes seconds for a hundred."""
BATCH = 256


@click.command(help=__doc__)
@click.option("--items", default=100_000, show_default=True, type=click.IntRange(min=1_000), help="Items.")
@click.option("--users", default=20_000, show_default=True, type=click.IntRange(min=256), help="Users.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1), help="Times that all are measured.")
@click.option("--stages", is_flag=True, help="Measure the stages of the batch on one core, and nothing else.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A setting of the pipeline. Repeatable.")
def main(items: int, users: int, rounds: int, stages: bool, overrides: tuple[str, ...]) -> None:
    with workshop() as (spark, folder):
        settings = load({"TOPSHELF_HOME": str(folder / "home")}, overrides).settings
        progress(f"making a world of {items:,} items and {users:,} users of {WATCHES[0]} to {WATCHES[1]} watches")
        inputs, scorer = scoring_world.write(settings, items, SEED)
        scoring_world.write_users(scorer, folder / "users", users, WATCHES, SEED)
        del scorer
        if stages:
            measure_stages(inputs, folder / "users", rounds)
            return
        found = measure(spark, settings, inputs, folder / "users", items, users, rounds)
    ours = found.pop("topshelf")
    for peer, theirs in found.items():
        emit("scoring", ours, "users/s", users, peer, theirs)


def measure(
    spark: SparkSession, settings: Settings, inputs: Inputs, table: Path, items: int, users: int, rounds: int
) -> dict[str, list[float]]:
    """Users a second of each side, in every round; a round before them warms all up."""
    rng = np.random.default_rng(SEED)
    vectors: Floats = rng.normal(size=(users, settings.tower.dim)).astype(np.float32)
    factors: Floats = rng.normal(size=(items, settings.tower.dim)).astype(np.float32)
    lake = Lake(spark, settings.lake_root)
    als = _untrained(spark, min(users, ALS_USERS), items, settings.tower.dim)
    sides: dict[str, tuple[int, Callable[[], object]]] = {
        "topshelf": (
            users,
            lambda: write_lists(lake, spark.read.parquet(str(table)), inputs),
        ),
        "gemm": (users, lambda: _gemm(vectors, factors)),
        "implicit": (users, lambda: _implicit(vectors, factors)),
        "Spark ALS": (min(users, ALS_USERS), lambda: _written(als.recommendForAllUsers(KEPT))),
    }
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, (count, run) in sides.items():
            started = time.perf_counter()
            run()
            rate = count / (time.perf_counter() - started)
            progress(f"{'warming up' if number == 0 else f'round {number}'}: {name} {rate:,.0f} users/s")
            if number:
                found[name].append(rate)
    return found


def measure_stages(inputs: Inputs, table: Path, rounds: int) -> None:
    """Milliseconds of a user that each stage takes, of the first file of users, batch by batch."""
    artefact, scorer = load_scorer(inputs)
    rows = pq.read_table(next(iter(sorted(table.iterdir())))).combine_chunks().to_batches()[0]
    size = inputs.retrieval.batch_users
    spent: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        clock: defaultdict[str, float] = defaultdict(float)
        for start in range(0, len(rows), size):
            _stages(rows.slice(start, size), artefact, scorer, clock)
        for stage, seconds in clock.items():
            if number:  # the first round compiles
                spent.setdefault(stage, []).append(1000 * seconds / len(rows))
    for stage, values in spent.items():
        emit(f"scoring.{stage}", values, "ms a user", len(rows))


@torch.inference_mode()
def _stages(rows: pa.RecordBatch, artefact: Artefact, scorer: Scorer, clock: defaultdict[str, float]) -> None:
    """The steps of score_batch one by one, and then all of it."""
    times = [time.perf_counter()]

    def lap(stage: str) -> None:
        times.append(time.perf_counter())
        clock[stage] += times[-1] - times[-2]

    known_users, own = user_batch(rows, scorer.model.history), filters(rows, artefact)
    batch, own = padded(known_users, own, 0, scorer.retrieval.batch_users)
    lap("read")
    known = scorer.ranking.known(batch)
    lap("tower and products")
    found = scorer.gatherer.gather(batch.history, own, known.products)
    lap("candidates")
    logit_q, _ = scorer.grid(known, found)
    lap("ranker")
    scorer.cut(found.item_no, logit_q)
    lap("cut")
    score_batch(rows, artefact, scorer)
    lap("all, with the rows")


def write_lists(lake: Lake, users: DataFrame, inputs: Inputs) -> None:
    """Score `users` and make the lists the whole of the table recommendations."""
    where = {"date": date(2026, 1, 1), "hour": 0, "variant": "champion", "model_id": "bench"}
    rows = score(users, inputs).select(*LIST_COLUMNS)
    lake.overwrite(RECOMMENDATIONS, rows.withColumns({name: F.lit(value) for name, value in where.items()}))


def _written(rows: DataFrame) -> None:
    """To nowhere: all rows are made."""
    rows.write.format("noop").mode("overwrite").save()


def _gemm(vectors: Floats, factors: Floats) -> None:
    torch.set_num_threads(CORES)
    items, into = torch.from_numpy(factors).T, torch.empty(BATCH, len(factors))
    for start in range(0, len(vectors) - BATCH + 1, BATCH):
        torch.mm(torch.from_numpy(vectors[start : start + BATCH]), items, out=into)


def _implicit(vectors: Floats, factors: Floats) -> None:
    with threadpool_limits(CORES, "blas"):
        model = AlternatingLeastSquares(vectors.shape[1], num_threads=CORES)
        model.user_factors, model.item_factors = vectors, factors
        nothing = csr_matrix((len(vectors), len(factors)), dtype=np.float32)
        model.recommend(np.arange(len(vectors)), nothing, N=KEPT, filter_already_liked_items=False)


def _untrained(spark: SparkSession, users: int, items: int, rank: int) -> ALSModel:
    """Factors as they are before the first iteration: what they are costs a recommendation nothing."""
    ratings = spark.range(items).select(
        (F.col("id") % users).cast("int").alias("user"),
        F.col("id").cast("int").alias("item"),
        F.lit(1.0).alias("rating"),
    )
    return ALS(rank=rank, maxIter=0, seed=SEED).fit(ratings)


if __name__ == "__main__":
    main()
