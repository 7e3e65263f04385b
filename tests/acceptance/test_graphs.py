"""The graphs of contrib/ draw what a real Icinga wrote: in Graphite, Icinga Web and InfluxDB.

Each query of the dashboard for Grafana is asked of InfluxDB, as Grafana would ask it: Grafana is in
no package of Debian. Each curve for Graphite is drawn by graphite-web and by Icinga Web's module.

CQD_PICTURES=DIRECTORY keeps the pictures of a simulated day; one is in docs/.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
import urllib.error
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from day import FAILING_FROM, FAILING_UNTIL, NIGHTLY_END, NIGHTLY_START, Check, checks
from graph_lab import GRAPHITE_MODULE, GraphLab
from graphite_templates import Template, templates
from portal_simulator import PASSWORD, STATUS_PATH, USERNAME, PortalSimulator
from private_daemons import missing_program

HOST = "cqd.example.com"  # its dots are something else in Graphite
IN_GRAPHITE = "icinga2.cqd_example_com.services.{}.cqd_integration"
DASHBOARD = Path(__file__).parent.parent.parent / "contrib" / "grafana" / "cqd-dashboard.json"
TEMPLATES = {template.name: template for template in templates()}

SCENARIOS: dict[str, dict[str, object]] = {
    "healthy": {},
    "late": {},
    "failing": {},
    "recovered": {},
    "stuck": {},
    "never-yet": {},
    "no-date": {},
    "clock-behind": {},
    "basic": {"username": USERNAME, "password": PASSWORD, "insecure": True},
    "with-every-limit": {
        "data_warning": "2h",
        "data_critical": "4h",
        "running_critical": "3h",
        "integration_warning": "20m:30m",  # a range
    },
    "failed-integration": {},
    "http-503": {},  # nothing to draw
    "day": {},
}
"""Each is a service; these are its variables, less their prefix."""

DAY = datetime.now(timezone.utc).date() - timedelta(days=1)
MIDNIGHT = int(datetime(DAY.year, DAY.month, DAY.day, tzinfo=timezone.utc).timestamp())

Values = dict[str, dict[str, float]]
"""Of each label: the value and the limits that are numbers, by their names in the databases."""


def values_of(performance_data: list[str]) -> Values:
    values: Values = {}
    for item in performance_data:
        label, _, rest = item.partition("=")
        fields = dict(zip(("value", "warn", "crit"), rest.split(";")))
        values[label] = {
            name: float(text.rstrip("s"))
            for name, text in fields.items()
            if re.fullmatch(r"-?[0-9.]+s?", text)
        }
    return values


@pytest.fixture(scope="module")
def lab() -> Iterator[GraphLab]:
    missing = missing_program(
        *("carbon-cache", "graphite-manage", "influxd"),
        *("chromium", "icingadb", "php", "redis-server"),
    )
    if missing or not GRAPHITE_MODULE.exists():
        pytest.skip(f"{missing or 'icingaweb2-module-graphite'} is not installed")
    place = tempfile.TemporaryDirectory(prefix="graph-lab-")
    with place as name, PortalSimulator(zone=timezone.utc) as portal:
        directory = Path(name)
        objects = f'object Host "{HOST}" {{ check_command = "dummy" }}\n'
        for service, given in SCENARIOS.items():
            played = "healthy" if service == "with-every-limit" else service
            variables: dict[str, object] = {
                "url": f"{portal.url}/{played}{STATUS_PATH}",
                "timezone": "UTC",
                **given,
            }
            if service == "failed-integration":
                saved = directory / "saved.json"
                saved.write_text(failed_integration(datetime.now(timezone.utc)), encoding="utf-8")
                variables = {"input": str(saved), "timezone": "UTC"}
            assignments = "\n".join(
                f"vars.cqd_integration_{key} = {json.dumps(value)}"
                for key, value in variables.items()
            )
            objects += f"""
                object Service "{service}" {{
                    host_name = "{HOST}"
                    check_command = "cqd_integration"
                    enable_active_checks = false
                    max_check_attempts = 1
                    {assignments}
                }}
                """
        with GraphLab(directory, objects) as running:
            yield running


def failed_integration(now: datetime) -> str:
    """What no scenario of the simulator has."""

    def timestamp(ago: int) -> str:
        return (now - timedelta(seconds=ago)).strftime("%m/%d/%Y %H:%M:%S")

    return json.dumps(
        {
            "LastSuccessIntegrations": [timestamp(1500)],
            "LastSuccessCubeProcessings": [timestamp(1400)],
            "LastFailedIntegrations": [timestamp(600)],
            "LastFailedCubeProcessings": None,
            "LastDataIntegrationStart": timestamp(700),
            "LastCubeProcessingStart": timestamp(1490),
        }
    )


@pytest.fixture(scope="module")
def perfdata(lab: GraphLab) -> dict[str, Values]:
    """What Icinga knows of each service, once both databases have it."""
    results = {
        service: lab.icinga.check(f"{HOST}!{service}") for service in SCENARIOS if service != "day"
    }
    known = {service: values_of(each["performance_data"]) for service, each in results.items()}
    wanted = sum((points_of(service, [values]) for service, values in known.items()), Counter())

    def in_graphite() -> bool:
        return drawn_points(lab, "*") == wanted

    def in_influxdb() -> bool:
        found = lab.ask_influxdb('SELECT last("value") FROM "cqd_integration" GROUP BY *')
        return len(found) == sum(map(len, known.values()))

    def send() -> None:
        """The same points, of the same time: no more, if they are there."""
        for service, each in results.items():
            lab.icinga.ask(
                "actions/process-check-result",
                type="Service",
                service=f"{HOST}!{service}",
                exit_status=int(each["exit_status"]),
                plugin_output=each["output"],
                performance_data=each["performance_data"],
                execution_start=each["execution_start"],
                execution_end=each["execution_end"],
            )

    lab.wait_for(in_graphite, send)
    lab.wait_for(in_influxdb, send)
    return known


def points_of(service: str, values: Iterable[Values]) -> Counter[str]:
    """How many points Graphite must have for each metric of a service."""
    return Counter(
        f"{IN_GRAPHITE.format(service)}.perfdata.{label}.{field}"
        for each in values
        for label, fields in each.items()
        for field in fields
    )


def drawn_points(lab: GraphLab, service: str, **period: object) -> Counter[str]:
    """How many it has."""
    found: Counter[str] = Counter()
    for field in ("value", "warn", "crit"):
        for series in draw_soon(lab, f"{IN_GRAPHITE.format(service)}.perfdata.*.{field}", **period):
            found[series["target"]] = sum(value is not None for value, _ in series["datapoints"])
    return +found  # less those without any


def draw(lab: GraphLab, *targets: str, **parameters: object) -> list[dict[str, Any]]:
    """The curves as numbers."""
    period = {"from": int(time.time()) - 1800, **parameters}
    drawn: list[dict[str, Any]] = json.loads(
        lab.render(target=targets, format="json", noCache=1, **period)
    )
    return drawn


def draw_soon(lab: GraphLab, *targets: str, **parameters: object) -> list[dict[str, Any]]:
    """The same; nothing while carbon creates a file, which graphite-web answers with 500."""
    try:
        return draw(lab, *targets, **parameters)
    except urllib.error.HTTPError as error:
        if error.code != 500:
            raise
        return []


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def as_grafana_asks(query: str, service: str, period: str = "time >= now() - 30m") -> str:
    """The query, with what Grafana puts in place of variables and macros."""
    replaced = {"$hostname": HOST, "$service": service, "$timeFilter": period, "$__interval": "5m"}
    for macro, value in replaced.items():
        query = query.replace(macro, value)
    assert "$" not in query
    return query


def only_series(lab: GraphLab, query: str) -> list[float]:
    """The values of the one series, or none."""
    series = lab.ask_influxdb(query)
    assert len(series) <= 1
    return [row[1] for one in series for row in one["values"] if row[1] is not None]


def test_scenarios_have_all_labels_and_limits(perfdata: dict[str, Values]) -> None:
    """So every query and every curve below has data in one of them."""
    known = {
        (label, field)
        for values in perfdata.values()
        for label, fields in values.items()
        for field in fields
    }
    assert perfdata["http-503"] == {}
    drawn = {
        (curve.label, curve.field) for template in TEMPLATES.values() for curve in template.curves
    }
    assert drawn == known


@pytest.mark.parametrize("service", sorted(SCENARIOS.keys() - {"day"}))
def test_queries_of_the_dashboard_find_what_icinga_wrote(
    lab: GraphLab, perfdata: dict[str, Values], service: str
) -> None:
    asked = set()
    for panel in panels():
        for target in panel["targets"]:
            [(field, label)] = re.findall(r'max\("(\w+)"\).* "metric" = \'(\w+)\'', target["query"])
            asked.add((label, field))
            value = perfdata[service].get(label, {}).get(field)
            expected = [] if value is None else [value]
            assert only_series(lab, as_grafana_asks(target["query"], service)) == expected
    assert {
        (label, field) for label, fields in perfdata[service].items() for field in fields
    } <= asked


def test_variables_of_the_dashboard_list_hosts_and_services(
    lab: GraphLab, perfdata: dict[str, Values]
) -> None:
    variables = json.loads(DASHBOARD.read_text(encoding="utf-8"))["templating"]["list"]
    queries = {variable["name"]: variable["query"] for variable in variables}
    [hosts] = lab.ask_influxdb(as_grafana_asks(queries["hostname"], ""))
    assert hosts["values"] == [["hostname", HOST]]
    [services] = lab.ask_influxdb(as_grafana_asks(queries["service"], ""))
    drawn = {service for service, values in perfdata.items() if values}
    assert {name for _, name in services["values"]} - {"day"} == drawn


@pytest.mark.parametrize("service", sorted(SCENARIOS.keys() - {"day"}))
def test_curves_for_graphite_are_what_icinga_wrote(
    lab: GraphLab, perfdata: dict[str, Values], service: str
) -> None:
    for template in TEMPLATES.values():
        targets = [curve.target(IN_GRAPHITE.format(service)) for curve in template.curves]
        drawn = {
            series["target"]: [value for value, _ in series["datapoints"] if value is not None]
            for series in draw(lab, *targets)
        }
        expected = {
            curve.name: [pytest.approx(perfdata[service][curve.label][curve.field] * curve.factor)]
            for curve in template.curves
            if curve.field in perfdata[service].get(curve.label, {})
        }
        assert {name: values for name, values in drawn.items() if values} == expected


@pytest.mark.parametrize("service", ["with-every-limit", "failed-integration", "http-503"])
def test_module_of_icinga_web_shows_the_graphs(
    lab: GraphLab, perfdata: dict[str, Values], service: str
) -> None:
    """Those that have data, each once, and none of its own for what it finds no template for."""
    expected = [
        template.name
        for template in TEMPLATES.values()
        if any(curve.field in perfdata[service].get(curve.label, {}) for curve in template.curves)
    ]
    query = f"host.name={HOST}&name={service}&graphs_limit=-1"
    page = lab.get_from_web(f"icingadb/service?{query}").decode()
    assert list(dict.fromkeys(re.findall(r"template=([\w-]+)", page))) == expected
    for name in expected:
        assert picture_of_module(lab, service, name).startswith(b"\x89PNG")


def picture_of_module(lab: GraphLab, service: str, template: str) -> bytes:
    query = f"host.name={HOST}&service.name={service}&template={template}"
    return lab.get_from_web(f"graphite/graph/service?{query}&start=-1800&width=440&height=220")


# --- a day ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def day(lab: GraphLab) -> dict[str, Check]:
    """The checks of the day by their time, once Icinga has written them all."""
    of_the_day = list(checks(DAY))

    def send() -> None:
        for check in of_the_day:
            moment = check.moment.timestamp()
            lab.icinga.ask(
                "actions/process-check-result",
                type="Service",
                service=f"{HOST}!day",
                exit_status=check.code,
                plugin_output=check.text,
                performance_data=check.perfdata,
                execution_start=time.time(),  # Icinga drops what began before its newest result
                execution_end=moment,  # what the databases are told
            )

    wanted = points_of("day", [values_of(check.perfdata) for check in of_the_day])
    query = f'SELECT "value" FROM cqd_integration WHERE "service" = \'day\' AND {period_of_day()}'
    streak = query + " AND \"metric\" = 'cube_streak'"

    def is_written() -> bool:
        return drawn_points(lab, "day", **graphite_day()) == wanted and len(
            only_series(lab, streak)
        ) == len(of_the_day)

    send()
    lab.wait_for(is_written, send)
    return {f"{check.moment:%H:%M}": check for check in of_the_day}


def period_of_day() -> str:
    return f"time >= {MIDNIGHT}s AND time < {MIDNIGHT + 86400}s"


def graphite_day() -> dict[str, object]:
    """Graphite's period begins after `from`, and ends with `until`."""
    return {"from": MIDNIGHT - 1, "until": MIDNIGHT + 86399, "tz": "UTC"}


