"""What is shown to users of whom a few positives are known: by peers, by the service, and by the user tower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from bench.peers import OWN, ease_weights, knn_weights, linear, padded
from bench.relevance.interactions import Interactions, ask
from bench.relevance.newcomers import Newcomers
from bench.relevance.splits import Split
from conf.hours import Hour
from conf.rules import Rules, load_rules
from conf.settings import Settings
from jobs import manifests
from models.encoding import EncodedItems
from models.evaluation import TOP, Cases, mask, top_items
from models.fit_tower import user_vectors
from models.modelfiles import Model, load_model
from models.types import PROFILE_FIELDS, Floats, Ints, Longs, UserBatch
from serving.candidates import fallbacks, near_session
from serving.session import recent, scale_of
from stores.artefact import Artefact, load_artefact
from stores.opening import open_reader
from stores.sessions.base import SessionEvent

Lists = Callable[[Split], Ints]
"""(T, TOP) best items of the users of a split, best first, -1 padded."""
KNN, EASE = "item-kNN", "EASE-R"


def peers(parts: Newcomers) -> dict[str, Lists]:
    """item-kNN and EASE-R, as bench.peers has them; who has no positive gets what is popular."""
    popular = parts.training.counts.astype(np.float32)

    def by(held: Longs, weights: Floats) -> Lists:
        def lists(split: Split) -> Ints:
            some = np.diff(split.training.offsets) > 0
            scores = linear(split.training, held, weights)(split.measured)
            return best(np.where(some[:, None], scores, popular), split)

        return lists

    knn, ease = ({peer.name: peer.grid[0] for peer in OWN}[name] for name in (KNN, EASE))
    return {KNN: by(*knn_weights(parts.training, knn)), EASE: by(*ease_weights(parts.training, ease))}


def best(scores: Floats, split: Split) -> Ints:
    """By scores (T, n), without what is known of each user."""
    return padded(top_items(mask(scores.astype(np.float32), split.training.seen(split.measured))), TOP)


@dataclass(frozen=True)
class Service:
    """What a home's service and its model say of users who have no list, in the items of the data.

    number (n,): the artefact's item_no of each item of the data; profile: PROFILE_FIELDS of the T new users.
    """

    artefact: Artefact
    model: Model
    encoded: EncodedItems
    rules: Rules
    number: Longs
    profile: dict[str, list[str | None]]

    @cached_property
    def item(self) -> Ints:
        back = np.empty(len(self.number), np.int32)
        back[self.number] = np.arange(len(self.number), dtype=np.int32)
        return back

    def histories(self, split: Split) -> list[Ints]:
        """item_no of the artefact, oldest first, of each user."""
        offsets, items = split.training.offsets, self.number[split.training.items].astype(np.int32)
        return np.split(items, offsets[1:-1])

    def segment(self, split: Split) -> Ints:
        """What the service shows whom it knows nothing of but age band and region."""
        found = np.full((len(split.measured), TOP), -1, np.int32)
        for row, seen in enumerate(self.histories(split)):
            wanted: dict[int, None] = {}
            for tier in fallbacks(self.artefact, self.segment_of(row)):
                wanted.update(dict.fromkeys(tier.item_no[~np.isin(tier.item_no, seen)].tolist()))
                if len(wanted) >= TOP:
                    break
            shown = list(wanted)[:TOP]
            found[row, : len(shown)] = self.item[shown]
        return found

    def segment_of(self, row: int) -> str | None:
        age, region = self.profile["age_band"][row], self.profile["region"][row]
        return None if age is None or region is None else f"{age}/{region}"

    def real_time(self, split: Split) -> Ints:
        """The service's own page, before diversity and rules, of a user who has no list."""
        found, scale = self.segment(split), scale_of(self.artefact.vectors)
        for row, seen in enumerate(self.histories(split)):
            events = [SessionEvent(int(item), "watch", float(place)) for place, item in enumerate(seen)][::-1]
            about = recent(events, -1.0, np.inf, len(self.artefact), self.rules.session)
            if about is None:
                continue
            shut = np.zeros(len(self.artefact), bool)
            shut[seen] = True
            near = near_session(self.artefact, scale, about, self.segment_of(row), shut, self.rules.session)
            if near is not None:
                found[row] = padded(self.item[near[:TOP]][None], TOP)
        return found

    def tower(self, split: Split) -> Ints:
        """By the user tower of the model, which reads the events and the profile."""
        width = self.model.history
        history = np.full((len(split.measured), width), -1, np.int32)
        for row, seen in enumerate(self.histories(split)):
            newest = seen[-width:]
            history[row, width - len(newest) :] = newest
        watches = np.diff(split.training.offsets).astype(np.int32)
        none = (np.zeros(1, np.int64), np.zeros(0, np.int32))
        cases = Cases(UserBatch(history, self.profile, watches), none, none)
        inputs, vectors = (torch.from_numpy(np.array(part)) for part in (self.encoded.inputs, self.encoded.vectors))
        users = user_vectors(self.model.tower, inputs, cases, self.model.vocabularies)
        return best((users @ vectors.T).numpy()[:, self.number], split)


def service(settings: Settings, whole: Settings, data: Interactions, users: Longs) -> Service:
    """Of the generation that is live in a home. whole: the home that has all of the data."""
    with open_reader(settings) as store:
        control = store.read_control()
    live = None if control is None else control.generation()
    if live is None:
        raise SystemExit(f"nothing was published in {settings.home}")
    artefact = load_artefact(settings.artefacts_path, live.artefact_id)
    made = manifests.scored(settings, Hour.parse(artefact.made_for))
    rows = {row["user_id"]: row for row in ask(whole, "SELECT * FROM users").to_pylist()}
    wanted = [rows[data.user_ids[user]] for user in users.tolist()]
    return Service(
        artefact,
        load_model(settings.models_path / made.model_id),
        EncodedItems.load(manifests.encoded_folder(settings, artefact.artefact_id)),
        load_rules(),
        np.array([artefact.item_no[item] for item in data.item_ids], np.int64),
        {name: [row[name] for row in wanted] for name in PROFILE_FIELDS},
    )
