"""Understands: bytes of the portal -> timestamps -> the two stages as seen at one moment.

What others may use is named here; the portal's own ``log`` is imported only for an alert. All but
``zones`` is pure: no clock, no file, no network.
"""

from . import zones
from .clock import Clock
from .stages import CYCLE, OVERDUE, DataAge, Pipeline, Stage, StageAge, build_pipeline
from .status import parse_status
from .timestamps import DATE_ORDERS

__all__ = [
    "CYCLE",
    "DATE_ORDERS",
    "OVERDUE",
    "Clock",
    "DataAge",
    "Pipeline",
    "Stage",
    "StageAge",
    "build_pipeline",
    "parse_status",
    "zones",
]
