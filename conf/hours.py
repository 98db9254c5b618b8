"""The hour, the unit of all batch work. Always UTC, always whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from conf.errors import ConfigError

KEY_FORMAT = "%Y-%m-%d-%H:%M"  # the partition key of Dagster's hourly partitions
DAY_FORMAT = "%Y-%m-%d"
_SPELLING = re.compile(r"(\d{4}-\d{2}-\d{2})[-T ](\d{2})(?::?00)?(?::00)?(?:Z|\+00:00)?")


@dataclass(frozen=True, order=True)
class Hour:
    """The hour that begins at `start` (UTC). `end` is exclusive: hour H sees times < H.end."""

    start: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.start.utcoffset() != timedelta(0):
            raise ValueError(f"an hour is in UTC, got {self.start!r}")
        if (self.start.minute, self.start.second, self.start.microsecond) != (0, 0, 0):
            raise ValueError(f"an hour starts on the hour, got {self.start!r}")

    @classmethod
    def of(cls, moment: datetime) -> Hour:
        """The hour that `moment` (timezone-aware) falls in."""
        return cls(moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0))

    @classmethod
    def parse(cls, text: str) -> Hour:
        """Read `2026-11-23T05`, `2026-11-23T05:00Z` or a partition key `2026-11-23-05:00`.

        Raises:
            ConfigError: the text is not a whole hour.
        """
        match = _SPELLING.fullmatch(text.strip())
        try:
            if match is None:
                raise ValueError
            return cls(datetime.strptime(" ".join(match.groups()), "%Y-%m-%d %H").replace(tzinfo=UTC))
        except ValueError:
            raise ConfigError(f"{text!r} is not an hour: write it like 2026-11-23T05 (UTC)") from None

    @property
    def end(self) -> datetime:
        return self.start + timedelta(hours=1)

    @property
    def date(self) -> date:
        return self.start.date()

    @property
    def day_key(self) -> str:
        return self.start.strftime(DAY_FORMAT)

    @property
    def key(self) -> str:
        return self.start.strftime(KEY_FORMAT)

    def __str__(self) -> str:
        return self.start.strftime("%Y-%m-%dT%H:00Z")
