"""Settings of how a new model takes the place of the one that serves."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from conf.section import Positive, Section, Share

Percent = Annotated[int, Field(gt=0, le=100)]


class Promotion(Section):
    """What a new model must show on the hold-out, beside the one that serves."""

    max_drop: Share = Field(description="Largest drop of a measure over all users, as a share of what it was")
    tolerance: Share = Field(
        description="Largest drop in a segment whose 95% interval holds no improvement, as a share of what it was"
    )
    min_users: Positive = Field(description="Segments with fewer held-out users are not judged")


class Rollout(Section):
    """How a new model that passed comes to all users. Of finished records it is deployed at once."""

    steps: tuple[Percent, ...] = Field(
        description="Percent of users served in each step, after a shadow that serves nobody; rising to 100. "
        "Empty: deployed at once"
    )
    shadow_hours: Positive = Field(description="Hours of the shadow")
    step_hours: Positive = Field(description="Least hours of a step")
    max_hours: Positive = Field(description="Hours after which a step that is still undecided is held")
    margin: float = Field(
        gt=0, lt=1, description="A step is taken once CTR and watch time are sure to have lost less than this share"
    )
    alpha: float = Field(gt=0, lt=1, description="Chance of ever ending a rollout that does no harm, for each measure")
    min_users: Positive = Field(description="Users with impressions, in each variant, before anything is decided")
    min_overlap: Share = Field(
        description="Least mean share of the champion's first 20 in the challenger's, for its shadow to end"
    )
    salt: Annotated[str, Field(min_length=1)] = Field(description="Another salt makes it other users")

    @field_validator("steps")
    @classmethod
    def _rises_to_all(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if steps and (list(steps) != sorted(set(steps)) or steps[-1] != 100):
            raise ValueError("must rise and end with 100")
        return steps
