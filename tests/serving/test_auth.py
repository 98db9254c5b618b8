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
from serving.auth import Authenticator, Caller, make_token
from serving.keys import Keyring
from serving.metrics import Metrics
from serving.problems import Problem
from serving.secrets import SECRET_FILE, our_claims, token_secret

HOME = "/api/v1/recommendations"


def encoded(part):
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


NOW = datetime(2026, 11, 23, 13, 30, tzinfo=UTC).timestamp()
SECRET = "a secret that is used in tests only, and long enough"


def changed(settings, **serving):
    return settings.model_copy(update={"serving": settings.serving.model_copy(update=serving)})


def bearer(**extra):
    return "Bearer " + jwt.encode({"sub": "ann", "exp": NOW + 60, **extra}, SECRET, "HS256")


def authenticator():
    return Authenticator(Keyring([SECRET], None, lambda: 0.0, Metrics()), lambda: NOW)


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
    for changes in ({"exp": str(good["exp"])}, {"nbf": "0"}, {"nbf": False}):
        assert sent({**good, **changes}) == 401, changes
    for changes in ({"sub": ""}, {"sub": "x" * 65}, {"sub": 7}, {"scope": "root"}, {"exp": "soon"}, {"exp": 1}):
        assert sent({**good, **changes}) == 401, changes


def test_a_token_ends_when_its_hours_are_over(world, make_client):
    now = jwt.decode(world.token("ann"), options={"verify_signature": False})["exp"]
    header = {"Authorization": f"Bearer {world.token('ann')}"}
    assert make_client(now=lambda: now - 1.0)(HOME, user=None, headers=header).status_code == 200
    leeway = world.settings.serving.token_leeway_seconds
    assert make_client(now=lambda: now + leeway - 0.1)(HOME, user=None, headers=header).status_code == 200
    assert make_client(now=lambda: now + leeway)(HOME, user=None, headers=header).status_code == 401


def test_a_token_begins_when_it_says(world, make_client):
    token = jwt.encode(claims(world, nbf=NOW + 100), world.settings.serving.token_secret, "HS256")
    header = {"Authorization": f"Bearer {token}"}
    assert make_client(now=lambda: NOW + 89.0)(HOME, user=None, headers=header).status_code == 401
    assert make_client(now=lambda: NOW + 90.0)(HOME, user=None, headers=header).status_code == 200


def test_a_remembered_token_still_ends(world, make_client):
    now = [NOW]
    client = make_client(now=lambda: now[0])
    header = {"Authorization": f"Bearer {world.token('ann')}"}
    assert client(HOME, user=None, headers=header).status_code == 200
    now[0] += 25 * 3600
    answer = client(HOME, user=None, headers=header)
    assert (answer.status_code, answer.json["detail"]) == (401, "The token has expired.")


def test_the_secret_before_is_good_until_it_is_taken_out(world, make_client):
    before = "an older secret that was in force until not so long ago"
    settings = changed(world.settings, token_previous_secret=before)
    header = {"Authorization": f"Bearer {jwt.encode(claims(world), before, 'HS256')}"}
    assert make_client(settings=settings)(HOME, user=None, headers=header).status_code == 200
    assert make_client(settings=settings)(HOME).status_code == 200
    assert make_client()(HOME, user=None, headers=header).status_code == 401


def test_audience_and_issuer_are_checked_where_they_are_set(world, make_client):
    settings = changed(world.settings, token_audience="shop", token_issuer="desk")

    def status(client, **extra):
        token = jwt.encode(claims(world, **extra), world.settings.serving.token_secret, "HS256")
        return client(HOME, user=None, headers={"Authorization": f"Bearer {token}"}).status_code

    strict, lax = make_client(settings=settings), make_client()
    assert status(strict, aud="shop", iss="desk") == status(strict, aud=["x", "shop"], iss="desk") == 200
    for extra in ({}, {"aud": "shop"}, {"iss": "desk"}, {"aud": "x", "iss": "desk"}, {"aud": "shop", "iss": "x"}):
        assert status(strict, **extra) == 401, extra
    assert status(lax, aud="x", iss="y") == 200
    ours = make_token("ann", SECRET, datetime.fromtimestamp(NOW, UTC), 1, claims=our_claims(settings))
    assert strict(HOME, user=None, headers={"Authorization": f"Bearer {ours}"}).status_code == 200


def test_what_a_token_says_of_its_user_is_read(world):
    caller = authenticator().caller(bearer(maturity_limit=2, region="US", tier="basic"))
    assert caller == Caller("ann", "user", 2, "US", "basic")
    assert authenticator().caller(bearer()) == Caller("ann", "user", None, None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"maturity_limit": 5},
        {"maturity_limit": -1},
        {"maturity_limit": True},
        {"maturity_limit": "2"},
        {"maturity_limit": 2.0},
        {"region": ""},
        {"region": 7},
        {"region": "x" * 7},
        {"tier": "x" * 65},
        {"tier": ["basic"]},
    ],
)
def test_a_claim_without_meaning_is_refused_for_it_may_have_been_meant_as_a_limit(wrong):
    with pytest.raises(Problem, match=next(iter(wrong))):
        authenticator().caller(bearer(**wrong))
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make_token("ann", SECRET, datetime.fromtimestamp(NOW, UTC), 1, claims=wrong)


def test_only_a_service_reads_for_others_and_nobody_reads_for_others_with_a_user_token(client):
    for method, path in (("GET", "/api/v1/users/kid/recommendations"), ("POST", "/api/v1/users/recommendations")):
        sent = {"method": method, "json": {"user_ids": ["kid"]} if method == "POST" else None}
        assert client(path, **sent).status_code == 403
        assert client(path, user=None, **sent).status_code == 401
        assert client(path, scope="service", **sent).status_code == 200


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


@pytest.mark.parametrize("name", ["token_secret", "token_previous_secret"])
def test_a_short_secret_is_a_wrong_setting(tmp_path, name):
    settings = load({"TOPSHELF_HOME": str(tmp_path)}, [f"serving.{name}=short"]).settings
    with pytest.raises(ConfigError, match=rf"serving\.{name} has fewer"):
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
