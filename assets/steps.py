"""How an asset's body is run: here, or by spark-submit; and again where that can help."""

from __future__ import annotations

from collections.abc import Iterator
from functools import wraps
from typing import Any

import dagster as dg

from assets.failing import Body, retried
from assets.resources import Topshelf
from assets.submitting import submit


def step(body: Body) -> Body:
    """Have an asset's body run where spark.launch says, and tried again as `retried` does.

    What it returns or yields, what it logs and how it fails are the same in both places.
    """

    @wraps(body)
    def launched(context: dg.AssetExecutionContext, topshelf: Topshelf) -> Iterator[Any]:
        if topshelf.settings().spark.launch == "submit":
            yield from submit(context, topshelf)
        else:
            made = body(context, topshelf)
            yield from made if isinstance(made, Iterator) else (made,)

    return retried(launched)
