from __future__ import annotations

import pytest

from stores.base import StoreUnavailable
from stores.sessions.base import SessionEvent
from stores.sessions.embedded import EmbeddedSessions


def test_a_folder_that_cannot_be_opened_is_unavailable(tmp_path):
    (tmp_path / "sessions").write_text("in the way")
    sessions = EmbeddedSessions(tmp_path / "sessions", map_size_gb=1)
    with pytest.raises(StoreUnavailable):
        sessions.apply("ann", [SessionEvent(1, "watch", 1.0)])
    with pytest.raises(StoreUnavailable):
        sessions.read("ann")
