"""The user tower and the ranker's network as ONNX: the same numbers as models.tower and models.ranker give."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from torch import Tensor, nn

from conf.errors import DataError
from models.onnx_graph import FLOAT, LONG, Graph
from models.ranker import CONTEXT_DIM, DAYPARTS, Ranker
from models.tower import MAX_LOG_WATCHES, SEQUENCE, ResidualHead, TwoTower
from models.types import PROFILE_FIELDS

LEAST, WATCHES_SCALE, DOT_SCALE = 1e-6, 5.0, 10.0
"""As the networks have them: divisors are at least the first. An export is compared with them before it is kept."""
LARGEST = 1_900_000_000
"""Bytes of item vectors; ONNX files end at 2 GB."""


def user_tower(tower: TwoTower, inputs: Tensor) -> onnx.ModelProto:
    """history (B, H) item_no, right-aligned; profile (B, 4); watches (B,) → user_vector (B, d), for any B and H.

    Numbers in a history that are none of the items, such as -1, are no watches. inputs (n, d): of all items, by which
    histories enter the tower; they are part of the file.

    Raises:
        DataError: there are too many items for one file.
    """
    size = inputs.numel() * inputs.element_size()
    if size > LARGEST:
        raise DataError(f"the vectors of {len(inputs):,} items are {size:,} bytes: an ONNX file holds 2 GB")
    graph = Graph()
    history = graph.input("history", LONG, ["B", "H"])
    profile = graph.input("profile", LONG, ["B", len(PROFILE_FIELDS)])
    watches = graph.input("watches", LONG, ["B"])
    features = [*_tables(graph, tower.profile, profile), _seen(graph, watches, MAX_LOG_WATCHES, clamped=True)]
    pooled = _pooled(graph, history, inputs, tower.rates)
    if isinstance(tower.user_norm, nn.LayerNorm):
        scale, bias = graph.weight(tower.user_norm.weight), graph.weight(tower.user_norm.bias)
        pooled = graph.op("LayerNormalization", pooled, scale, bias, axis=-1, epsilon=tower.user_norm.eps)
    wide = graph.op("Concat", *([pooled] if tower.shape.encoder == SEQUENCE else []), *features, axis=1)
    unit = graph.unit(_head(graph, tower.user_head, pooled, wide), LEAST)
    vector = graph.op("Mul", unit, graph.weight(tower.log_scale.exp()))
    return graph.model({"user_vector": (vector, ["B", tower.shape.dim])})


def _pooled(graph: Graph, history: str, inputs: Tensor, rates: Sequence[float]) -> str:
    """(B, K * d) weighted means of the history's inputs: TwoTower.pool."""
    inside = graph.op("GreaterOrEqual", history, graph.weight(0))
    inside = graph.op("And", inside, graph.op("Less", history, graph.weight(len(inputs))))
    there = graph.op("Cast", inside, to=FLOAT)
    rows = graph.op("Gather", graph.weight(inputs), graph.op("Where", inside, history, graph.weight(0)))
    length = graph.op("Shape", history, start=1)  # (1,)
    place = graph.op("Range", graph.weight(0), graph.op("Squeeze", length), graph.weight(1))
    age = graph.op("Cast", graph.op("Sub", graph.op("Sub", length, graph.weight([1])), place), to=FLOAT)  # (H,)
    kept = graph.op("Pow", graph.new_axes(graph.weight(list(rates)), 1), graph.new_axes(age, 0))  # (K, H)
    weights = graph.op("Mul", graph.new_axes(kept, 0), graph.new_axes(there, 1))  # (B, K, H)
    total = graph.op("Max", graph.total(weights, 2, keep=True), graph.weight(LEAST))
    means = graph.op("MatMul", graph.op("Div", weights, total), rows)  # (B, K, d)
    return graph.op("Reshape", means, graph.weight([0, len(rates) * inputs.shape[1]]))


def _head(graph: Graph, head: ResidualHead, skip: str, wide: str) -> str:
    for layer in head.mlp:
        if isinstance(layer, nn.Linear):
            wide = graph.linear(layer, wide)
        elif isinstance(layer, nn.GELU):
            wide = _gelu(graph, wide)
    return graph.op("Add", graph.linear(head.skip, skip), wide)


def _gelu(graph: Graph, value: str) -> str:
    error = graph.op("Erf", graph.op("Mul", value, graph.weight(0.5**0.5)))
    half = graph.op("Mul", value, graph.weight(0.5))
    return graph.op("Mul", half, graph.op("Add", error, graph.weight(1.0)))


