"""Scores as probabilities: what the fit recovers, and when it declines."""

import numpy as np
import pytest

from models.calibration import MIN_SHOWN, Shown, calibration_error, platt

RNG = np.random.default_rng(3)


def shown(count: int, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of impressions that are watched with probability sigmoid(a · logit + b)."""
    logits = RNG.normal(0, 2, count)
    return logits, (RNG.random(count) < 1 / (1 + np.exp(-(a * logits + b)))).astype(np.float32)


def test_the_fit_recovers_the_scale_and_level_of_what_was_shown() -> None:
    logits, labels = shown(200_000, 0.7, -2.0)
    assert platt(logits, labels, np.ones(len(logits))) == pytest.approx((0.7, -2.0), abs=0.05)


def test_ignored_impressions_that_were_sampled_count_for_those_left_out() -> None:
    logits, labels = shown(200_000, 0.7, -2.0)
    kept = (labels == 1) | (RNG.random(len(labels)) < 0.2)
    weights = np.where(labels == 1, 1.0, 5.0)[kept]
    assert platt(logits[kept], labels[kept], weights) == pytest.approx((0.7, -2.0), abs=0.05)


def test_there_is_no_fit_without_enough_data_or_without_a_signal() -> None:
    logits, labels = shown(MIN_SHOWN - 1, 1.0, 0.0)
    assert platt(logits, labels, np.ones(len(logits))) is None
    assert platt(np.zeros(5_000), np.zeros(5_000, np.float32), np.ones(5_000)) is None
    logits, labels = shown(5_000, -0.5, 0.0)
    assert platt(logits, labels, np.ones(len(logits))) is None


def test_the_error_is_how_far_predictions_lie_from_what_was_watched() -> None:
    logits, labels = shown(100_000, 1.0, 0.0)
    weights = np.ones(len(logits))
    assert calibration_error(Shown(logits, labels, weights)) < 0.01
    everything = np.ones(len(logits))
    assert calibration_error(Shown(np.zeros(len(logits)), everything, weights)) == pytest.approx(0.5)
