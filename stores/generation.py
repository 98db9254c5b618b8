"""A generation, as the control record describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stores.rollout import Challenger


@dataclass(frozen=True)
class Generation:
    """A publication that readers may be sent to."""

    number: int
    artefact_id: str
    model_version: str
    hour: str
    made_at: str
    """UTC, ISO 8601."""
    slots: int = 0
    """Of its catalogue, the highest item_no + 1: what the batch that made its lists knew. 0: not noted."""
    challenger: Challenger | None = None
    """Where it has lists of a second model, too."""
    model_id: str = ""
    """Empty: not noted."""
    barred: int = 0
    """Its artefacts have the entries of the barrier list up to this moment, epoch milliseconds."""

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Generation:
        """From what `asdict` makes of one."""
        challenger = fields.get("challenger")
        return cls(**{**fields, "challenger": Challenger(**challenger) if challenger else None})
