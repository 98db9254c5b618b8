"""What the README promises exists, links lead somewhere, and nothing of one machine is in a file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cli.main import COMMANDS, main

ROOT = Path(__file__).parents[2]
MAX_LINES = 300
LONGER = {
    "jobs/tables.py": "every schema in one place",
    "LICENSE": "as the Apache Foundation wrote it",
}
GENERATED = {"requirements.lock", "requirements-dev.lock", "docs/tables.md", "docs/settings.md", "docs/commands.md"}
BINARY = {".png", ".jpg", ".ico", ".woff2"}
HOSTS = re.compile(r"https?://[\w.-]*(?:pypi|pythonhosted|artifactory|nexus|mirror)[\w.-]*", re.IGNORECASE)
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:home|Users|root|work|opt/wheels)/\w")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def tracked() -> list[str]:
    """Files that are, or are about to be, in the repository; in an unpacked archive, all but what we make."""
    if not (ROOT / ".git").exists():
        made = (
            ".venv/",
            "var/",
            ".hypothesis/",
            ".mypy_cache/",
            ".ruff_cache/",
            ".pytest_cache/",
            "topshelf.egg-info/",
        )
        names = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file()]
        return sorted(name for name in names if not name.startswith(made) and "__pycache__" not in name)
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted({name for name in listed.stdout.splitlines() if (ROOT / name).is_file()})


def texts(*suffixes: str) -> list[tuple[str, str]]:
    names = [name for name in tracked() if Path(name).suffix not in BINARY]
    return [(name, (ROOT / name).read_text()) for name in names if not suffixes or name.endswith(suffixes)]


def test_no_registry_host_and_no_path_of_one_machine_is_in_a_file() -> None:
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if HOSTS.search(line) or MACHINE_PATHS.search(line)
    ]
    assert found == []


def test_files_stay_short() -> None:
    long = {name: text.count("\n") for name, text in texts(".py", ".md", ".yaml", ".toml", "Makefile")}
    assert {
        name: lines for name, lines in long.items() if lines > MAX_LINES and name not in GENERATED | set(LONGER)
    } == {}


def test_locks_pin_every_package_by_hash() -> None:
    for kind in ("", "-dev", "-bootstrap"):
        name = f"requirements{kind}.lock"
        blocks = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
        assert [block for block in blocks if "==" not in block or "--hash=sha256:" not in block] == [], name


def test_the_development_lock_holds_the_same_versions() -> None:
    runtime, dev = (set(re.findall(r"^\S+==\S+", (ROOT / name).read_text(), re.MULTILINE))
                    for name in ("requirements.lock", "requirements-dev.lock"))  # fmt: skip
    assert runtime - dev == set()


@pytest.mark.parametrize("page", [name for name in tracked() if name.endswith(".md")])
def test_every_relative_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    targets = [target for target in LINK.findall(text) if "://" not in target]
    missing = []
    for target in targets:
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in _anchors(file)):
            missing.append(target)
    assert missing == []


def _anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_the_readme_names_only_commands_that_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = set(re.findall(r"(?:^|`)make ([a-z]+)", readme, re.MULTILINE))
    assert {"run", "test", "check"} <= made <= targets
    called = set(re.findall(r"(?:^|[`(])topshelf ([a-z][a-z-]*)", readme, re.MULTILINE))
    assert {"serve", "ui", "recs", "token", "sql", "import", "run", "config"} <= called <= set(COMMANDS)


def test_the_options_the_readme_shows_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    for name, rest in re.findall(r"^topshelf ([a-z-]+) ?(.*)$", readme, re.MULTILINE):
        command = main.get_command(None, name)  # type: ignore[arg-type]  # the group asks nothing of the context
        assert command is not None
        known = {option for parameter in command.params for option in parameter.opts}
        used = set(re.findall(r"(?<!\S)--[a-z-]+", rest.partition("#")[0]))
        assert used <= known, f"topshelf {name}"
