"""What README.md says is what the plugin does."""

from __future__ import annotations

import pytest
from expected import AT_DOCUMENTED_MOMENT, Run, url_of
from portal_simulator import PortalSimulator
from readme import README, rendered
from test_integration_log import masked

from check_cqd_integration.options import build_parser


def test_options_and_examples_are_those_of_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(README.parent)
    text = README.read_text(encoding="utf-8")
    assert text == rendered(text)


def test_every_option_is_explained_in_the_options_table() -> None:
    text = README.read_text(encoding="utf-8")
    for action in build_parser()._actions:
        assert f"| `{', '.join(action.option_strings)}" in text


def test_reason_of_a_failure_is_that_of_the_simulator(run: Run, portal: PortalSimulator) -> None:
    _, out = run("-u", url_of(portal), "-v", *AT_DOCUMENTED_MOMENT)
    shown = f"$ check_cqd_integration --hostname portal.example.com -v\n{masked(out)}```"
    assert shown in README.read_text(encoding="utf-8")
