"""What a real service writes to its log."""

from __future__ import annotations

from datetime import UTC, datetime

from serving.local import serve_once
from stores.opening import open_store

HOME = "/api/v1/recommendations"


def test_neither_secret_nor_token_is_in_the_log_of_a_running_service(tmp_path, make_home, new_world, rules, http):
    before = "the secret that was in force before, which is long enough"
    keys = tmp_path / "keys.json"
    keys.write_text('{"keys": [{"kty": "oct", "kid": "k", "k": "c2VjcmV0"}]}')
    overrides = (f"serving.token_previous_secret={before}", f"serving.jwks_file={keys}", "serving.workers=1")
    settings = make_home(tmp_path, *overrides)
    with open_store(settings) as store:
        world = new_world(settings, store)
        world.publish({})
        token = world.token("ann", at=datetime.now(UTC))
        with serve_once(settings, rules) as url:
            assert http(f"{url}{HOME}", token)[0] == 200
            assert http(f"{url}{HOME}", token + "x")[0] == 401
            assert http(f"{url}/api/v1/events", token, "POST", {"token": token})[0] == 400
            (log,) = (settings.home / "run").glob("*/log")
            text = log.read_text()
    assert "the keys before stay in force" in text
    assert [one for one in (settings.serving.token_secret, before, token, "c2VjcmV0") if one in text] == []
