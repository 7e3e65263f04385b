"""The basket in Icinga Director: restored, rendered, deployed into Icinga 2, and checked there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from director_lab import MODULES, DirectorLab
from portal_simulator import DOCUMENTED, STATUS_PATH, PortalSimulator
from private_daemons import missing_program

BASKET = Path(__file__).parents[2] / "contrib" / "icinga" / "director-basket.json"
MOMENT = datetime(2015, 1, 18, 10, 31, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def director() -> Iterator[DirectorLab]:
    missing = missing_program("icingacli", "mariadb-dump")
    if missing or not (MODULES / "director").exists():
        pytest.skip(f"{missing or 'icingaweb2-module-director'} is not installed")
    place = tempfile.TemporaryDirectory(prefix="director-lab-")
    with place as directory, DirectorLab(Path(directory)) as lab:
        lab.restore(BASKET.read_text("utf-8"))
        yield lab


def test_second_restore_changes_nothing(director: DirectorLab) -> None:
    first = director.content()
    assert "CQD integration" in first
    director.restore(BASKET.read_text("utf-8"))
    assert director.content() == first


def test_deployed_command_tells_in_icinga_what_it_tells_by_hand(director: DirectorLab) -> None:
    with PortalSimulator(body=DOCUMENTED, clock=lambda: MOMENT) as portal:
        url = portal.url + STATUS_PATH
        director.create(
            "host",
            object_name="portal.example.com",
            object_type="object",
            imports=["CQD portal"],
            address="127.0.0.1",
            vars={"cqd_integration_timezone": "UTC"},
        )
        director.create(
            "service",
            object_name="cqd",
            object_type="object",
            host="portal.example.com",
            imports=["CQD integration"],
            vars={"cqd_integration_url": url, "cqd_integration_now": MOMENT.isoformat()},
        )
        configuration = director.deploy()
        result = director.icinga.check("portal.example.com!cqd")
        options = ["--url", url, "--now", MOMENT.isoformat(), "--timezone", "UTC", "-v"]
        by_hand = subprocess.run(
            [sys.executable, "-m", "check_cqd_integration", *options],
            stdout=subprocess.PIPE,
            text=True,
        )

    assert 'object CheckCommand "cqd_integration" {' in configuration
    for option in json.loads(BASKET.read_text("utf-8"))["Command"]["cqd_integration"]["arguments"]:
        assert f'"{option}" = ' in configuration
    assert sorted(result["command"][1:]) == sorted(options)
    assert result["state"] == by_hand.returncode == 2
    text, perfdata = without_response_time(result["output"]), result["performance_data"]
    first, *rest = without_response_time(by_hand.stdout).splitlines()
    before_the_bar, _, after_the_bar = first.partition("| ")
    assert text.splitlines() == [before_the_bar, *rest]
    assert without_response_time(" ".join(perfdata)) == after_the_bar


def without_response_time(text: str) -> str:
    """It is another one for each check."""
    return re.sub(r"[0-9]+\.[0-9]{3}s", "0.001s", text)
