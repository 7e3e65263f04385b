"""What the timestamps point to, for whoever has to fix it.

The causes are those of Microsoft's "Plan for CQD" and "Deploy CQD". A hint says what is to be seen,
and which known cause would look like that; no more.
"""

from __future__ import annotations

from collections.abc import Collection

from ..pipeline import CYCLE, OVERDUE, Pipeline
from ..thresholds import in_words


def likely_causes(pipeline: Pipeline, troubled: Collection[str]) -> list[str]:
    """Return the hints, one line each, for a pipeline of which these stages are in trouble."""
    idle, integration, cube = pipeline.idle, pipeline.integration, pipeline.cube
    if idle is not None and idle > OVERDUE:
        return [
            f"hint: nothing has begun, failed or succeeded for {in_words(idle)}, although a job is "
            f"due every {in_words(CYCLE)}; is SQL Server Agent running, and set to start "
            f"automatically?"
        ]
    if integration.streak and cube.streak:
        return [f"hint: both steps fail, so look at the archive step first; {_OF_ARCHIVE}"]
    if integration.streak:
        return [f"hint: the archive step fails; {_OF_ARCHIVE}"]
    works = integration.age is not None and integration.age <= OVERDUE
    if cube.streak and works and "cube" in troubled and "integration" not in troubled:
        return [
            "hint: the archive step works and the cube step fails; a known cause is a client "
            "whose clock is more than 60 years off"
        ]
    return []


_OF_ARCHIVE = (
    "known causes are lost read rights on QoE Metrics, and a service account without the right to "
    "log on as a batch job"
)
