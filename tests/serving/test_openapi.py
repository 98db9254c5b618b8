"""The OpenAPI document, held against the service: its routes, and what it answers to whatever the document allows."""

from __future__ import annotations

import copy
import re
from types import SimpleNamespace

import jsonschema_rs
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis.generation import GenerationMode

from serving.openapi import DOCUMENT
from serving.schemas import SCHEMAS

OPERATIONS = sorted((method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item)
ASKED = {"Users", "Event", "EventContext", "Events"}
CONFIG = schemathesis.config.SchemathesisConfig.from_dict(
    {"generation": {"allow-extra-parameters": False, "with-security-parameters": False}}
)
"""Unknown parameters are ignored, so they are nothing to refuse; tokens are put on by the test."""
MORE_RULES = {"/api/v1/events", "/api/v1/recommendations", "/api/v1/users/{user_id}/recommendations"}
"""Where what fits the schema may be refused: for its time, or because one parameter needs another."""


def sharpened():
    """The document with nothing allowed in an answer that it does not name, and some ids and times that exist."""
    document = copy.deepcopy(DOCUMENT)
    schemas = document["components"]["schemas"]
    for name in set(SCHEMAS) - ASKED:
        schemas[name]["additionalProperties"] = False
    event = schemas["Event"]["properties"]
    event["item_id"] = {"enum": ["m0", "m5"]}
    event["timestamp"] = {"enum": ["2026-11-23T13:29:00Z", "2026-11-23T12:30:00+01:00"]}
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                if (parameter["in"], parameter["name"]) == ("path", "item_id"):
                    parameter["schema"] = {"enum": ["m0", "m5", "no/such item"]}
    return document


def everything(snapshot, text, limit):
    return SimpleNamespace(item_no=np.arange(12, dtype=np.int32), score=np.ones(12, np.float32), available=True)


@pytest.fixture
def tested(make_client):
    """A client, and the document bound to its app."""
    client = make_client(searcher=SimpleNamespace(search=everything))
    schema = schemathesis.openapi.from_dict(sharpened(), config=CONFIG)
    schema.app = client.app
    return client, schema


def drawn(operation):
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    first, second = (operation.as_strategy(generation_mode=mode) for mode in modes)
    return first | second


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_whatever_is_sent_the_answer_is_one_that_the_document_describes(tested, method, path):
    client, schema = tested
    headers = {"Authorization": f"Bearer {client.world.token('ann', 'service' if '/users/' in path else 'user')}"}
    excluded = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")] if path in MORE_RULES else []
    seen = set()

    @hypothesis_settings(
        max_examples=40,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=drawn(schema[path][method]))
    def run(case):
        answer = case.call_and_validate(headers=headers, excluded_checks=excluded)
        assert re.fullmatch("req_[0-9a-f]{16}", answer.headers["x-request-id"][0])
        seen.add(answer.status_code)

    run()
    assert seen & {200, 202}, f"only {seen}"
    assert max(seen) < 500


def test_every_route_is_in_the_document_and_the_other_way_round(client):
    routes = {
        (method, re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule))
        for rule in client.app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert set(OPERATIONS) == routes
    assert client("/openapi.json", user=None).json == DOCUMENT


def test_an_answer_that_the_document_does_not_describe_would_be_noticed(tested):
    client, schema = tested
    client.app.view_functions["health.alive"] = lambda: {"status": "ok", "colour": "red"}
    case = schema["/healthz"]["GET"].Case()
    with pytest.raises(BaseExceptionGroup, match="distinct failure"):
        case.call_and_validate()


def parts(schema, path="#"):
    """Every schema inside one, itself first."""
    yield path, schema
    for name, inside in schema.get("properties", {}).items():
        yield from parts(inside, f"{path}/{name}")
    if "items" in schema:
        yield from parts(schema["items"], f"{path}/*")


@pytest.mark.parametrize("name", SCHEMAS)
def test_examples_and_defaults_are_true(name):
    for path, part in parts(SCHEMAS[name], name):
        validator = jsonschema_rs.validator_for({**part, "components": {"schemas": SCHEMAS}})
        for example in [*part.get("examples", []), *(part[key] for key in ("default",) if key in part)]:
            assert validator.is_valid(example), path


def test_every_parameter_and_answer_is_explained():
    without = [
        f"{path} {parameter['name']}"
        for path, item in DOCUMENT["paths"].items()
        for operation in item.values()
        for parameter in operation.get("parameters", [])
        if not parameter["description"].endswith(".")
    ]
    assert without == []
    assert [name for name, schema in SCHEMAS.items() if not schema["description"].endswith(".")] == []
