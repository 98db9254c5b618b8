"""The rules of an answer (conf/rules.yaml), typed and validated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from conf.errors import ConfigError
from conf.section import Positive, Section

RULES_FILE = Path(__file__).with_name("rules.yaml")
AnchoredText = Annotated[str, Field(pattern=r"\{anchor\}")]


class Diversity(Section):
    max_per_primary_genre: Positive = Field(description="Items of one primary genre in a window")
    window: Positive = Field(description="Items that the limit counts over")


class Reasons(Section):
    """The wording for each candidate source; `{anchor}` is the title or genre that led to the item."""

    ann: str
    similar: AnchoredText
    genre: AnchoredText
    trending: str
    new: str
    popular: str
    segment: str
    alike: AnchoredText

    def text(self, source: str, anchor: str | None) -> str:
        """The reason for an item from `source`; a lost anchor falls back on the general wording."""
        wording: str = getattr(self, source)
        if "{anchor}" not in wording:
            return wording
        return wording.format(anchor=anchor) if anchor else self.ann


class Rules(Section):
    diversity: Diversity
    reasons: Reasons


def load_rules(path: Path = RULES_FILE) -> Rules:
    """Read and validate a rules file.

    Raises:
        ConfigError: naming the file, the key and what is wrong with it.
    """
    try:
        return Rules.model_validate(yaml.safe_load(path.read_text()) or {})
    except OSError as error:
        raise ConfigError(f"cannot read the rules file {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
