"""What README.md says is what the plugin does."""

from __future__ import annotations

import pytest
from readme import README, rendered

from check_cqd_integration.options import build_parser


def test_options_and_examples_are_those_of_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(README.parent)
    text = README.read_text(encoding="utf-8")
    assert text == rendered(text)


def test_every_option_is_explained_in_the_options_table() -> None:
    text = README.read_text(encoding="utf-8")
    for action in build_parser()._actions:
        assert f"| `{', '.join(action.option_strings)}" in text
