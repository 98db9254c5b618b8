from __future__ import annotations

from pathlib import Path

import pytest

from conf.errors import ConfigError
from conf.rules import RULES_FILE, load_rules


def test_a_reason_is_worded_from_its_source_and_anchor() -> None:
    reasons = load_rules().reasons
    assert reasons.text("similar", "Inception") == "Because you watched Inception"
    assert reasons.text("genre", "Sci-Fi") == "Because you like Sci-Fi"
    assert reasons.text("trending", None) == "Trending now"


def test_a_lost_anchor_falls_back_on_the_general_words() -> None:
    reasons = load_rules().reasons
    assert reasons.text("similar", None) == reasons.text("ann", None)


def test_an_anchor_with_braces_is_taken_as_it_is() -> None:
    assert load_rules().reasons.text("similar", "{anchor} {x}") == "Because you watched {anchor} {x}"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Because you watched {anchor}", "Because", r"reasons\.similar"),
        ("window: 20", "window: 0", r"diversity\.window"),
        ("  events: 20", "  events: 256", r"session\.events"),
        ("window: 20", "windows: 20", r"diversity\.windows?"),
        ("diversity:", "diversity: [", "not valid YAML"),
        ("positions: [8, 16]", "positions: [8, 21]", r"positions must differ and lie within 1 to .*20"),
        ("positions: [8, 16]", "positions: [8, 8]", "positions must differ"),
        ("  items: []", "  items: [{item_id: m1, slot: 21, contexts: [home]}]", "slot 21 of m1"),
        ("  items: []", "  items: [{item_id: m1, slot: 1, contexts: [cellar]}]", r"promotions\.items\.0\.contexts"),
        ("  items: []", "  items: [{item_id: m1, slot: 1, contexts: [home], until: 2026-01-01}]", "time zone|timezone"),
        ('title: "Top in {anchor}"', 'title: "Top in {genre}"', r"shelves\.4"),
        ('title: "Trending now"}', 'title: "Trending now", rows: 2}', "one shelf of the kind trending"),
        ("share: 0.01", "share: 1.01", r"baseline\.share"),
    ],
)
def test_a_wrong_rule_names_the_file_and_the_key(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "rules.yaml"
    text = RULES_FILE.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=f"rules.yaml.*{says}"):
        load_rules(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the rules file .*none\.yaml"):
        load_rules(tmp_path / "none.yaml")
