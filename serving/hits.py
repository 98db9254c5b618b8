"""Search hits as candidates: what the text says, bent by the user's taste."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.candidates import FOUND, SEARCH, Candidates, all_of
from serving.session import session_vector
from serving.visit import Visit
from stores.records import probability, unpack_vector


def hits(visit: Visit, item_no: NDArray[np.int32], text: NDArray[np.float32]) -> Candidates:
    """Search hits in the order of text score × taste, the score is that over its highest possible value.

    taste = 1 + affinity_weight · A + list_weight · P, where A = (1 + cos(user, item)) / 2 and P is the probability in
    the user's list, 0 outside. It lies between 1 and 1 + both weights, so taste never lifts a hit above one whose text
    score is more than that many times its own. The vector is the row's, or else the session's; without either, and
    in the baseline group, taste is 1.

    Args:
        item_no: (n,) hits that the catalogue has, each once.
        text: (n,) their text scores, ≥ 0, best first or not.
    """
    rules = visit.rules.search
    taste = np.ones(len(item_no), np.float32)
    if visit.personalized:
        taste += rules.affinity_weight * _affinity(visit, item_no)
        taste += rules.list_weight * _chance(visit, item_no)
    highest = float(text.max(initial=0)) * (1 + rules.affinity_weight + rules.list_weight)
    score = (text * taste / (highest or 1.0)).astype(np.float32)
    order = np.argsort(-score, kind="stable")
    return Candidates(SEARCH, item_no[order], all_of(item_no, FOUND), score[order])


def _affinity(visit: Visit, item_no: NDArray[np.int32]) -> NDArray[np.float32]:
    """(n,) from 0 to 1; 0 where nothing is known of the user's taste."""
    artefact, body, vector = visit.snapshot.artefact, visit.known.body, None
    if body is not None:
        vector = unpack_vector(body.vector)[: artefact.vectors.shape[1]]
    elif visit.recent is not None:
        vector = session_vector(visit.recent, artefact.vectors)
    if vector is None or not vector.any():
        return np.zeros(len(item_no), np.float32)
    vectors = artefact.vectors[item_no]
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors)) * np.float32(np.sqrt(vector @ vector))
    cosine = (vectors @ vector) / np.maximum(lengths, np.float32(1e-12))
    return np.asarray((1 + cosine) / 2, np.float32)


def _chance(visit: Visit, item_no: NDArray[np.int32]) -> NDArray[np.float32]:
    """(n,) probability in the stored list, 0 for items outside."""
    body = visit.known.body
    if body is None:
        return np.zeros(len(item_no), np.float32)
    chances = dict(zip(body.item_no.tolist(), probability(body.score).tolist(), strict=True))
    return np.fromiter((chances.get(number, 0.0) for number in item_no.tolist()), np.float32, len(item_no))
