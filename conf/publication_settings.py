"""Settings of a publication: how fast it writes, what lists must be like, and what it costs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from conf.section import Positive, Section, Share


class Publish(Section):
    units_per_second: float | None = Field(
        gt=0, description="DynamoDB write units a second, all executors together; empty: as fast as it takes them"
    )
    rows_in_flight: Positive = Field(description="Rows on their way to the store at once, all executors together")
    max_dollars: float | None = Field(
        ge=0, description="A publication estimated above it stops before its first write; empty: no limit"
    )
    sample: Positive = Field(description="Rows read back through the reader's own code before the switch")


class Gate(Section):
    """Thresholds that lists must pass before readers are switched to them."""

    min_coverage: Share = Field(description="Least share of the hour's active users who have a list")
    least_lists: Positive = Field(
        description="Where fewer lists are to be written than this and than there are active users, shares and means "
        "are worked out as if so many were, the rest as good as before: a few lists tell little"
    )
    short_list: Positive = Field(description="A list with fewer items counts as short")
    max_short: Share = Field(description="Largest share of short lists among those to be written")
    max_forbidden: Annotated[int, Field(ge=0)] = Field(
        description="Lists, at most, with an item that is inactive, unlicensed or above the user's maturity limit"
    )
    min_overlap: Share = Field(description="Least mean share of a changed list's first 20 that were in the old 20")
    max_score_drift: float = Field(
        ge=0, description="Largest shift of the mean score, in standard deviations of before"
    )
    min_items: Share = Field(
        description="Least share of the items that may be shown that stand in some list's first 20"
    )
    max_concentration: Share = Field(
        description="Largest share of all first-20 places that the top 1% of items may take"
    )
    max_rejected: Share = Field(
        description="Rows that the store may refuse, at most, as a share of the lists that active users have"
    )


class Prices(Section):
    """Dollars, to estimate a publication's cost. AWS lists them by region; correct them for yours."""

    write_units_million: float = Field(ge=0, description="A million on-demand write units")
    read_units_million: float = Field(ge=0, description="A million on-demand read units")
    provisioned_write_unit_hour: float = Field(ge=0, description="One provisioned write unit for an hour")
    import_gb: float = Field(ge=0, description="A GB by ImportTable, into a new table only")
    bulk_put_units_million: float | None = Field(
        ge=0, description="A million write units by StartBulkPutItems; empty: not compared"
    )
