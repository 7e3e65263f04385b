"""What README.md says is what the plugin does, and the maps of the house have all its rooms."""

from __future__ import annotations

import ast
import re

import pytest
from conftest import AT_DOCUMENTED_MOMENT, Run, url_of
from portal_simulator import PortalSimulator
from readme import README, rendered
from test_log import masked

import check_cqd_integration
from check_cqd_integration.options import build_parser

ROOMS = {path.stem for path in (README.parent / "check_cqd_integration").glob("[!_]*.py")}


def test_options_and_examples_are_those_of_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(README.parent)
    text = README.read_text(encoding="utf-8")
    assert text == rendered(text)


def test_every_option_is_explained_in_the_options_table() -> None:
    text = README.read_text(encoding="utf-8")
    for action in build_parser()._actions:
        assert f"| `{', '.join(action.option_strings)}" in text


def test_map_in_contributing() -> None:
    text = (README.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^[|] (`\w+`(?:, `\w+`)*) [|]", text.partition("Around")[0], re.MULTILINE)
    assert set(re.findall(r"\w+", " ".join(rows))) == ROOMS


def rooms_of_the_package() -> list[str]:
    """Return the rooms as the package lists them, the highest first."""
    _, _, listed = str(check_cqd_integration.__doc__).partition("::")
    return re.findall(r"^    (\w+)  ", listed, re.MULTILINE)


def test_map_in_the_package() -> None:
    assert set(rooms_of_the_package()) == ROOMS


def test_lower_room_never_imports_a_higher_one() -> None:
    rooms = rooms_of_the_package()
    for place, room in enumerate(rooms):
        source = (README.parent / "check_cqd_integration" / f"{room}.py").read_text("utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.level:
                imported = [node.module] if node.module else [name.name for name in node.names]
                assert not {*imported} & {*rooms[: place + 1]}, room


def test_reason_of_a_failure_is_that_of_the_simulator(run: Run, portal: PortalSimulator) -> None:
    _, out = run("-u", url_of(portal), "-v", *AT_DOCUMENTED_MOMENT)
    shown = f"$ check_cqd_integration --hostname portal.example.com -v\n{masked(out)}```"
    assert shown in README.read_text(encoding="utf-8")
