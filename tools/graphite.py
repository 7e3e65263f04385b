"""Templates for the module graphite of Icinga Web, from the panels of the dashboard for Grafana."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dashboard import MEASUREMENT, ORANGE, PANELS, RED, Panel

TEMPLATES = Path(__file__).parents[1] / "contrib" / "icinga" / "graphite" / "cqd_integration.ini"
SERVICE = "$service_name_template$"
"""Stands for icinga2.HOST.services.SERVICE.COMMAND in a filter."""
_COMMENT = """\
; Graphs of check_cqd_integration, for the module graphite of Icinga Web.
;
; The dashed lines are the limits. They need enable_send_thresholds = true in Icinga's
; GraphiteWriter. A limit that is a range, such as 30m: or -5m:5m, has no line: Icinga passes none
; on. A line breaks where more than connectedLimit points are missing: an hour, with one point in
; 5 minutes as in storage-schemas.conf.
;
; No colon in any value: the module would take it for a wildcard, and cut the text there.
"""
_SCALES = {"minutes": "0.0166666667", "hours": "0.000277777778"}
"""From seconds."""


def rendered() -> str:
    """Return the text of cqd_integration.ini as it should be."""
    return _COMMENT + "\n".join("\n".join(_template(panel)) for panel in PANELS)


def _template(panel: Panel) -> Iterator[str]:
    curves = dict(_curves(panel))
    yield from _section(panel, "graph", {"check_command": MEASUREMENT})
    filters = {key: f"{SERVICE}.perfdata.{key}" for key in curves}
    yield from _section(panel, "metrics_filters", filters)
    yield from _section(panel, "urlparams", dict(_parameters(panel)))
    yield from _section(panel, "functions", curves)


def _section(panel: Panel, kind: str, settings: dict[str, str]) -> Iterator[str]:
    yield ""
    yield f"[cqd-{panel.name}.{kind}]"
    for key, value in settings.items():
        yield f'{key.replace(".", "_")} = "{value}"'


def _parameters(panel: Panel) -> Iterator[tuple[str, str]]:
    yield "title", panel.title
    yield "vtitle", panel.axis
    if panel.area:
        yield from (("areaMode", "first"), ("areaAlpha", "0.3"))
    yield "lineWidth", "2"
    if panel.minimum is not None:
        yield "yMin", str(panel.minimum)
    if panel.maximum is not None:
        yield "yMax", str(panel.maximum)
    yield "connectedLimit", "12"


def _curves(panel: Panel) -> Iterator[tuple[str, str]]:
    """Yield LABEL.FIELD and the function that draws it; the limits last, on top of the others."""
    metric = f"scale($metric$, {_SCALES[panel.axis]})" if panel.axis in _SCALES else "$metric$"
    for curve in panel.curves:
        drawn = f"consolidateBy({metric}, 'max')" if panel.peaks else metric
        yield f"{curve.label}.value", _alias(drawn, curve.color, curve.name)
    for curve in (curve for curve in panel.curves if curve.limits):
        yield f"{curve.label}.warn", _alias(f"dashed({metric})", ORANGE, "warning")
        yield f"{curve.label}.crit", _alias(f"dashed({metric})", RED, "critical")


def _alias(drawn: str, color: str, name: str) -> str:
    return f"alias(color({drawn}, '{color}'), '{name}')"