def test_day_has_its_phases_in_both_databases(lab: GraphLab, day: dict[str, Check]) -> None:
    states = [day[moment].code for moment in ("00:30", "03:30", "08:00", "13:30", "14:00", "20:00")]
    assert states == [0, 2, 0, 2, 1, 0]
    queries = {target["query"] for panel in panels() for target in panel["targets"]}
    for template in TEMPLATES.values():
        for curve in template.curves:
            written = [
                values_of(check.perfdata).get(curve.label, {}).get(curve.field)
                for check in day.values()
            ]
            expected = [value for value in written if value is not None]
            [query] = [
                query
                for query in queries
                if f'"{curve.field}"' in query and f"'{curve.label}'" in query
            ]
            assert only_series(lab, as_grafana_asks(query, "day", period_of_day())) == expected
            target = curve.target(IN_GRAPHITE.format("day"))
            drawn = draw(lab, target, **graphite_day())
            in_graphite = [value for series in drawn for value, _ in series["datapoints"]]
            assert [value for value in in_graphite if value is not None] == [
                pytest.approx(value * curve.factor) for value in expected
            ]


def test_picture_of_the_day(lab: GraphLab, day: dict[str, Check], tmp_path: Path) -> None:
    """What docs/graphs.md shows: three graphs under the names of the phases."""
    place = Path(os.environ.get("CQD_PICTURES", tmp_path))
    shown = ("cqd-integration-age", "cqd-cube-age", "cqd-cube-failures")
    for name in shown:
        (tmp_path / f"{name}.png").write_bytes(picture_of_day(lab, TEMPLATES[name]))
    page = tmp_path / "day.html"
    page.write_text(page_of_day(*(f"{name}.png" for name in shown)), encoding="utf-8")
    lab.photograph(page.as_uri(), place / "day.png", f"{WIDTH},{BAND + len(shown) * HEIGHT}")
    assert (place / "day.png").read_bytes().startswith(b"\x89PNG")

    query = f"host.name={HOST}&name=day&graph_start={MIDNIGHT}&graph_end={MIDNIGHT + 86400}"
    url = f"{lab.web}/icingadb/service?{query}"
    lab.photograph(url, place / "icingaweb-day.png", "1440,720")


