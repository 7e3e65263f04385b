"""The contexts that the plugin makes of its options, one by one, and what they make of a value."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from nagiosplugin import Context, Critical, Metric, Resource

from check_cqd_integration.check import build_contexts
from check_cqd_integration.contexts import Finding
from check_cqd_integration.options import parse
from check_cqd_integration.thresholds import NO_LIMITS

STAGES = ("integration", "cube")
WITHOUT_LIMITS = dict.fromkeys(parse(("--input", "-")).limits, NO_LIMITS)
USUAL = {
    "running_grace": 0,
    "no_success_state": Critical,
    "max_skew": 300,
    "unreachable_state": Critical,
}


def context(name: str, **given: Any) -> Context:
    """The context of a metric with these options and limits, named as in what is parsed."""
    limits = {key: given.pop(key, none) for key, none in WITHOUT_LIMITS.items()}
    options = Namespace(limits=limits, **{**USUAL, **given})
    (found,) = (each for each in build_contexts(options, STAGES) if each.name == name)
    return found


def metric(measure: Context, value: Any, uom: str | None = "s") -> Metric:
    return Metric(measure.name, value, uom, min=0, contextobj=measure, resource=Resource())


def finding(measure: Context, value: Any) -> Finding:
    """What a context makes of a value."""
    found = metric(measure, value).evaluate()
    assert isinstance(found, Finding)
    return found
