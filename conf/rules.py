"""The rules of an answer (conf/rules.yaml), typed and validated."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import yaml
from pydantic import AfterValidator, AwareDatetime, Field, ValidationError, model_validator

from conf.errors import ConfigError
from conf.section import Positive, Section, Share

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

RULES_FILE = Path(__file__).with_name("rules.yaml")
Context = Literal["home", "search", "similar"]
LogOdds = Annotated[float, Field(ge=0, le=10)]
Name = Annotated[str, Field(min_length=1)]
ANCHOR = "{anchor}"


def _anchored(text: str) -> str:
    left = text.replace(ANCHOR, "")
    if left == text or "{" in left or "}" in left:
        raise ValueError("it must hold {anchor}, and no other braces")
    return text


AnchoredText = Annotated[str, AfterValidator(_anchored)]


class Diversity(Section):
    window: Positive = Field(description="Neighbours that the limits count over, and places decided at a time")
    max_per_primary_genre: Positive = Field(description="Items of one primary genre in a window")
    max_per_director: Positive = Field(description="Items of one director in a window")


class SessionRules(Section):
    # What lifts an item is named by its place among them, in a byte.
    events: int = Field(ge=1, le=255, description="Newest watches, clicks and additions to a list that count")
    decay: float = Field(gt=0, le=1, description="Weight of an event relative to the one after it")
    popularity: float = Field(ge=0, description="Newest events that the popular list counts like, for who has no list")
    similar_weight: LogOdds = Field(description="Log-odds for full similarity to the newest event's item")
    genre_step: LogOdds = Field(description="Log-odds for each watch of one of an item's genres")
    enter_above: LogOdds = Field(description="Gain from which a similar item may enter a list that lacks it")
    entrants: int = Field(ge=0, description="Similar items, at most, that enter a list")
    candidates: Positive = Field(description="Items found for a user without a list")


class NewItems(Section):
    freshness: LogOdds = Field(description="Log-odds that items of the new-item shelf gain")
    entrants: int = Field(ge=0, description="Items of the shelf, at most, that enter a list which lacks them")


class Exploration(Section):
    share: Share = Field(description="Share of the requests for the home page that explore")
    positions: tuple[Positive, ...] = Field(description="Places of each window that are filled by a draw; 1 is the top")
    new_share: Share = Field(description="Share of draws from the new-item shelf")
    salt: Name = Field(description="Another salt makes other requests explore")


class Baseline(Section):
    share: Share = Field(description="Share of users who get the popular lists for good")
    salt: Name = Field(description="Another salt makes it other users")


class SearchRules(Section):
    affinity_weight: float = Field(ge=0, description="Growth of a text score by the user's vector, at most")
    list_weight: float = Field(ge=0, description="Growth of a text score by the user's list, at most")


class Withheld(Section):
    genres: tuple[Name, ...] = ()
    items: tuple[Name, ...] = Field(default=(), description="item_ids")


class Promotion(Section):
    item_id: Name
    slot: Positive = Field(description="Place on the first page; 1 is the top")
    contexts: tuple[Context, ...] = Field(min_length=1)
    start: AwareDatetime = Field(default=datetime.min.replace(tzinfo=UTC), alias="from")
    until: AwareDatetime = Field(default=datetime.max.replace(tzinfo=UTC), description="Exclusive")

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Promotion:
        if self.start >= self.until:
            raise ValueError(f"the promotion of {self.item_id} ends before it begins")
        return self

    def holds(self, context: str, now: float) -> bool:
        """now: epoch seconds."""
        return context in self.contexts and self.start.timestamp() <= now < self.until.timestamp()


class Promotions(Section):
    per_page: int = Field(ge=0, description="Promotions, at most, of one order; those named first come first")
    items: tuple[Promotion, ...]


class ShelfRule(Section):
    kind: Literal["picked", "because", "trending", "new", "top_genre", "popular"]
    title: Name
    rows: Positive = Field(default=1, description="Shelves of this kind, at most, where there are several")

    @model_validator(mode="after")
    def _title_fits(self) -> ShelfRule:
        if self.kind in ("because", "top_genre"):
            _anchored(self.title)
        elif self.rows > 1:
            raise ValueError(f"there is but one shelf of the kind {self.kind}, so rows is 1")
        return self


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
    risen: AnchoredText
    session: str
    found: str
    explored: str
    promoted: str

    def text(self, source: str, anchor: str | None) -> str:
        """The reason for an item from `source`; a lost anchor falls back on the general wording."""
        wording: str = getattr(self, source)
        if ANCHOR not in wording:
            return wording
        return wording.replace(ANCHOR, anchor) if anchor else self.ann


class Rules(Section):
    diversity: Diversity
    session: SessionRules
    new_items: NewItems
    exploration: Exploration
    baseline: Baseline
    search: SearchRules
    tiers: dict[Name, Withheld]
    promotions: Promotions
    reasons: Reasons
    shelves: tuple[ShelfRule, ...]

    @model_validator(mode="after")
    def _places_lie_in_the_window(self) -> Rules:
        window, positions = self.diversity.window, self.exploration.positions
        if len(set(positions)) < len(positions) or max(positions, default=1) > window:
            raise ValueError(f"exploration.positions must differ and lie within 1 to diversity.window, {window}")
        for promotion in self.promotions.items:
            if promotion.slot > window:
                raise ValueError(f"slot {promotion.slot} of {promotion.item_id} lies beyond diversity.window, {window}")
        return self


def load_rules(path: Path = RULES_FILE) -> Rules:
    """Read and validate a rules file. It holds every rule: what one file leaves out, no other fills in.

    Raises:
        ConfigError: naming the file, each wrong key, what is wrong with it and how to mend it.
    """
    try:
        return Rules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"cannot read the rules file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}; correct it there") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {'; '.join(_mended(one) for one in error.errors())}") from error


def _mended(problem: ErrorDetails) -> str:
    """What is wrong with one key, and how to mend it."""
    key = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return f"{key} is not a rule: {RULES_FILE} has them all"
    if problem["type"] == "missing":
        return f"{key} is missing: take it over from {RULES_FILE}"
    if not key:
        return f"{problem['msg'].removeprefix('Value error, ')}; {RULES_FILE} shows how"
    got = "" if isinstance(problem["input"], dict) else f" (got {problem['input']!r})"
    return f"{key}: {problem['msg'].removeprefix('Value error, ')}{got}; change it there"
