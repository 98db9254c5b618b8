"""`topshelf rules`: what a change of the rules would do, before it is switched on."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import Context, pass_context, set_option
from conf.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cli.replaying import Logged, Moved, Report, Side
    from conf.rules import Rules

SHOWN_ITEMS = 10
REPORT_SECONDS = 5.0
SOURCE = click.Path(dir_okay=False, path_type=Path)
CANNOT = (
    "Not logged, so taken as if nothing: what a token said of maturity, region and subscription tier. Made with what "
    "is there now: the catalogue's takedowns, and sessions as far as they still go back."
)


@click.group()
def rules() -> None:
    """Check a file of rules, and see what it would do to pages that were shown.

    The rules in force are those of the setting serving.rules_file. A service reads them when it starts.
    """


@rules.command()
@click.argument("file", type=SOURCE)
@set_option
@pass_context
def check(context: Context, file: Path) -> None:
    """Check that FILE is a file of rules.

    Says which key is wrong and how to mend it; exit code 2 then. Genres and items that the rules name and the
    newest catalogue on this machine does not have are told of, and no error: a rule may be there before its item.

    \b
    topshelf rules check new.yaml
    """
    from conf.rules import load_rules

    made = load_rules(file)
    click.echo(f"{file} is a file of rules")
    unknown = _unknown(context, made)
    if unknown:
        click.echo(f"not in the catalogue: {', '.join(unknown)}", err=True)


@rules.command()
@click.option("--rules", "file", required=True, type=SOURCE, help="The new rules.")
@click.option(
    "--hours", default=24.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="Hours back."
)
@click.option("--pages", default=2000, show_default=True, type=click.IntRange(min=1), help="Pages, at most: a sample.")
@click.option("--users", type=click.IntRange(min=1), help="Only pages of so many users, drawn evenly.")
@click.option("--seed", type=int, help="Of what is drawn.  [default: the setting `seed`]")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as a JSON object.")
@set_option
@pass_context
def replay(
    context: Context, file: Path, hours: float, pages: int, users: int | None, seed: int | None, as_json: bool
) -> None:
    """Make pages that were shown again, under the rules in force and under new ones, and compare.

    Takes the first home pages of the last hours from the table served, and makes each anew as of the moment it was
    shown: from the user's rows of the generation served then, the events that were logged by then, the same seed.
    Nothing is written, and no service is asked.

    The first line says how many of the pages come out under the rules in force exactly as they were shown. Where that
    is low, do not trust the rest. What cannot be had any more: rows of generations that have left the store (three are
    kept; the nearest stands in), what sessions have forgotten since, and what a user's token said of maturity, region
    and tier. With rules for subscription tiers, every page is one of an unknown tier: it gets what all of them get.

    \b
    topshelf rules replay --rules new.yaml
    topshelf rules replay --rules new.yaml --hours 3 --json
    """
    from cli.replaying import Maker, compare, snapshots
    from conf.rules import load_rules
    from jobs.served import waiting
    from stores.opening import open_sessions, open_store

    new, settings = load_rules(file), context.settings
    not_there_yet = waiting(settings.shown_path)
    logged, total = _logged(context, hours, pages, users, settings.seed if seed is None else seed)
    if not logged:
        raise DataError(f"no home page of the last {hours:g} hours is in the table served{_yet(not_there_yet)}")
    with open_store(settings) as store, closing(open_sessions(settings)) as sessions:
        control = store.read_control()
        if control is None:
            raise DataError("the store has no control record: run `topshelf run`")
        worlds = snapshots(control, settings.artefacts_path)
        old, changed = (Maker(store, sessions, settings.serving, each) for each in (context.rules, new))
        report = compare(logged, worlds, old, changed, _progress(len(logged)))
    if as_json:
        about = {"hours": hours, "in_the_table": total, "not_there_yet": not_there_yet, "trusted": report.trusted}
        click.echo(json.dumps({**about, **asdict(report)}, ensure_ascii=False, indent=1))
        return
    _print(context, report, total, hours, not_there_yet)


def _logged(context: Context, hours: float, pages: int, users: int | None, seed: int) -> tuple[list[Logged], int]:
    """A sample of the pages, by time, and how many there are."""
    from cli.query import Query
    from cli.replaying import Logged

    since = context.now().timestamp() - hours * 3600
    everybody = "NULL" if users is None else str(users)
    # Evenly drawn, and the same each time: a digest of the id decides. Only numbers go into the text.
    query = f"""
        WITH pages AS (
            SELECT request_id, user_id, item_ids, generation, epoch(timestamp) AS moment FROM served
            WHERE context = 'home' AND "offset" = 0 AND user_id IS NOT NULL
              AND date >= CAST(to_timestamp({since!r}) AS DATE) AND epoch(timestamp) >= {since!r}
        ), drawn AS (
            SELECT DISTINCT user_id FROM pages ORDER BY md5('{seed}:' || user_id), user_id LIMIT {everybody}
        )
        SELECT *, (SELECT count(*) FROM pages) AS total FROM pages SEMI JOIN drawn USING (user_id)
        ORDER BY md5('{seed}:' || request_id), request_id LIMIT {pages}
    """  # noqa: S608
    found = Query(context.settings.lake_root, context.rules).ask(query).fetchall()
    made = [Logged(request, user, tuple(items), number, moment) for request, user, items, number, moment, _ in found]
    return sorted(made, key=lambda page: (page.timestamp, page.request_id)), found[0][-1] if found else 0


def _progress(pages: int) -> Callable[[int], None]:
    """Says on standard error how far it is, now and then."""
    said = time.monotonic()

    def done(number: int) -> None:
        nonlocal said
        if time.monotonic() - said >= REPORT_SECONDS:
            said = time.monotonic()
            click.echo(f"{number:,} of {pages:,} pages made again", err=True)

    return done


def _yet(waiting: int) -> str:
    return (
        f"; {waiting:,} pages of all kinds are logged and not there yet: `topshelf run` moves them" if waiting else ""
    )


def _print(context: Context, report: Report, total: int, hours: float, waiting: int) -> None:
    from cli.output import table

    def say(text: str, style: str | None = None) -> None:
        context.console.print(text, style=style, markup=False, soft_wrap=True)

    pages = report.pages
    say(f"{report.reproduced:,} of {pages:,} pages ({report.reproduced / pages:.1%}) come out as they were shown.")
    if not report.trusted:
        say("That is low: this replay is not to be trusted.", "bold red")
    if report.other_generation:
        say(f"{report.other_generation:,} pages are made from another generation's lists: their own is gone.")
    if report.acted_since:
        say(f"{report.acted_since:,} pages are of users who did something since, which their sessions may not undo.")
    say(CANNOT)
    say(f"Pages: {pages:,} of {total:,} of the last {hours:g} hours{_yet(waiting)}.\n")
    say(
        f"{report.changed:,} pages ({report.changed / pages:.1%}) change. Of a page's items {report.overlap:.1%} stay "
        f"on it, of its first five {report.overlap_first:.1%}."
    )
    context.console.print(table(["", "old", "new"], _rows(report.old, report.new), [1, 2]))
    for title, items in (("Most gained", report.gained), ("Most lost", report.lost)):
        if items:
            context.console.print(_moved(f"{title}, {len(items):,} items", items))


def _rows(old: Side, new: Side) -> Iterator[tuple[str, str, str]]:
    yield "pages shorter than shown", f"{old.short:,}", f"{new.short:,}"
    yield "primary genres a page", f"{old.genres:.2f}", f"{new.genres:.2f}"
    for tier in {**old.positions, **new.positions}:
        yield f"places: {tier}", f"{old.positions.get(tier, 0):.1%}", f"{new.positions.get(tier, 0):.1%}"
    for rule in {**old.removed, **new.removed}:
        yield f"candidates removed: {rule}", f"{old.removed.get(rule, 0):,}", f"{new.removed.get(rule, 0):,}"


def _moved(title: str, items: list[Moved]) -> Any:
    from cli.output import table

    body = [(one.item_id, one.title, f"{one.old:,}", f"{one.new:,}") for one in items[:SHOWN_ITEMS]]
    return table(["item", "title", "pages, old", "pages, new"], body, [2, 3], title)


def _unknown(context: Context, made: Rules) -> list[str]:
    """Genres and items that the rules name and the newest catalogue here does not have; none where there is none."""
    from serving.artefacts import Artefacts

    artefact = Artefacts(context.settings.artefacts_path).newest()
    if artefact is None:
        return []
    tiers = made.tiers.values()
    genres = {name for tier in tiers for name in tier.genres}.difference(artefact.genre_names)
    items = {name for tier in tiers for name in tier.items} | {one.item_id for one in made.promotions.items}
    return [f"genre {name}" for name in sorted(genres)] + sorted(items.difference(artefact.item_ids))
