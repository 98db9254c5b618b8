"""Where settings come from, later ones over earlier ones.

base.yaml → the machine's profile (local.yaml, cluster.yaml) → historical.yaml, when the data is historical →
dataset.yaml in the home folder (written by an import) → settings.yaml in the home folder (yours) →
environment (TOPSHELF_SECTION__KEY) → `--set section.key=value`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from conf.errors import ConfigError
from conf.section import Section
from conf.settings import Settings

CONF_DIR = Path(__file__).parent
PREFIX = "TOPSHELF_"
SHORT_NAMES = {"TOPSHELF_STORE": "store.kind"}
NOT_SETTINGS = {"TOPSHELF_HOME", "TOPSHELF_PROFILE"}
PROFILES = ("local", "cluster")
DATASET_FILE = "dataset.yaml"
USER_FILE = "settings.yaml"
SECTIONS = frozenset(
    name
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
)

Tree = dict[str, Any]


@dataclass(frozen=True)
class Loaded:
    settings: Settings
    sources: dict[str, str]
    """For every dotted key: the file, variable or flag that set it."""


def load(env: Mapping[str, str], overrides: Iterable[str] = (), conf_dir: Path = CONF_DIR) -> Loaded:
    """Merge every layer and validate the result.

    Raises:
        ConfigError: a key is unknown, a value wrong or a file unreadable; the text names the key, the layer and the
            fix.
    """
    home = Path(env.get("TOPSHELF_HOME", "var")).absolute()
    machine = env.get("TOPSHELF_PROFILE", "local")
    if machine not in PROFILES:
        raise ConfigError(f"TOPSHELF_PROFILE={machine!r} is not a profile: choose one of {', '.join(PROFILES)}")
    dataset = _read(home / DATASET_FILE)
    late = [
        (f"{DATASET_FILE} (written by the import)", dataset),
        (str(home / USER_FILE), _read(home / USER_FILE)),
        *_from_environment(env),
        *_from_flags(overrides),
    ]
    profile = None
    for name, tree in late:
        _check_sections(tree, name)
        profile = tree.get("data", {}).get("profile", profile)
    early = [("base.yaml", _read(conf_dir / "base.yaml")), (f"{machine}.yaml", _read(conf_dir / f"{machine}.yaml"))]
    if profile == "historical":
        early.append(("historical.yaml", _read(conf_dir / "historical.yaml")))

    merged: Tree = {"home": home}
    sources = {"home": "TOPSHELF_HOME" if "TOPSHELF_HOME" in env else "default"}
    for name, tree in [*early, *late]:
        _merge(merged, tree, name, sources)
    try:
        return Loaded(Settings.model_validate(merged), sources)
    except ValidationError as error:
        raise ConfigError(_explain(error, sources)) from None


def _read(path: Path) -> Tree:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; make it a readable file, or remove it") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}; correct it there") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} must hold a mapping of sections, found {type(tree).__name__}")
    # A section whose lines are all commented out is null in YAML.
    return {key: value for key, value in tree.items() if value is not None or key not in SECTIONS}


def _check_sections(tree: Tree, name: str) -> None:
    for key in SECTIONS & tree.keys():
        if not isinstance(tree[key], dict):
            raise ConfigError(
                f"{key} is a section and holds settings (got {tree[key]!r} from {name}): "
                f"write {key}: {{name: value}} there; `topshelf config {key}` lists its settings"
            )


def _from_environment(env: Mapping[str, str]) -> Iterable[tuple[str, Tree]]:
    for name in sorted(env):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        key = SHORT_NAMES.get(name) or name.removeprefix(PREFIX).lower().replace("__", ".")
        yield name, _tree(key, env[name])


def _from_flags(overrides: Iterable[str]) -> Iterable[tuple[str, Tree]]:
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {text!r}: write it as --set section.key=value")
        yield f"--set {key.strip()}", _tree(key.strip(), value)


def _tree(key: str, value: str) -> Tree:
    """`a.b` and a text to `{"a": {"b": value}}`, the text read as YAML so that numbers are numbers."""
    try:
        tree: Any = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"the value of {key} is not valid YAML: {value!r}") from error
    for part in reversed(key.split(".")):
        tree = {part: tree}
    return dict(tree)


def _merge(into: Tree, tree: Tree, name: str, sources: dict[str, str], path: str = "") -> None:
    for key, value in tree.items():
        dotted = f"{path}{key}"
        if isinstance(value, dict) and isinstance(into.get(key, {}), dict):
            into.setdefault(key, {})
            if not value:
                sources.setdefault(dotted, name)
            _merge(into[key], value, name, sources, f"{dotted}.")
        else:
            into[key] = value
            sources[dotted] = name


def _explain(error: ValidationError, sources: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors():
        key = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            lines.append(
                f"{key} is not a setting (from {sources.get(key, 'unknown')}): `topshelf config` lists them all"
            )
        elif problem["type"] == "missing":
            lines.append(f"{key} is not set: set it in settings.yaml, or with --set {key}=…")
        elif not key:
            lines.append(problem["msg"].removeprefix("Value error, "))
        else:
            got = "" if "secret" in key else f" (got {problem['input']!r} from {sources.get(key, 'unknown')})"
            lines.append(
                f"{key}: {problem['msg'].removeprefix('Value error, ')}{got}; change it there, or with --set {key}=…"
            )
    return "; ".join(lines)
