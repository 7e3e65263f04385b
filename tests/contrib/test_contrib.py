"""The files under contrib/ know every option of the plugin, and no other.

test_director_basket.py tests the basket for Icinga Director.
"""

from __future__ import annotations

import json
import re
import shlex
from configparser import ConfigParser
from datetime import date
from pathlib import Path
from typing import Any

import check_command
import director_basket
import graphite
import pytest
import readme
from dashboard import MEASUREMENT, rendered
from day import answers, checks
from expected import LABELS
from graphite_templates import TEMPLATES, templates
from man import page
from nagiosplugin import Range
from readme import DOCS, README

from check_cqd_integration.options import build_parser, parse

PROGRAM = "check_cqd_integration"
CONTRIB = README.parent / "contrib"
COMMAND = check_command.rendered(check_command.COMMAND_FILE.read_text(encoding="utf-8"))
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
        for found in ARGUMENT.finditer(COMMAND)
    }


def test_help_manual_and_manual_page_have_every_option() -> None:
    texts = (
        build_parser().format_help(),
        readme.rendered((DOCS / "options.md").read_text(encoding="utf-8")),
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
    switches = {name for name, action in CHECKED.items() if not action.metavar} - {"--verbose"}
    off = {name for name in CHECKED if f"\tvars.{variable_of(name)} = false\n" in COMMAND}
    assert off == switches


def test_icinga_is_more_patient_than_the_plugin() -> None:
    """By default: Icinga gives a minute."""
    default = OPTIONS["--timeout"].default
    assert f"\tvars.cqd_integration_timeout = {default:g}\n" in COMMAND
    assert "\ttimeout = 1m\n" in COMMAND
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


def test_all_services_run_equally_often_with_icinga_director_and_nagios() -> None:
    """With a login or without. Each was changed once without a test that failed."""
    settings = ("check_interval", "retry_interval", "max_check_attempts")
    icinga = (CONTRIB / "icinga" / "cqd_services.conf").read_text(encoding="utf-8")
    found = {name: re.findall(rf"\b{name} = (\w+)", icinga) for name in settings}
    assert list(found.values()) == [["10m"], ["5m"], ["2"]]
    assert icinga.count('\timport "cqd-integration"\n') == icinga.count("apply Service") == 2
    assert icinga.count("\tcommand_endpoint = host.vars.cqd_endpoint") == 2
    basket = director_basket.basket()
    [template] = basket["ServiceTemplate"].values()
    assert [template[name] for name in settings] == ["600", "300", "2"]
    assert basket["Command"]["cqd_integration"]["timeout"] == "60"

    text = (CONTRIB / "nagios" / "cqd_integration.cfg").read_text(encoding="utf-8")
    objects = [
        dict(line.split(None, 1) for line in body.strip().splitlines())
        for body in re.findall(r"^define \w+ \{\n(.*?)^\}", text, re.M | re.S)
    ]
    [service] = [found for found in objects if "name" in found]
    assert [service[name] for name in settings] == ["10", "5", "2"]
    assert "notification_options" not in text  # generic-service has UNKNOWN
    services = [found for found in objects if "service_description" in found]
    assert {found["use"] for found in services} == {service["name"]} == {"cqd-service"}
    assert not {setting for found in services for setting in found} & set(settings)
    [patience] = re.findall(r"check_nrpe .* -t (\d+) ", text)
    assert OPTIONS["--timeout"].default < int(patience) < 60


# --- one limit alone ------------------------------------------------------------------------------

ONE_LIMIT = [
    # stage, the limit, what the integration and the cube are graded by
    ("all", {"critical": "45m"}, {"integration": ("1800", "2700"), "cube": ("", "2700")}),
    ("all", {"warning": "10m"}, {"integration": ("600", "3600"), "cube": ("600", "7200")}),
    ("integration", {"critical": "45m"}, {"integration": ("1800", "2700")}),
    ("integration", {"warning": "1h"}, {"integration": ("3600", "3600")}),
    ("cube", {"critical": "30m"}, {"cube": ("", "1800")}),
    ("cube", {"warning": "90m"}, {"cube": ("5400", "7200")}),
]


def ages(argv: list[str]) -> dict[str, tuple[Range, Range]]:
    """Return the limits of the ages that the plugin reads in these arguments."""
    limits = parse(argv).limits
    return {stage: limits[stage] for stage in ("integration", "cube") if stage in limits}


def ranges(expected: dict[str, tuple[str, str]]) -> dict[str, tuple[Range, Range]]:
    return {
        stage: (Range(warning), Range(critical)) for stage, (warning, critical) in expected.items()
    }


@pytest.mark.parametrize(("stage", "limit", "expected"), ONE_LIMIT)
def test_command_of_nagios_takes_one_limit(
    stage: str, limit: dict[str, str], expected: dict[str, tuple[str, str]]
) -> None:
    text = (CONTRIB / "nagios" / "cqd_integration.cfg").read_text(encoding="utf-8")
    lines = [
        line for line in re.findall(r"command_line +\$USER1\$/(.*)", text) if "'$ARG4$'" in line
    ]
    of_stage = [line for line in lines if ("--stage" in line) == (stage != "all")]
    if stage != "all":
        of_stage = [line for line in of_stage if f"--stage {stage} " in line]
    assert len(of_stage) == (1 if stage != "all" else 4)
    macros = {
        "$ARG1$": "portal.example.com",
        "$ARG2$": "UTC",
        "$ARG3$": limit.get("warning", ""),
        "$ARG4$": limit.get("critical", ""),
        "$ARG5$": "",
        "$USER11$": "somebody@EXAMPLE.COM",
        "$USER12$": "password",
        "$USER13$": "keytab",
    }
    for line in of_stage:
        filled = re.sub(r"\$\w+\$", lambda macro: macros[macro[0]], line)
        assert ages(shlex.split(filled)[1:]) == ranges(expected)


def test_every_command_of_nagios_takes_more_options() -> None:
    """Last, so that they hold, and unquoted, so that they are several."""
    text = (CONTRIB / "nagios" / "cqd_integration.cfg").read_text(encoding="utf-8")
    commands = dict(re.findall(r"command_name +(\w+)\n +command_line +(.*)\n", text))
    without = {name for name, line in commands.items() if not line.endswith(" $ARG5$")}
    assert without == {"check_cqd_integration_nrpe"}
    [example] = re.findall(r"^ .*check_command .*!!!(.*)", text, re.M)
    macros = {"$ARG1$": "portal.example.com", "$ARG2$": "UTC", "$ARG5$": example}
    line = re.sub(
        r"\$\w+\$", lambda found: macros.get(found[0], ""), commands["check_cqd_integration"]
    )
    options = parse(shlex.split(line)[1:])
    assert options.url == "http://portal.example.com:8080/QoEDataService/IntegrationLog/Status"


def test_commands_of_nagios_log_in_by_each_scheme() -> None:
    text = (CONTRIB / "nagios" / "cqd_integration.cfg").read_text(encoding="utf-8")
    commands = dict(re.findall(r"command_name +(\w+)\n +command_line +(.*)\n", text))
    logins = {
        name.rpartition("_")[2]: re.sub(r".*'\$ARG4\$' | \$ARG5\$", "", line)
        for name, line in commands.items()
        if "$USER11$" in line
    }
    assert logins == {
        "password": "--username '$USER11$' --password-file '$USER12$'",
        "kerberos": "--username '$USER11$' --password-file '$USER12$' --auth kerberos",
        "keytab": "--username '$USER11$' --keytab '$USER13$'",
    }


def test_readme_tells_where_each_file_goes() -> None:
    text = (CONTRIB / "README.md").read_text(encoding="utf-8")
    files = {path.relative_to(CONTRIB).as_posix() for path in FILES if path.suffix != ".md"}
    assert set(re.findall(r"\]\(([\w/-]+\.(?!md)\w+)\)", text)) == files


@pytest.mark.parametrize("of_director", [False, True], ids=["icinga", "director"])
@pytest.mark.parametrize(("stage", "limit", "expected"), ONE_LIMIT)
def test_command_of_icinga_takes_one_limit(
    of_director: bool,
    stage: str,
    limit: dict[str, str],
    expected: dict[str, tuple[str, str]],
) -> None:
    """As Icinga fills it: what has no variable is left out, an empty one is passed as it is."""
    if of_director:
        of_command = director_basket.basket()["Command"]["cqd_integration"]["arguments"]
        macros = {name: argument.get("value", "") for name, argument in of_command.items()}
    else:
        macros = {name: found.get("value", "").strip('"') for name, found in arguments().items()}
    given = {"hostname": "portal.example.com", "stage": stage, "cube_warning": "", **limit}
    variables = {f"$cqd_integration_{name}$": value for name, value in given.items()}
    argv = [
        word
        for option, macro in macros.items()
        if isinstance(macro, str) and macro in variables
        for word in (option, variables[macro])
    ]
    assert len(argv) == 2 * len(given)
    assert ages(argv) == ranges(expected)


def test_command_of_nsclient() -> None:
    parser = ConfigParser(interpolation=None)
    parser.read(CONTRIB / "windows" / "nsclient.ini", encoding="utf-8")
    [(name, command)] = parser["/settings/external scripts/scripts"].items()
    program, *argv = command.split()
    assert (name, program) == (PROGRAM, f"scripts\\{PROGRAM}.exe")
    assert parse(argv).timeout < 60  # NSClient++ ends a script then


# --- graphs ---------------------------------------------------------------------------------------

DRAWN = list(templates(graphite.rendered()))


@pytest.fixture
def dashboard() -> Any:
    return json.loads(rendered())


def asked(panel: dict[str, Any]) -> list[tuple[str, str]]:
    """The label and the field of each query."""
    found = [
        re.search(r"SELECT max\(\"(\w+)\"\) .* AND \"metric\" = '(\w+)' AND ", target["query"])
        for target in panel["targets"]
    ]
    return [(match[2], match[1]) for match in found if match]


def test_graphs_show_every_label_and_every_limit_that_can_be_drawn(dashboard: Any) -> None:
    expected = {(label, "value") for label in LABELS} | {
        (label, field)
        for label, row in LABELS.items()
        for field in ("warn", "crit")
        if row.can_be_drawn
    }
    in_grafana = [pair for panel in dashboard["panels"] for pair in asked(panel)]
    in_graphite = [(curve.label, curve.field) for template in DRAWN for curve in template.curves]
    assert sorted(in_grafana) == sorted(in_graphite) == sorted(expected)
    for panel in dashboard["panels"]:
        rows = [LABELS[label] for label, _ in asked(panel)]
        has_range = any(row.warning and not row.can_be_drawn for row in rows)
        assert ("Its limit is a range" in panel["description"]) == has_range


def test_every_panel_is_complete(dashboard: Any) -> None:
    panels = dashboard["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    assert len({panel["title"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    for panel in panels:
        assert panel["type"] == "timeseries"
        assert panel["description"]
        defaults = panel["fieldConfig"]["defaults"]
        counts = any(label.endswith("_streak") for label, _ in asked(panel))
        assert defaults["unit"] == ("none" if counts else "s")
        assert defaults["thresholds"]["steps"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
        aliases = [target["alias"] for target in panel["targets"]]
        overrides = panel["fieldConfig"]["overrides"]
        assert [override["matcher"]["options"] for override in overrides] == aliases
        assert len(asked(panel)) == len(panel["targets"])
        for target in panel["targets"]:
            assert f'FROM "{MEASUREMENT}" ' in target["query"]
            assert target["rawQuery"] is True
            assert target["resultFormat"] == "time_series"


def test_dashboard_is_of_no_installation(dashboard: Any) -> None:
    """It can be imported anywhere: what is chosen there, is chosen with a variable."""
    text = json.dumps(dashboard)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", text)) == variables | {"timeFilter", "__interval"}
    assert set(re.findall(r'"uid": "([^"]+)"', text)) == {"${datasource}", "cqd-integration"}
    assert not {"id", "version", "iteration", "gnetId", "__inputs"} & dashboard.keys()
    assert not re.search(r'"current"|"url"|https?:', text)


def test_templates_for_graphite_are_those_of_the_dashboard(dashboard: Any) -> None:
    titles = [template.parameters["title"] for template in DRAWN]
    assert titles == [panel["title"] for panel in dashboard["panels"]]
    command = re.findall(r'^object CheckCommand "(\w+)"', COMMAND, re.M)
    for template, panel in zip(DRAWN, dashboard["panels"]):
        assert [template.check_command] == command == [MEASUREMENT]
        assert len({curve.name for curve in template.curves}) == len(template.curves)
        assert {(curve.label, curve.field) for curve in template.curves} == set(asked(panel))
        for curve in template.curves:
            unit = template.parameters["vtitle"]
            factor = {"minutes": 1 / 60, "hours": 1 / 3600}.get(unit, 1)
            assert curve.factor == pytest.approx(factor)
    # The module takes what follows a colon for a wildcard, and drops it.
    for line in graphite.rendered().splitlines():
        assert line.startswith(";") or ":" not in line


def test_carbon_keeps_what_icinga_writes() -> None:
    metric = "icinga2.cqd_example_com.services.cqd.cqd_integration.perfdata.cube_age.value"
    for name in ("storage-schemas.conf", "storage-aggregation.conf"):
        parser = ConfigParser(interpolation=None)
        parser.read(TEMPLATES.with_name(name), encoding="utf-8")
        [section] = parser.sections()
        assert re.search(parser[section]["pattern"], metric)


@pytest.mark.parametrize("day", [date(2026, 11, 24), date(2024, 2, 29)])
def test_day_has_its_phases(day: date) -> None:
    found = {f"{check.moment:%H:%M}": check for check in checks(day)}
    assert len(found) == len(list(answers(day))) == 288
    states = [(moment, check.code) for moment, check in found.items()]
    changes = [now for before, now in zip([("", -1), *states], states) if before[1] != now[1]]
    assert changes == [
        ("00:00", 0),
        ("01:50", 1),  # the long run has begun at 01:15
        ("02:20", 2),
        ("04:20", 0),
        ("11:10", 1),  # the cube fails
        ("11:40", 2),
        ("13:50", 1),  # the newest failure is less than 30 minutes ago
        ("14:10", 0),
    ]
    assert "cube_streak=5;0;2;0" in found["13:30"].perfdata
