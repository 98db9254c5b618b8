"""The loops of the first stage, user by user: one pass over what each source says, in a table of notes by item.

A note counts for the user whose time it bears, so that no table is wiped between users.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from conf.vocabulary import NO_ANCHOR, Source
from models.compiling import compiled, inlined
from models.highest import Notes, Products, Rules, co_watched, nearest
from models.types import Bytes, Floats, Ints

_SIMILAR, _GENRE, _NEW, _TRENDING = int(Source.SIMILAR), int(Source.GENRE), int(Source.NEW), int(Source.TRENDING)
_ANN, _POPULAR, _NO_ANCHOR = int(Source.ANN), int(Source.POPULAR), int(NO_ANCHOR)
_LEAST, _NOTHING = np.float32(1e-6), np.int32(-1)


class Told(NamedTuple):
    """What a watch of each item says about others: items and weights (m, K); how much the newest watches count, newest
    first, for the score (W,) and for the recent one (R,)."""

    items: Ints
    weights: Floats
    kept: Floats
    recent: Floats


class Sources(NamedTuple):
    """similar (n, S) and how many of the last watches they are taken for; by_genre (G, P); liked (B, g) the genres of
    each user, ascending, G where there are fewer; lists for all."""

    similar: Ints
    watches: int
    by_genre: Ints
    liked: Ints
    new: Ints
    trending: Ints
    popular: Ints


class Candidates(NamedTuple):
    """Of B users up to C candidates each, the best places of their sources first.

    (B, C): item_no, -1 at the end of short rows; source and anchor as in ScoredLists; score and recent, what the
    item-item model says by all watches that it reads and by the last ones. nearest (B, ann) and co_watched
    (B, item_item): what the two-tower space and the item-item model found, best first, -1 padded.
    """

    item_no: Ints
    source: Bytes
    anchor: Bytes
    score: Floats
    recent: Floats
    nearest: Ints
    co_watched: Ints


@compiled
def gather(
    began: int,
    history: Ints,
    rules: Rules,
    products: Products,
    told: Told,
    sources: Sources,
    asked: Ints,
    least: int,
    notes: Notes,
    found: Candidates,
) -> None:
    """Fill `found`, which is empty. began: how many users the notes have served; the rest as Gatherer.gather has it."""
    keys = np.empty(2 * max(found.nearest.shape[1], found.co_watched.shape[1]), np.int64)
    queue = np.empty((_depth(sources, found) * (2 * sources.watches + sources.liked.shape[1] + 4), 3), np.int32)
    for user in range(len(history)):
        time = began + user + 1
        for place in range(rules.offsets[user], rules.offsets[user + 1]):
            if 0 <= rules.watched[place] < len(notes.taken):
                notes.taken[rules.watched[place]] = time  # so it is never taken up
        spoken = _listen(history[user], told, notes, time)
        nearest(user, time, products, rules, notes, keys[: 2 * found.nearest.shape[1]], found.nearest[user])
        co_watched(user, time, spoken, rules, notes, keys[: 2 * found.co_watched.shape[1]], found.co_watched[user])
        queued = _queue(history[user], sources, notes, found.nearest[user], found.co_watched[user], user, queue)
        count = _take(queue[:queued], found.item_no.shape[1], user, time, 0, rules, notes, found)
        for place in range(len(sources.popular)):
            queue[place, 0], queue[place, 1], queue[place, 2] = sources.popular[place], _POPULAR, _NO_ANCHOR
        count = _take(queue[: len(sources.popular)], least, user, time, count, rules, notes, found)
        _ask(user, time, count, asked[user], notes, found)


@compiled
def _depth(sources: Sources, found: Candidates) -> int:
    """Places of the longest source."""
    of_lists = max(sources.similar.shape[1], sources.by_genre.shape[1], len(sources.new), len(sources.trending))
    return int(max(of_lists, found.nearest.shape[1], found.co_watched.shape[1], len(sources.popular)))


@compiled
def _listen(history: Ints, told: Told, notes: Notes, time: int) -> int:
    """Note what the watches say, the newest first, so that of equal ones the newest counts; how many items of."""
    newest = len(history) - 1
    watches = min(len(told.kept), len(history))
    whole, recently = np.float32(0), np.float32(0)
    for ago in range(watches):
        if 0 <= history[newest - ago] < len(told.items):
            whole += told.kept[ago]
            if ago < len(told.recent):
                recently += told.recent[ago]
    whole, recently = max(whole, _LEAST), max(recently, _LEAST)
    spoken = 0
    for ago in range(watches):
        watch = history[newest - ago]
        if not 0 <= watch < len(told.items):
            continue
        share = told.kept[ago] / whole
        recent = told.recent[ago] / recently if ago < len(told.recent) else np.float32(0)
        for place in range(told.items.shape[1]):
            item = told.items[watch, place]
            if item < 0:
                break
            if notes.told[item] != time:
                notes.told[item] = time
                notes.spoken[spoken] = item
                spoken += 1
                notes.said[item, 0] = notes.said[item, 1] = notes.said[item, 2] = 0
                notes.said[item, 3] = _NO_ANCHOR
            added = told.weights[watch, place] * share
            notes.said[item, 0] += added
            notes.said[item, 1] += told.weights[watch, place] * recent
            if added > notes.said[item, 2]:
                notes.said[item, 2] = added
                notes.said[item, 3] = ago
    return spoken


@compiled
def _queue(history: Ints, sources: Sources, notes: Notes, near: Ints, spoken_of: Ints, user: int, queue: Ints) -> int:
    """All sources side by side, place by place: similar to a watch, of a genre, new, trending, near. Rows of item,
    source and anchor, the same item as often as it is found; how many rows there are."""
    similar, by_genre, liked = sources.similar, sources.by_genre, sources.liked[user]
    of_lists = max(similar.shape[1], by_genre.shape[1], len(sources.new), len(sources.trending))
    depth = max(of_lists, len(near), len(spoken_of))
    watches, count = min(sources.watches, len(history)), 0
    for place in range(depth):
        spoken, back = _NOTHING, _NO_ANCHOR
        if place < len(spoken_of) and spoken_of[place] >= 0:
            spoken = spoken_of[place]
            if notes.said[spoken, 3] < watches:
                back = int(notes.said[spoken, 3])
        for ago in range(watches):
            watch = history[len(history) - 1 - ago]
            like = _NOTHING
            if place < similar.shape[1] and 0 <= watch < len(similar):
                like = similar[watch, place]
            own = spoken if back == ago else _NOTHING
            count = _pair(like, own, _SIMILAR, ago, count, queue)
        if place < by_genre.shape[1]:
            for genre in liked:
                if genre < len(by_genre):
                    count = _pair(by_genre[genre, place], _NOTHING, _GENRE, min(genre, _NO_ANCHOR), count, queue)
        if place < len(sources.new):
            count = _pair(sources.new[place], _NOTHING, _NEW, _NO_ANCHOR, count, queue)
        if place < len(sources.trending):
            count = _pair(sources.trending[place], _NOTHING, _TRENDING, _NO_ANCHOR, count, queue)
        close = near[place] if place < len(near) else _NOTHING
        own = spoken if back == _NO_ANCHOR else _NOTHING
        count = _pair(close, own, _ANN, _NO_ANCHOR, count, queue)
    return count


@inlined
def _pair(one: np.int32, other: np.int32, source: int, anchor: int, count: int, queue: Ints) -> int:
    """Add two items, the lower one first, as far as there are (-1: none)."""
    for item in (min(one, other), max(one, other)):
        if item >= 0:
            queue[count, 0], queue[count, 1], queue[count, 2] = item, source, anchor
            count += 1
    return count


@compiled
def _take(
    queue: Ints, most: int, user: int, time: int, count: int, rules: Rules, notes: Notes, found: Candidates
) -> int:
    """Take up those of the queue that were not yet and may be, until there are `most`; how many there are."""
    licensed, maturity, limit, region = rules.licensed, rules.maturity, rules.limits[user], rules.regions[user]
    taken, told, said = notes.taken, notes.told, notes.said
    item_no, source, anchor = found.item_no[user], found.source[user], found.anchor[user]
    score, recent = found.score[user], found.recent[user]
    for place in range(len(queue)):
        if count >= most:
            break
        item = queue[place, 0]
        if item < 0 or taken[item] == time:
            continue
        taken[item] = time
        if (licensed[item] & region) == 0 or maturity[item] > limit:
            continue
        item_no[count], source[count], anchor[count] = item, queue[place, 1], queue[place, 2]
        if told[item] == time:
            score[count], recent[count] = said[item, 0], said[item, 1]
        count += 1
    return count


@compiled
def _ask(user: int, time: int, count: int, asked: int, notes: Notes, found: Candidates) -> None:
    """The item that is asked about comes last, in the stead of another one, where it is no candidate."""
    if asked < 0:
        return
    for place in range(count):
        if found.item_no[user, place] == asked:
            return
    last = found.item_no.shape[1] - 1
    found.item_no[user, last], found.source[user, last], found.anchor[user, last] = asked, _ANN, _NO_ANCHOR
    there = notes.told[asked] == time
    found.score[user, last] = notes.said[asked, 0] if there else 0
    found.recent[user, last] = notes.said[asked, 1] if there else 0
