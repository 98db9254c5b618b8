"""`topshelf serve`, `topshelf token USER` and `topshelf recs USER`."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import click
from rich.table import Table

from cli.context import Context, pass_context, set_option
from conf.errors import ConfigError, PermanentError, RetryableError
from serving.auth import MAX_MATURITY, SCOPES, check_user_id, make_token
from serving.keys import jwks_path, read_jwks
from serving.secrets import our_claims, token_secret

PATIENT_MS = 60_000
"""For a person, who would rather wait than see a list without their session."""
EXPLANATIONS = {
    "absent": "{user} has no list in the store",
    "failed": "the store failed while the list of {user} was looked up",
    "late": "the store did not answer in time for {user}",
}


@click.command()
@set_option
@pass_context
def serve(obj: Context) -> None:
    """Start the HTTP service under gunicorn, in the foreground, until Ctrl-C.

    It needs nothing but the store and the artefacts: it starts before the first publication, and follows each new
    generation without a restart. Address, workers and threads are the settings serving.*.
    """
    from serving.launch import prepare

    token_secret(obj.settings)  # made before the workers start; a bad one is a message here instead of a dead worker
    jwks = jwks_path(obj.settings)
    if jwks is not None:
        read_jwks(jwks)  # likewise
    launch = prepare(obj.settings, obj.rules, os.environ)
    obj.console.print(f"Serving on [bold]{launch.url}[/bold] (Ctrl-C stops it). Try:", soft_wrap=True)
    url = f"{launch.url}/api/v1/recommendations?limit=5"
    header = "Authorization: Bearer $(topshelf token USER)"
    obj.console.print(f'  curl -H "{header}" "{url}"', soft_wrap=True, markup=False)
    sys.stdout.flush()
    os.execve(launch.command[0], launch.command, launch.environment)  # this process becomes gunicorn


@click.command()
@click.argument("user")
@click.option("--scope", type=click.Choice(SCOPES), default="user", show_default=True, help="What it may do.")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), help="Good for so long [serving.token_hours].")
@click.option("--maturity-limit", type=click.IntRange(0, MAX_MATURITY), help="Show nothing above it, as for a child.")
@click.option("--region", help="Show only what is licensed there.")
@click.option("--tier", help="Show only what this subscription tier has.")
@set_option
@pass_context
def token(
    obj: Context,
    user: str,
    scope: str,
    hours: float | None,
    maturity_limit: int | None,
    region: str | None,
    tier: str | None,
) -> None:
    """Print a bearer token for USER, and nothing else, so that it can be used in $(…).

    A token with the scope service may also read any user's recommendations. What a token says of maturity, region and
    tier tightens the user's own profile, and never widens it. It is signed with HS256, by serving.token_secret.
    """
    settings = obj.settings
    hours = settings.serving.token_hours if hours is None else hours
    claims = {**our_claims(settings), "maturity_limit": maturity_limit, "region": region, "tier": tier}
    try:
        click.echo(make_token(user, token_secret(settings), obj.now(), hours, scope, claims))
    except ValueError as error:
        raise ConfigError(str(error)) from error


@click.command()
@click.argument("user")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="Items to show.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer of the API, as JSON.")
@set_option
@pass_context
def recs(obj: Context, user: str, limit: int, as_json: bool) -> None:
    """Print what USER would be recommended now.

    Reads the store directly, with the code of the service and without a running one.
    """
    try:
        check_user_id(user)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    answer, outcome = _recommend(obj, user, limit)
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False, indent=1))
        return
    if outcome != "found":
        why = EXPLANATIONS[outcome].format(user=user)
        obj.console.print(f"{why}: this is the fallback, tier {answer['source']}.", style="yellow", markup=False)
    obj.console.print(_table(user, answer))


def _recommend(obj: Context, user: str, limit: int) -> tuple[dict[str, Any], str]:
    from serving.answers import new_request_id, recommendations
    from serving.follower import Follower
    from serving.lookup import Lookup
    from serving.metrics import Metrics
    from serving.recommender import Recommender
    from serving.request import Request
    from stores.opening import open_sessions, open_store

    settings, metrics = obj.settings, Metrics()
    with open_store(settings) as store:
        follower = Follower(store, settings.artefacts_path, settings.serving.follow_seconds, metrics)
        follower.poll()
        if follower.snapshot is None:
            failed = PermanentError if follower.lasting else RetryableError
            raise failed(f"there is nothing to recommend: {follower.problem}")
        sessions = open_sessions(settings)
        patient = settings.serving.model_copy(update={"answer_ms": PATIENT_MS})
        lookup = Lookup(store, sessions, patient, metrics)
        asked = Request(user_id=user, limit=limit, seed=new_request_id())
        page = Recommender(lookup, obj.rules, time.time, metrics).home(follower.snapshot, asked)
        sessions.close()
    answer: dict[str, Any] = json.loads(recommendations(page, asked.seed))
    return answer, page.outcome.value


def _table(user: str, answer: dict[str, Any]) -> Table:
    table = Table(
        title=f"Recommendations for {user} · {answer['source']} · generation {answer['generation']} "
        f"· model {answer['model_version']}",
        title_justify="left",
    )
    table.add_column("#", justify="right")
    table.add_column("title", overflow="fold")
    table.add_column("year", justify="right")
    table.add_column("genres", overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("reason", overflow="fold")
    for rank, item in enumerate(answer["recommendations"], start=1):
        facts = item["metadata"]
        year = "" if facts["year"] is None else str(facts["year"])
        cells = (item["title"], year, ", ".join(facts["genre"]), f"{item['score']:.3f}", item["reason"])
        table.add_row(str(rank), *(_plain(cell) for cell in cells))
    return table


def _plain(text: str) -> str:
    """Titles may hold square brackets, which rich would read as markup."""
    from rich.markup import escape

    return escape(text)
