"""`topshelf rollout status|advance|hold|abort` and `topshelf lift`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC
from typing import TYPE_CHECKING

import click

from cli.context import Context, pass_context, set_option

if TYPE_CHECKING:
    from stores.control import Control
    from stores.rollout import Rollout

SHOWN = 10
HISTORY = "SELECT noted_at, version, state, traffic_percent, note FROM rollouts ORDER BY noted_at DESC"


@click.group()
def rollout() -> None:
    """See how far a new model has come, and drive it by hand.

    A new model that passed its gate begins with a shadow, whose lists nobody is served, and goes on in the steps of
    rollout.steps, each when users do no less with it than with the model before. Every change is one small write to the
    store's control record, which each service follows within serving.follow_seconds.
    """


@rollout.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object: rollout, history.")
@set_option
@pass_context
def status(context: Context, as_json: bool) -> None:
    """Show the rollout that is under way, and what happened to the newest models."""
    from cli.query import Query
    from jobs.tables import ROLLOUTS

    now = _control(context).rollout
    lake = Query(context.settings.lake_root, context.rules)
    found = lake.ask(HISTORY).to_arrow_table().to_pylist()[:SHOWN] if lake.written(ROLLOUTS) else []
    if as_json:
        from cli.output import jsonable

        history = [{name: jsonable(value) for name, value in row.items()} for row in found]
        click.echo(json.dumps({"rollout": None if now is None else asdict(now), "history": history}, indent=1))
        return
    say = context.console.print
    if now is None:
        say("no rollout is under way: everybody is served the deployed model", markup=False)
    else:
        steps = " → ".join(["shadow", *(f"{step}%" for step in now.steps)])
        where = "its shadow" if now.step == 0 else f"{now.percent}% of users"
        say(f"{now.model_version}: {where}, {now.state}, since {now.since[:16]} ({steps})", markup=False)
        if now.note:
            say(now.note, style="dim", markup=False)
    if found:
        from cli.output import table, wide

        body = [
            (
                row["noted_at"].astimezone(UTC).strftime("%m-%d %H:%M"),
                row["version"],
                row["state"],
                f"{row['traffic_percent']}%",
                row["note"],
            )
            for row in found
        ]
        wide(context.console).print(table(["when", "model", "state", "users", "why"], body, [3]))


@rollout.command()
@set_option
@pass_context
def advance(context: Context) -> None:
    """Take the next step now, whatever the numbers say; from a hold, too."""
    since = context.now().isoformat()
    _change(context, lambda known: known.advanced(since, "advanced by hand"))


@rollout.command()
@set_option
@pass_context
def hold(context: Context) -> None:
    """Stay at this step until `advance`. Harm to CTR or watch time still ends the rollout."""
    _change(context, lambda known: known.held("held by hand"))


@rollout.command()
@click.option("--why", default="taken back by hand", show_default=True, help="Kept in the history.")
@set_option
@pass_context
def abort(context: Context, why: str) -> None:
    """Take the model back: everybody is served the one before, at once. The next hour retires it."""
    _change(context, lambda known: known.aborted(why))


def _change(context: Context, step: Callable[[Rollout], Rollout]) -> None:
    from conf.errors import PermanentError
    from stores.changing import change_control
    from stores.opening import open_store

    def changed(control: Control) -> Control:
        if control.rollout is None:
            raise PermanentError("no rollout is under way; `topshelf rollout status` shows what happened last")
        return control.with_rollout(step(control.rollout))

    with open_store(context.settings) as store:
        after = change_control(store, changed, "nothing has been published yet")[1].rollout
    assert after is not None  # changed
    where = "nobody is served it" if not after.percent else f"{after.percent}% of users are served it"
    context.console.print(f"{after.model_version}: {after.state}, {where}", markup=False)


def _control(context: Context) -> Control:
    from conf.errors import PermanentError
    from stores.opening import open_store

    with open_store(context.settings) as store:
        control = store.read_control()
    if control is None:
        raise PermanentError("nothing has been published yet: run `topshelf run`")
    return control


@click.command()
@click.option("--variant", default="champion", show_default=True, help="Whose users: champion or challenger.")
@click.option("--beside", default="popular", show_default=True, help="Beside whose: popular, champion or challenger.")
@click.option("--days", default=28, show_default=True, type=click.IntRange(min=1), help="Of the newest outcomes.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@set_option
@pass_context
def lift(context: Context, variant: str, beside: str, days: int, as_json: bool) -> None:
    """Tell how much more users do with the lists than with the popular ones, which a share of users get for good.

    The intervals hold at all times at once: they may be looked at as often as one likes, and acted on at any time.
    """
    from cli.query import Query
    from jobs.outcomes import MOMENTS
    from jobs.outcomes import lift as lift_of

    newest = f"(SELECT * FROM outcomes WHERE date > (SELECT max(date) FROM outcomes) - {days})"  # noqa: S608  # an int
    lake = Query(context.settings.lake_root, context.rules)
    rows = lake.ask(MOMENTS.format(outcomes=newest)).to_arrow_table().to_pylist()
    limits = context.settings.rollout
    found = lift_of(rows, variant, beside, limits.alpha, limits.margin)
    if found is None:
        groups = ", ".join(f"{row['assigned']} ({row['n']:,} users)" for row in rows)
        known = f"there are some of {groups}" if groups else "no user was shown anything yet, or no hour has run since"
        raise click.ClickException(f"there are no outcomes of both {variant} and {beside}: {known}")
    if as_json:
        changes = {
            name: {key: value if math.isfinite(value) else None for key, value in asdict(each).items()}
            for name, each in found.changes.items()
        }
        counts = {"users": found.users, "other_users": found.other_users}
        click.echo(json.dumps({"variant": variant, "beside": beside, **counts, **changes}, indent=1))
        return
    from cli.output import table

    body = [
        (name.replace("_", " "), f"{each.rate:.4f}", f"{each.other:.4f}", f"{each.value:+.1%}",
         f"{each.low:+.1%} to {each.high:+.1%}")
        for name, each in found.changes.items()
    ]  # fmt: skip
    share = round((1 - limits.alpha) * 100)
    context.console.print(table(["", variant, beside, "change", f"{share}% interval"], body, [1, 2, 3]))
    context.console.print(f"{found.users:,} users beside {found.other_users:,}", style="dim", markup=False)