WIDTH, HEIGHT, BAND = 900, 190, 26
LEFT, RIGHT = 74, 890  # where graphite-web begins and ends the day in a picture of that width


def picture_of_day(lab: GraphLab, template: Template) -> bytes:
    targets = [curve.target(IN_GRAPHITE.format("day")) for curve in template.curves]
    look = {"bgcolor": "white", "fgcolor": "black", "width": WIDTH, "height": HEIGHT}
    fixed = {"lineMode": "connected", "xFormat": "%H:%M", "format": "png", **look}
    return lab.render(target=targets, **template.parameters, **fixed, **graphite_day())


def page_of_day(*pictures: str) -> str:
    """The pictures, one below the other, and above them where in the day each phase is."""

    def place(hour: float) -> float:
        return LEFT + (RIGHT - LEFT) * hour / 24

    nightly = [moment.hour + moment.minute / 60 for moment in (NIGHTLY_START, NIGHTLY_END)]
    failing = [moment.hour + moment.minute / 60 for moment in (FAILING_FROM, FAILING_UNTIL)]
    phases = [
        (0, nightly[0], "#e2f2e4", "healthy"),
        (nightly[0], nightly[1], "#dbe9f7", "long nightly run"),
        (nightly[1], failing[0], "#e2f2e4", "healthy"),
        (failing[0], failing[1], "#fadadd", "cube fails"),
        (failing[1], 24, "#e2f2e4", "healthy"),
    ]
    bands = "".join(
        f'<span style="left:{place(start):.0f}px;width:{place(end) - place(start):.0f}px;'
        f'background:{color}">{text}</span>'
        for start, end, color, text in phases
    )
    images = "".join(f'<img src="{picture}">' for picture in pictures)
    return (
        "<!DOCTYPE html><style>body{margin:0;background:white;font:11px sans-serif}"
        f"div{{height:{BAND}px;position:relative}}img{{display:block}}"
        "span{position:absolute;top:3px;height:20px;line-height:20px;text-align:center;"
        f"white-space:nowrap}}</style><div>{bands}</div>{images}"
    )
