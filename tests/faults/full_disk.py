"""A disk that is full while lists are loaded: `python -m tests.faults.full_disk FOLDER MEGABYTES USERS NOTES`.

FOLDER becomes a small disk of its own, seen by this process and its children only: `disk` says how to run it. NOTES is
a folder elsewhere. The last line of the output is the result, as JSON.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from conf.loading import load
from stores.base import StoreFull
from stores.opening import open_store
from tests.faults.driver import Driver, check_store
from tests.faults.watching import Watch, patient
from tests.faults.world import World

ROUNDS = 2
"""In each of them LMDB has to make its file longer: the rings are not full yet, so there are no pages to use again."""
_MOUNT = 'mount -t tmpfs -o size="$1"m tmpfs "$2" && shift 2 && exec "$@"'


def disk(megabytes: int, folder: Path, *command: str) -> list[str]:
    """A command line that runs `command` with a small disk at `folder`, which is gone when it ends."""
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    return [*own, "sh", "-c", _MOUNT, "sh", str(megabytes), str(folder), *command]


def fill(file: Path) -> None:
    """Until not another byte fits."""
    with file.open("ab", buffering=0) as filler:
        for block in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    filler.write(bytes(block))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def main(folder: str, users: str, notes: str) -> None:
    settings = load({"TOPSHELF_HOME": folder}, ["store.map_size_gb=1"]).settings
    filler, world = Path(folder) / "filler", World(int(users))
    refused = []
    with open_store(settings) as store:
        driver = Driver(store, world)
        driver.publish(0)
        with Watch(patient(settings), world, Path(notes)) as watch:
            for hour in range(1, ROUNDS + 1):
                watch.wait_for()
                fill(filler)
                try:
                    driver.publish(hour)
                except StoreFull as error:
                    refused.append(str(error))
                watch.wait_for()
                check_store(store, world, hour - 1)
                filler.unlink()
                driver.publish(hour)
                driver.check(hour)
            watch.wait_for()
    print(json.dumps({"refused": refused, "found": asdict(watch.found), "recovered": driver.recovered}))


if __name__ == "__main__":
    main(*sys.argv[1:])
