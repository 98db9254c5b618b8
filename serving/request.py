"""What a page is asked for, and the limits under which it may be answered."""

from __future__ import annotations

from dataclasses import dataclass

from conf.rules import Baseline, Rules
from conf.vocabulary import EVERYWHERE
from serving.lookup import Viewer
from stores.artefact import Artefact
from stores.base import CHALLENGER, CHAMPION
from stores.rollout import Rollout, share_of

HOME, SEARCH, ALIKE = "home", "search", "similar"
SHELVES = "shelves"
"""The home page as shelves, in the log of what was shown: no order of one page, so not to be taken for one."""
POPULAR = "popular"
"""The variant of users who get the popular lists for good; others are of one of `stores.base.VARIANTS`."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One page of one order. All pages of an order have the same user, seed, page and limits."""

    user_id: str | None
    """None: an unknown viewer, so the strictest profile."""
    limit: int
    seed: str
    """The request id of the first page: it decides whether and what the order explores."""
    offset: int = 0
    """Place in the order where the page begins: `next_offset` of the page before."""
    page: str = HOME
    maturity_limit: int | None = None
    """Of the token; tightens the viewer's own. None: nothing to tighten. Likewise the region."""
    region: str | None = None
    tier: str | None = None
    """Subscription tier. The stored row has none, so None is an unknown tier."""
    as_of: float | None = None
    """`as_of` of the first page, epoch seconds: later events and the clock leave the order as it was. None: now."""


@dataclass(frozen=True)
class Limits:
    """What filters hold an item against. Viewers with the same limits may see the same items."""

    maturity: int
    regions: tuple[int, ...]
    """An item's licence needs one bit of each."""
    tier: str | None
    """A key of the rules' `tiers`; None: unknown, which is withheld all that any tier is."""


def tightened(viewer: Viewer, request: Request, artefact: Artefact, rules: Rules) -> Limits:
    """The viewer's profile under the limits of the request, which narrow it and never widen it.

    Maturity is the lower of the two. An item must be licensed in the viewer's region and in the request's, so a
    request that names a region which the catalogue does not know leaves what is licensed everywhere.
    """
    maturity = viewer.maturity_limit
    if request.maturity_limit is not None:
        maturity = min(maturity, request.maturity_limit)
    regions = {int(viewer.region_bit)}
    if request.region is not None:
        regions.add(int(artefact.region_bits(request.region)))
    if int(EVERYWHERE) in regions:
        regions = {int(EVERYWHERE)}
    tier = request.tier if request.tier in rules.tiers else None
    return Limits(maturity, tuple(sorted(regions)), tier)


def assigned(user_id: str | None, baseline: Baseline, rollout: Rollout | None = None) -> str:
    """The variant that a user belongs to, whatever they are served in the end.

    POPULAR for those who get the popular lists for good; of the others, CHALLENGER for those whom a rollout serves.
    """
    if user_id is None:
        return CHAMPION
    if share_of(baseline.salt, user_id) < baseline.share:
        return POPULAR
    return CHALLENGER if rollout is not None and rollout.serves(user_id) else CHAMPION
