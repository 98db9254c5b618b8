"""How far every list that a user's readers could be sent to has come."""

from __future__ import annotations

from collections.abc import Mapping

from stores.control import Control
from stores.records import CorruptRecord, decode_row


def passed(ring: Mapping[int, bytes], control: Control) -> float | None:
    """Epoch seconds: what was logged before is in every list of the ring that readers see, or may see later.

    That is the lowest watermark of the rows, those of a load under way and those before the current one included: a
    switch shows the former, a rollback the latter. None where there is no such moment: the user has no row, or a
    generation that can be gone back to is older than their first one, so that a rollback would leave them without.
    Publishing an earlier hour on purpose (`--republish`) is not covered: it takes lists back behind every watermark.
    """
    rows = []
    for blob in ring.values():
        try:
            row = decode_row(blob)
        except CorruptRecord:
            continue  # readers pass over it, too
        if row.generation not in control.aborted and row.generation not in control.bad:
            rows.append(row)
    reachable = min((generation.number for generation in control.live), default=0)
    if not rows or min(row.generation for row in rows) > reachable:
        return None
    return float(min(row.watermark for row in rows))
