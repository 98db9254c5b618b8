"""`topshelf forget`: people who want to be forgotten are, in every place, and there is a proof."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING

import click

from cli.context import Context, pass_context, set_option

if TYPE_CHECKING:
    from jobs.proof import Proof

EXIT_FOUND = 1


@click.command()
@click.argument("users", nargs=-1, metavar="[USER]...")
@click.option("--file", "listed", type=click.File(), help="A file with one user a line; - is standard input.")
@click.option("--check", is_flag=True, help="Remove nothing: search every place again for users who were forgotten.")
@click.option("--json", "as_json", is_flag=True, help="Print the proofs as a JSON list.")
@set_option
@pass_context
def forget(context: Context, users: tuple[str, ...], listed: IO[str] | None, check: bool, as_json: bool) -> None:
    """Forget people: bar them at once, then remove what is known of them from every place, and search for it.

    Services know them no more from their next look on, and nothing brings them back: no load under way, no late event,
    no import of the same files. It ends the older history of every table that held them. It waits for runs under way,
    and later ones wait for it; stopped at any point, the same command goes on. The proof, which names nobody, is in
    the folder `forgotten` of the home folder. docs/privacy.md says what is removed where.

    Exit code 1: something was found that is left; 3: something was away or still being written, run it again.

    \b
    topshelf forget user_17
    topshelf forget --file people.txt --json
    topshelf forget --check user_17
    """
    from cli.erasing import forgetting

    wanted = {*users, *(line.strip() for line in listed or () if line.strip())}
    if not wanted:
        raise click.UsageError("name the users, or a --file of them")
    with forgetting(context, lambda text: click.echo(text, err=True)) as job:
        proofs = job.check(wanted) if check else job.run(wanted)
    if as_json:
        click.echo(json.dumps([{"user": user, **proof.as_fields()} for user, proof in proofs.items()], indent=1))
    else:
        _print(context, proofs)
    if not all(proof.clean for proof in proofs.values()):
        raise click.exceptions.Exit(EXIT_FOUND)


def _print(context: Context, proofs: Mapping[str, Proof]) -> None:
    from cli.output import table

    for user, proof in proofs.items():
        body = [(place.place, f"{place.removed:,}", place.left) for place in proof.places]
        context.console.print(table(["", "removed", "later"], body, [1], user))
        for trace in proof.found:
            context.console.print(f"still there: {trace.place}, {trace.found:,} times", markup=False)
        said = "nothing is left" if proof.clean else "something is left"
        context.console.print(
            f"{user}: {said}; the proof is {context.settings.home}/forgotten/{proof.hash}.json", markup=False
        )
