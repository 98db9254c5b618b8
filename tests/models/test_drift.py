from __future__ import annotations

import pytest

from models.drift import psi


def test_what_has_not_moved_and_what_has():
    assert psi([100, 200, 300], [1000, 2000, 3000]) == pytest.approx(0, abs=1e-4)
    assert psi([500, 500], [450, 550]) < 0.1
    assert psi([500, 500], [250, 750]) > 0.25
    assert 1 < psi([500, 0], [0, 500]) < 20
