from __future__ import annotations

import base64
import json
import multiprocessing
import stat
from datetime import UTC, datetime

import jwt
import pytest

from conf.errors import ConfigError
from conf.loading import load
from serving.auth import make_token
from serving.secrets import SECRET_FILE, token_secret

HOME = "/api/v1/recommendations"


def encoded(part):
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@pytest.fixture
def status(client):
    def send(header):
        answer = client(HOME, user=None, headers={} if header is None else {"Authorization": header})
        if answer.status_code == 401:
            assert answer.content_type == "application/problem+json"
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        return answer.status_code

    return send


def claims(world, **changes):
    expiry = jwt.decode(world.token("ann"), options={"verify_signature": False})["exp"]
    return {"sub": "ann", "exp": expiry, **changes}


def test_a_good_token_is_let_in(world, status):
    assert status(f"Bearer {world.token('ann')}") == 200
    assert status(f"bearer {world.token('ann')}") == 200


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer a.b.c", "Bearer ü", "x" * 5000]
)
def test_what_is_no_token_is_refused(status, header):
    assert status(header) == 401


def test_forged_tokens_are_refused(world, status):
    secret = world.settings.serving.token_secret
    good = world.token("ann")
    head, body, signature = good.split(".")
    assert status(f"Bearer {encoded({'alg': 'none'})}.{body}.") == 401
    assert status(f"Bearer {encoded({'alg': 'None', 'typ': 'JWT'})}.{body}.{signature}") == 401
    assert status(f"Bearer {head}.{encoded(claims(world, sub='kid'))}.{signature}") == 401
    assert status(f"Bearer {head}.{body}.") == 401
    assert status(f"Bearer {jwt.encode(claims(world), 'another secret that is long enough ' * 3, 'HS256')}") == 401
    for algorithm in ("HS384", "HS512"):
        assert status(f"Bearer {jwt.encode(claims(world), secret * 2, algorithm)}") == 401


def test_tokens_without_what_they_need_are_refused(world, status):
    secret = world.settings.serving.token_secret

    def sent(payload):
        return status(f"Bearer {jwt.encode(payload, secret, 'HS256')}")

    good = claims(world)
    assert sent(good) == 200
    assert sent({"sub": "ann"}) == 401
    assert sent({"exp": good["exp"]}) == 401
    odd = ({"exp": 10**400}, {"nbf": 10**400}, {"nbf": -(10**400)}, {"exp": "nan"}, {"sub": "\ud800"}, {"sub": ["ann"]})
    for changes in odd:
        assert sent({**good, **changes}) == 401, changes
    for changes in ({"sub": ""}, {"sub": "x" * 65}, {"sub": 7}, {"scope": "root"}, {"exp": "soon"}, {"exp": 1}):
        assert sent({**good, **changes}) == 401, changes


def test_a_token_ends_when_its_hours_are_over(world, make_client):
    now = jwt.decode(world.token("ann"), options={"verify_signature": False})["exp"]
    header = {"Authorization": f"Bearer {world.token('ann')}"}
    assert make_client(now=lambda: now - 1.0)(HOME, user=None, headers=header).status_code == 200
    assert make_client(now=lambda: float(now))(HOME, user=None, headers=header).status_code == 401


def test_tokens_are_not_made_for_what_the_service_would_refuse(world):
    secret = world.settings.serving.token_secret
    for user, scope in (("", "user"), ("x" * 65, "user"), ("ann", "root")):
        with pytest.raises(ValueError, match=r"scope|bytes"):
            make_token(user, secret, datetime(2026, 11, 23, tzinfo=UTC), 1, scope)


@pytest.mark.parametrize("hours", [0, -1, 1e12, float("inf"), float("nan")])
def test_a_token_is_good_for_a_time_that_can_be_told(world, hours):
    with pytest.raises(ValueError, match="at most 876000 hours"):
        make_token("ann", world.settings.serving.token_secret, datetime(2026, 11, 23, tzinfo=UTC), hours)


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"\xff" * 40])
def test_a_secret_file_that_is_no_secret_is_to_be_deleted(tmp_path, content):
    (tmp_path / SECRET_FILE).write_bytes(content)
    with pytest.raises(ConfigError, match=f"{SECRET_FILE} .*: delete the file, a new one is made"):
        token_secret(load({"TOPSHELF_HOME": str(tmp_path)}).settings)


def test_a_short_secret_is_a_wrong_setting(tmp_path):
    settings = load({"TOPSHELF_HOME": str(tmp_path)}, ["serving.token_secret=short"]).settings
    with pytest.raises(ConfigError, match=r"serving\.token_secret"):
        token_secret(settings)


def _secret_of(home, queue):
    queue.put(token_secret(load({"TOPSHELF_HOME": str(home)}).settings))


def test_processes_that_start_at_once_agree_on_a_secret_only_its_owner_reads(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=_secret_of, args=(tmp_path / "home", queue)) for _ in range(6)]
    for process in processes:
        process.start()
    secrets = {queue.get(timeout=30) for _ in processes}
    for process in processes:
        process.join()
    assert len(secrets) == 1
    assert len(secrets.pop()) >= 32
    assert stat.S_IMODE((tmp_path / "home" / SECRET_FILE).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "home").iterdir()] == [SECRET_FILE]
