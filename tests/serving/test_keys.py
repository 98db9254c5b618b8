"""Tokens signed with public keys, and what happens when the keys change."""

from __future__ import annotations

import json
from functools import cache

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from conf.errors import ConfigError
from serving.auth import Authenticator
from serving.keys import Keyring, read_jwks
from serving.metrics import Metrics
from serving.problems import Problem

NOW = 1_000_000.0
SECRET = "a secret that is used in tests only, and long enough"


@cache
def rsa_key(name="one", bits=2048):
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(name="one"):
    return ec.generate_private_key(ec.SECP256R1())


def public(key, kid, **changes):
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, **changes}


class World:
    """An authenticator over a JWKS file, and a clock that a test moves."""

    def __init__(self, path):
        self.path, self.ticks, self.metrics = path, 0.0, Metrics()
        self.authenticator = Authenticator(Keyring([SECRET], path, lambda: self.ticks, self.metrics), lambda: NOW)

    def publish(self, *keys):
        partial = self.path.with_suffix(".new")
        partial.write_text(json.dumps({"keys": keys}))
        partial.replace(self.path)

    def takes(self, key, algorithm, kid=None):
        head = {} if kid is None else {"kid": kid}
        return self.takes_token(jwt.encode({"sub": "ann", "exp": NOW + 60}, key, algorithm, headers=head))

    def takes_token(self, token):
        try:
            return self.authenticator.caller(f"Bearer {token}").user_id == "ann"
        except Problem:
            return False


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "jwks.json")
    made.publish(public(rsa_key(), "r"), public(ec_key(), "e"))
    return made


def test_tokens_of_both_kinds_of_public_key_and_of_the_secret_are_good(world):
    assert world.takes(rsa_key(), "RS256", "r")
    assert world.takes(ec_key(), "ES256", "e")
    assert world.takes(SECRET, "HS256")


def test_a_key_is_good_for_its_own_algorithm_and_name_only(world):
    assert not world.takes(rsa_key(), "RS512", "r")
    assert not world.takes(rsa_key(), "PS256", "r")
    assert not world.takes(rsa_key(), "RS256", "e")
    assert not world.takes(rsa_key(), "RS256", None)
    assert not world.takes(rsa_key("another"), "RS256", "r")
    assert not world.takes(SECRET, "HS256", "r")


@pytest.mark.parametrize("kid", ["r", "e", None])
def test_a_public_key_is_never_taken_for_a_secret(world, kid):
    key = rsa_key() if kid == "r" else ec_key()
    public_key = key.public_key()
    texts = [
        public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(public(key, kid)).encode(),
    ]
    for text in texts:
        assert not world.takes_token(signed_by_bytes(text, kid))


def signed_by_bytes(secret, kid):
    """HS256 by hand: PyJWT refuses to sign with what looks like a public key."""
    import hmac

    from jwt.utils import base64url_encode as encode

    head = {"alg": "HS256", "typ": "JWT", **({} if kid is None else {"kid": kid})}
    text = b".".join(encode(json.dumps(part).encode()) for part in (head, {"sub": "ann", "exp": NOW + 60}))
    return b".".join((text, encode(hmac.digest(secret, text, "sha256")))).decode()


def test_tokens_without_a_signature_are_refused(world):
    for kid in ("r", "e", None):
        assert not world.takes(None, "none", kid)


def test_a_key_that_is_added_is_found_and_one_that_is_taken_out_is_refused(world):
    assert world.takes(rsa_key(), "RS256", "r")
    world.publish(public(ec_key(), "e"), public(rsa_key("next"), "next"))
    assert world.takes(rsa_key("next"), "RS256", "next"), "an unknown kid makes it look again at once"
    world.ticks = 2.0
    assert not world.takes(rsa_key(), "RS256", "r"), "although the token was remembered"
    assert world.takes(ec_key(), "ES256", "e")


def test_unknown_kids_do_not_make_it_read_the_file_all_the_time(world, monkeypatch):
    reads = []
    monkeypatch.setattr("serving.keys.read_jwks", lambda path: reads.append(path) or read_jwks(path))
    for number in range(50):
        assert not world.takes(rsa_key(), "RS256", f"made up {number}")
    assert len(reads) == 2
    world.ticks = 2.0
    assert not world.takes(rsa_key(), "RS256", "made up")
    assert len(reads) == 3


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": []}', '{"keys": [7]}', '{"keys": [{"kty": "RSA"}]}'])
def test_a_file_that_makes_no_sense_leaves_the_keys_before_and_is_counted(world, text):
    assert world.takes(rsa_key(), "RS256", "r")
    world.path.write_text(text)
    world.ticks = 2.0
    assert world.takes(rsa_key(), "RS256", "r")
    assert "topshelf_key_failures_total 1.0" in world.metrics.exposition().decode()


def test_a_file_that_comes_late_is_found(tmp_path):
    world = World(tmp_path / "jwks.json")
    assert not world.takes(ec_key(), "ES256", "e")
    assert world.takes(SECRET, "HS256")
    world.publish(public(ec_key(), "e"))
    world.ticks = 2.0
    assert world.takes(ec_key(), "ES256", "e")


@pytest.mark.parametrize(
    "entry",
    [
        public(rsa_key(), "k", use="enc"),
        public(rsa_key(), "k", alg="RS512"),
        public(rsa_key("short", 1024), "k"),
        {**json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key())), "kid": "k"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k"},
        {name: value for name, value in public(rsa_key(), "k").items() if name != "kid"},
    ],
    ids=["for encryption", "another algorithm", "short", "another curve", "a secret", "without a name"],
)
def test_keys_for_anything_else_are_left_out(world, entry):
    world.publish(entry, public(ec_key(), "e"))
    assert set(read_jwks(world.path)) == {"e"}
    world.publish(entry)
    with pytest.raises(ConfigError, match="no RSA or P-256 key"):
        read_jwks(world.path)


def test_a_file_with_a_private_key_or_a_name_twice_is_refused(world):
    world.publish({**json.loads(RSAAlgorithm.to_jwk(rsa_key())), "kid": "k"})
    with pytest.raises(ConfigError, match="private key"):
        read_jwks(world.path)
    world.publish(public(ec_key(), "k"), public(rsa_key(), "k"))
    with pytest.raises(ConfigError, match="twice"):
        read_jwks(world.path)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_jwks(world.path.with_name("missing"))
