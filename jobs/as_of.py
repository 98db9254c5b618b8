"""Which version of each table belongs to a generation: what its lists were made from, and the lists themselves."""

from __future__ import annotations

import json

from conf.errors import PermanentError
from jobs.rollback import attempts
from jobs.tables import PUBLISHED
from stores.control import MERGED


def versions_of(root: str, generation: int) -> dict[str, int]:
    """Delta versions by table, of the lake below `root`. A table that is not in it is asked as it is now.

    Raises:
        PermanentError: there was no such publication, or none of it was ever live.
    """
    ledger = attempts(root)
    entry = next((each for each in ledger if each["generation"] == generation), None)
    if entry is None or entry["state"] not in MERGED:
        live = ", ".join(str(each["generation"]) for each in ledger if each["state"] in MERGED) or "none yet"
        raise PermanentError(f"generation {generation} was never live; those that were: {live}")
    found: dict[str, int | None] = dict(json.loads(entry["manifest"])["tables"])
    # `published` was read before these lists were in it, and is kept from when the next publication was planned.
    found.pop(PUBLISHED.name, None)
    later = [each for each in ledger if each["generation"] > generation and each["state"] in MERGED]
    if later:
        found[PUBLISHED.name] = later[-1]["base_version"]
    return {name: version for name, version in found.items() if version is not None}
