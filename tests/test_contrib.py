"""The files under contrib/ know every option of the plugin, and no other.

test_director_basket.py tests the basket for Icinga Director.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from man import page
from readme import README

from check_cqd_integration.options import build_parser

PROGRAM = "check_cqd_integration"
CONTRIB = README.parent / "contrib"
COMMAND = CONTRIB / "icinga" / "cqd_integration.conf"
FILES = sorted(path for path in CONTRIB.rglob("*") if path.is_file() and path.suffix != ".pyc")

OPTIONS = {action.option_strings[-1]: action for action in build_parser()._actions}
CHECKED = {
    option: action for option, action in OPTIONS.items() if option not in ("--version", "--help")
}
"""What a check may be given: the others only tell of the plugin, and are UNKNOWN."""

ARGUMENT = re.compile(
    r'^\t\t"(?P<option>--[^"]+)" = \{\n(?P<settings>.*?)^\t\t\}', re.MULTILINE | re.DOTALL
)
SETTING = re.compile(r"^\t\t\t(?P<name>\w+) = (?P<value>.*)$", re.MULTILINE)


def variable_of(option: str) -> str:
    return "cqd_integration_" + option[2:].replace("-", "_")


def arguments() -> dict[str, dict[str, str]]:
    """Return the settings of each argument of the CheckCommand, as they are written."""
    return {
        found["option"]: dict(SETTING.findall(found["settings"]))
        for found in ARGUMENT.finditer(COMMAND.read_text(encoding="utf-8"))
    }


def test_help_readme_and_manual_page_have_every_option() -> None:
    texts = (
        build_parser().format_help(),
        README.read_text(encoding="utf-8"),
        page().replace(r"\-", "-"),
    )
    for text in texts:
        for option in OPTIONS:
            assert re.search(rf"{option}\b(?!-)", text)


def test_check_command_has_every_option() -> None:
    assert list(arguments()) == list(CHECKED)


@pytest.mark.parametrize("option", CHECKED)
def test_argument(option: str) -> None:
    """It has the help text and takes its value from the variable of its name."""
    settings, macro = arguments()[option], f'"${variable_of(option)}$"'
    assert settings.pop("description") == quoted(CHECKED[option].help or "")
    if option == "--verbose":
        assert settings["set_if"] == macro
    elif CHECKED[option].metavar:
        assert settings == {"value": macro}
    else:
        assert settings == {"set_if": macro}


def quoted(text: str) -> str:
    """Return the text as a string of Icinga's configuration."""
    return json.dumps(text, ensure_ascii=False)


def test_every_switch_is_off() -> None:
    text = COMMAND.read_text(encoding="utf-8")
    switches = {name for name, action in CHECKED.items() if not action.metavar} - {"--verbose"}
    off = {name for name in CHECKED if f"\tvars.{variable_of(name)} = false\n" in text}
    assert off == switches


def test_icinga_is_more_patient_than_the_plugin() -> None:
    """By default: Icinga gives a minute."""
    text = COMMAND.read_text(encoding="utf-8")
    default = OPTIONS["--timeout"].default
    assert f"\tvars.cqd_integration_timeout = {default:g}\n" in text
    assert "\ttimeout = 1m\n" in text
    assert default < 60


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_used_that_does_not_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    # A page for people has commands of other programs, too.
    lines = [line for line in text.splitlines() if path.suffix != ".md" or PROGRAM in line]
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", "\n".join(lines)))
    assert used <= {*OPTIONS, "--some-option"}
    variables = set(re.findall(r"\bcqd_integration_\w+", text))
    known = {variable_of(option) for option in [*CHECKED, "--some-option", "--password"]}
    assert variables <= known


def test_intervals_are_those_that_readme_counts_failed_logins_with() -> None:
    """Each was changed once without a test that failed."""
    icinga = (CONTRIB / "icinga" / "cqd_services.conf").read_text(encoding="utf-8")
    for setting in ("check_interval = 35m", "retry_interval = 35m", "max_check_attempts = 1"):
        assert f"\n\t{setting}\n" in icinga
    assert icinga.count('import "cqd-integration-login"') == 2
    assert icinga.count("\tcommand_endpoint = host.vars.cqd_endpoint") == 2
    basket = json.loads((CONTRIB / "icinga" / "director-basket.json").read_text(encoding="utf-8"))
    template = basket["ServiceTemplate"]["CQD integration with login"]
    settings = ("check_interval", "retry_interval", "max_check_attempts")
    assert [template[name] for name in settings] == ["2100", "2100", "1"]
    assert basket["Command"]["cqd_integration"]["timeout"] == "60"

    text = (CONTRIB / "nagios" / "cqd_integration.cfg").read_text(encoding="utf-8")
    objects = [
        dict(line.split(None, 1) for line in body.strip().splitlines())
        for body in re.findall(r"^define \w+ \{\n(.*?)^\}", text, re.M | re.S)
    ]
    [login] = [found for found in objects if found.get("name") == "cqd-service-login"]
    assert [login[name] for name in settings] == ["35", "35", "1"]
    assert "notification_options" not in text  # generic-service has UNKNOWN
    with_login = {o["command_name"] for o in objects if "--username" in o.get("command_line", "")}
    for found in objects:
        if found.get("check_command", "").partition("!")[0] in with_login:
            assert found["use"] == "cqd-service-login"
    [patience] = re.findall(r"check_nrpe .* -t (\d+) ", text)
    assert OPTIONS["--timeout"].default < int(patience) < 60
