"""The manual page: what it has to tell, and that what it tells is so.

Whether it is written well, mandoc and man say in acceptance/test_shells.py.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from man import page

from check_cqd_integration import __version__
from check_cqd_integration.options import build_parser, parse

TOOL = Path(__file__).parents[2] / "tools" / "man.py"
SECTIONS = [
    *("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "STATES AND LIMITS", "LOGGING IN"),
    *("EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SECURITY", "SEE ALSO"),
]


def plain(text: str) -> str:
    """Return the text of a page without the marks of its language."""
    text = re.sub(r"\\f[BRI]|\\&", "", text)
    for mark, character in ((r"\-", "-"), (r"\(aq", "'"), (r"\(ti", "~"), (r"\e", "\\")):
        text = text.replace(mark, character)
    return text


def test_sections() -> None:
    assert re.findall("^[.]SH (.*)", page(), re.MULTILINE) == SECTIONS


def test_options_are_those_of_the_plugin_in_their_groups() -> None:
    told = plain(page())
    expected = []
    for group in filter(lambda group: group._group_actions, build_parser()._action_groups):
        expected.append(f".SS {str(group.title).capitalize()}")
        for action in group._group_actions:
            value = f" {action.metavar}" if action.metavar else ""
            expected += [".TP", ", ".join(action.option_strings) + value]
            lines = told.partition(f".TP\n{expected[-1]}\n")[2]
            assert " ".join(lines.split()).startswith(str(action.help))
    at_line_start = re.findall(r"^(?:[.]SS .*|[.]TP\n-.*)", told, re.MULTILINE)
    assert "\n".join(at_line_start) == "\n".join(expected)


def test_default_limits_are_those_of_the_options() -> None:
    """In the order of the options, a row for each pair."""
    table = page().partition("WARNING   CRITICAL\n")[2].partition(".fi")[0]
    told = [re.split("  +", line)[1:] for line in table.splitlines()]
    defaults = [
        re.findall(r"\(default: (.*?)\)", action.help or "")[0]
        for action in build_parser()._actions
        if re.fullmatch("--.+-(warning|critical)", action.option_strings[-1])
    ]
    assert told == [list(pair) for pair in zip(defaults[::2], defaults[1::2])]


def test_every_option_that_is_mentioned_exists() -> None:
    known = {name for action in build_parser()._actions for name in action.option_strings}
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", plain(page())))
    assert mentioned <= known | {"--streak-"}  # of --streak-*


def test_examples_are_command_lines() -> None:
    section = plain(page()).partition("\n.SH EXAMPLES\n")[2].partition("\n.SH ")[0]
    examples = re.findall(r"^[.]nf\n(.*?)^[.]fi", section, re.MULTILINE | re.DOTALL)
    assert len(examples) == 6
    for example in examples:
        program, *options = shlex.split(example.replace("\\\n", ""))
        assert program == "check_cqd_integration"
        assert parse(options)


@pytest.mark.parametrize(
    "name", ["CQD_PASSWORD", "TZ", "KRB5CCNAME", "SSL_CERT_FILE", "SSL_CERT_DIR"]
)
def test_environment(name: str) -> None:
    _, _, section = page().partition("\n.SH ENVIRONMENT\n")
    assert re.search(rf"^[.]TP\n[.]B.* {name}\b", section.partition("\n.SH ")[0], re.MULTILINE)


def test_same_sources_and_date_make_the_same_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1420070400")
    target = tmp_path / "new" / "page.1"
    subprocess.run([sys.executable, TOOL, target], check=True)
    assert target.read_text(encoding="utf-8") == page()
    [head] = re.findall("^[.]TH .*", page(), re.MULTILINE)
    assert f'1 2015-01-01 "check_cqd_integration {__version__}"' in head
    assert "@" not in re.sub(r"@(EXAMPLE|REALM|10m)", "", page())
