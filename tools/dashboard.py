"""The dashboard for Grafana, from the table of panels below, which graphite.py uses as well.

The queries are InfluxQL, for what Icinga's InfluxdbWriter writes with its own templates: a
measurement of the command's name, the tags hostname, service and metric, the fields value, warn and
crit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any

DASHBOARD = Path(__file__).parents[1] / "contrib" / "grafana" / "cqd-dashboard.json"
MEASUREMENT = "cqd_integration"
QUERY = (
    'SELECT max("FIELD") FROM "cqd_integration" '
    "WHERE \"hostname\" = '$hostname' AND \"service\" = '$service' AND \"metric\" = 'LABEL' "
    "AND $timeFilter GROUP BY time($__interval) fill(null)"
)
"""The greatest of each interval: a peak is what was alerted about."""
SCHEMA = 39  # of Grafana 11.0; newer ones migrate it
BLUE, GREEN, ORANGE, RED = "#1a7dd7", "#22aa77", "#ff8d00", "#ff5566"
_SOURCE = {"type": "influxdb", "uid": "${datasource}"}
_HOUR = 3_600_000  # milliseconds
_RANGE = "Its limit is a range. Icinga passes none on, so there is no line for it."


@dataclass(frozen=True)
class Curve:
    """One label of the perfdata; `limits` says whether its thresholds are drawn, too."""

    label: str
    name: str
    color: str = BLUE
    limits: bool = False


@dataclass(frozen=True)
class Panel:
    """One graph.

    ``name`` and ``axis``, the unit that seconds are turned into, are for Graphite.
    """

    name: str
    title: str
    description: str
    curves: Sequence[Curve]
    axis: str = "minutes"
    unit: str = "s"
    minimum: int | None = 0
    maximum: int | None = None
    peaks: bool = True
    """The greatest value of an interval is the one to look at."""
    area: bool = True
    """Graphite fills the area below the curve, and draws the curve over its limits."""


def _of_each_stage(panel: Panel) -> Iterator[Panel]:
    """Yield the panel of each stage, which STAGE stands for."""
    for stage in ("integration", "cube"):
        yield replace(
            panel,
            name=panel.name.replace("STAGE", stage),
            title=panel.title.replace("STAGE", stage),
            curves=[replace(c, label=c.label.replace("STAGE", stage)) for c in panel.curves],
        )


PANELS = (
    *_of_each_stage(
        Panel(
            "STAGE-age",
            "Age of the STAGE",
            "Time since the newest success. It goes up to 15 minutes and falls back.",
            [Curve("STAGE_age", "since the newest success", limits=True)],
        )
    ),
    *_of_each_stage(
        Panel(
            "STAGE-failures",
            "Failures of the STAGE in a row",
            "Failures since the newest success. The portal lists five at most.",
            [Curve("STAGE_streak", "since the newest success", limits=True)],
            axis="failures",
            unit="none",
            minimum=-1,  # so that neither axis nor curve hides the warning at 0
            maximum=5,
            area=False,
        )
    ),
    *_of_each_stage(
        Panel(
            "STAGE-runs",
            "Runs of the STAGE",
            "How long the run in progress has been going, and how long the last one took.",
            [
                Curve("STAGE_running", "in progress", limits=True),
                Curve("STAGE_duration", "last run took", GREEN),
            ],
        )
    ),
    Panel(
        "data-age",
        "Age of the data in the dashboard",
        "Since the newest integration included in the newest cube. No limit by default.",
        [Curve("data_age", "data", limits=True)],
    ),
    Panel(
        "last-failure",
        "Time since the newest failure",
        f"Nothing if the portal lists no failure. {_RANGE}",
        [
            Curve("integration_last_failure", "integration", GREEN),
            Curve("cube_last_failure", "cube"),
        ],
        axis="hours",
        peaks=False,
        area=False,
    ),
    Panel(
        "clock",
        "Clock of the checking host, minus that of the portal",
        f"Negative if the portal is ahead. {_RANGE}",
        [Curve("clock_skew", "clock skew")],
        axis="seconds",
        minimum=None,
        peaks=False,
        area=False,
    ),
    Panel(
        "response",
        "Response time",
        "Of the portal, from the first step to the last byte.",
        [Curve("response_time", "response time")],
        axis="seconds",
    ),
)


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana exports one, but without ids of an installation."""
    return {
        "title": "CQD integration",
        "uid": "cqd-integration",
        "description": "The data pipeline of a Call Quality Dashboard portal, as Icinga saw it",
        "tags": ["icinga", "cqd"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "graphTooltip": 1,  # the same moment in all panels
        "time": {"from": "now-24h", "to": "now"},
        "refresh": "5m",
        "timezone": "",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": _variables()},
        "panels": [_panel(number, panel) for number, panel in enumerate(PANELS)],
    }


def rendered() -> str:
    """Return the text of cqd-dashboard.json as it should be."""
    return json.dumps(dashboard(), indent=2) + "\n"


def _variables() -> list[dict[str, Any]]:
    values = f'SHOW TAG VALUES FROM "{MEASUREMENT}" WITH KEY = '
    source = {"name": "datasource", "label": "InfluxDB", "type": "datasource", "query": "influxdb"}
    return [
        {**source, "refresh": 1, "hide": 0, "multi": False, "includeAll": False},
        _variable("hostname", "Host", f'{values}"hostname"'),
        _variable("service", "Service", f'{values}"service" WHERE "hostname" = \'$hostname\''),
    ]


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": query,
        "refresh": 2,  # when the time range changes, too
        "sort": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    targets, overrides = [], []
    for curve in panel.curves:
        targets.append(_target(curve.label, "value", curve.name))
        overrides.append(_override(curve.name, curve.color))
        for field, name, color in (("warn", "warning", ORANGE), ("crit", "critical", RED)):
            if curve.limits:
                targets.append(_target(curve.label, field, name))
                overrides.append(_override(name, color, limit=True))
    for target, ref_id in zip(targets, ascii_uppercase):
        target["refId"] = ref_id
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic"},
        "custom": {
            "drawStyle": "line",
            "lineWidth": 2,
            "fillOpacity": 15,
            "showPoints": "auto",
            "spanNulls": _HOUR,  # a longer gap is one: nothing could be graded
        },
        "thresholds": {"mode": "absolute", "steps": [{"color": "green", "value": None}]},
    }
    if panel.minimum is not None:
        defaults["min"] = panel.minimum
    if panel.maximum is not None:
        defaults["max"] = panel.maximum
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": {"x": 12 * (number % 2), "y": 8 * (number // 2), "w": 12, "h": 8},
        "interval": "1m",
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "options": {
            "legend": {
                "displayMode": "list",
                "placement": "bottom",
                "showLegend": True,
                "calcs": ["lastNotNull", "max"],
            },
            "tooltip": {"mode": "multi", "sort": "none"},
        },
        "targets": targets,
    }


def _target(label: str, field: str, name: str) -> dict[str, Any]:
    return {
        "datasource": _SOURCE,
        "rawQuery": True,
        "query": QUERY.replace("LABEL", label).replace("FIELD", field),
        "resultFormat": "time_series",
        "alias": name,
    }


def _override(name: str, color: str, *, limit: bool = False) -> dict[str, Any]:
    properties: list[dict[str, Any]] = [
        {"id": "color", "value": {"mode": "fixed", "fixedColor": color}}
    ]
    if limit:
        properties += [
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [10, 10]}},
            {"id": "custom.lineWidth", "value": 1},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "custom.showPoints", "value": "never"},
        ]
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}
