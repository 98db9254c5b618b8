"""How fast and how large: every benchmark one after the other, each in a process of its own.

\b
    python -m bench                      # reduced sizes
    python -m bench --full               # the stated sizes
    python -m bench --of growth --of hour

Prints the JSON lines of each as it ends with them; progress goes to standard error, at its end what each took. The exit
code is 1 where one of them failed; the others run all the same. How good the lists are is `make relevance`'s, and what
they are worth `python -m bench.ctr`'s.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass

import click

from bench.lines import progress


@dataclass(frozen=True)
class Sizes:
    """Arguments of one benchmark."""

    reduced: tuple[str, ...] = ()
    full: tuple[str, ...] = ()


BENCHMARKS = {
    "scoring": Sizes(("--items", "20000", "--users", "4000", "--rounds", "1")),
    "growth": Sizes(("--rounds", "1"), ("--full",)),
    "hour": Sizes(
        ("--users", "5000", "--items", "2000", "--hours", "1"),
        ("--users", "1000000", "--items", "100000", "--hours", "24"),
    ),
    "prepare": Sizes(
        ("--events", "250000", "--events", "1000000", "--rounds", "1"),
        ("--events", "25000000", "--events", "100000000", "--rounds", "1"),
    ),
    "training": Sizes(("--users", "2000", "--items", "1000", "--rounds", "1"), ("--users", "20000", "--items", "5000")),
    "publish": Sizes(("--stores", "embedded", "--rounds", "1")),
    "serving": Sizes(("--seconds", "2", "--rounds", "1")),
    "search": Sizes(("20000",)),
}


@click.command(help=__doc__)
@click.option("--of", "chosen", type=click.Choice(list(BENCHMARKS)), multiple=True, help="Which; all by default.")
@click.option("--full", is_flag=True, help="The stated sizes.")
def main(chosen: tuple[str, ...], full: bool) -> None:
    took, failed = dict[str, float](), list[str]()
    for name in chosen or tuple(BENCHMARKS):
        sizes = BENCHMARKS[name]
        command = [sys.executable, "-m", f"bench.{name}", *(sizes.full if full else sizes.reduced)]
        progress(f"{name}: {' '.join(command[1:])}")
        began = time.monotonic()
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        took[name] = time.monotonic() - began
    for name, seconds in took.items():
        progress(f"{name:<10}{seconds:8.0f} s{'  failed' if name in failed else ''}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(prog_name="python -m bench")