def _tables(graph: Graph, tables: nn.ModuleList, profile: str) -> list[str]:
    found = []
    for place, table in enumerate(tables):
        assert isinstance(table, nn.Embedding)
        found.append(graph.embedding(table, graph.op("Gather", profile, graph.weight(place), axis=1)))
    return found


def _seen(graph: Graph, watches: str, scale: float, clamped: bool) -> str:
    """(B, 1) log1p of the watches, in units of `scale`."""
    logs = graph.op("Log", graph.op("Add", graph.op("Cast", watches, to=FLOAT), graph.weight(1.0)))
    if clamped:
        logs = graph.op("Min", logs, graph.weight(scale))
    return graph.new_axes(graph.op("Div", logs, graph.weight(scale)), 1)


def ranker(network: Ranker) -> onnx.ModelProto:
    """User side (B, …), item side (B, C, …) and context (B,) → deep (B, C) and logit = deep + c(context) · v(item).

    The sides are those of models.ranker; deep is what `Ranker.deep` gives.
    """
    shape, graph = network.shape, Graph()
    vector = graph.input("user_vector", FLOAT, ["B", shape.dim])
    genres = graph.input("user_genres", FLOAT, ["B", shape.genres])
    profile = graph.input("profile", LONG, ["B", len(PROFILE_FIELDS)])
    watches = graph.input("watches", LONG, ["B"])
    item_vector = graph.input("item_vector", FLOAT, ["B", "C", shape.dim])
    item_genres = graph.input("item_genres", FLOAT, ["B", "C", shape.genres])
    popularity = graph.input("item_popularity", FLOAT, ["B", "C"])
    known = graph.input("item_popularity_known", FLOAT, ["B", "C"])
    years = graph.input("item_years", FLOAT, ["B", "C", 2])
    bent_by = graph.input("item_context", FLOAT, ["B", "C", CONTEXT_DIM])
    page, daypart, weekday = (graph.input(name, LONG, ["B"]) for name in ("page", "daypart", "weekday"))

    unit = graph.unit(vector, LEAST)
    seen = _seen(graph, watches, WATCHES_SCALE, clamped=False)
    user = graph.op("Concat", unit, genres, *_tables(graph, network.profile, profile), seen, axis=1)
    loose = [graph.new_axes(graph.op("Mul", value, known), 2) for value in (popularity, known)]
    item = graph.op("Concat", item_vector, item_genres, *loose, years, axis=2)
    dot = graph.total(graph.op("Mul", graph.new_axes(vector, 1), item_vector), 2)
    match = graph.total(graph.op("Mul", graph.new_axes(genres, 1), item_genres), 2)
    product = graph.op(
        "Mul",
        graph.new_axes(graph.linear(network.user_product, unit), 1),
        graph.linear(network.item_product, item_vector),
    )
    scaled = graph.op("Div", dot, graph.weight(DOT_SCALE))
    cross = graph.op("Concat", product, graph.new_axes(scaled, 2), graph.new_axes(match, 2), axis=2)
    halves = graph.op("Add", graph.linear(network.item_half, item), graph.linear(network.cross_half, cross))
    hidden = graph.op("Relu", graph.op("Add", graph.new_axes(graph.linear(network.user_half, user), 1), halves))
    for layer in network.deeper:
        assert isinstance(layer, nn.Linear)
        hidden = graph.op("Relu", graph.linear(layer, hidden))
    last = graph.op("Squeeze", graph.linear(network.last, hidden), graph.weight([2]))
    deep = graph.op("Add", graph.op("Mul", dot, graph.weight(network.dot_scale)), last)

    region = graph.op("Gather", profile, graph.weight(PROFILE_FIELDS.index("region")), axis=1)
    quarter = graph.op("Add", graph.op("Mul", region, graph.weight(DAYPARTS)), daypart)
    parts = ((network.page, page), (network.daypart.flatten(0, 1), quarter), (network.weekday, weekday))
    by_page, by_daypart, by_weekday = (graph.rows(table, number) for table, number in parts)
    rows = graph.op("Add", graph.op("Add", by_page, by_daypart), by_weekday)
    bent = graph.total(graph.op("Mul", graph.new_axes(rows, 1), bent_by), 2)
    return graph.model({"deep": (deep, ["B", "C"]), "logit": (graph.op("Add", deep, bent), ["B", "C"])})
