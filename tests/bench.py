"""`make bench`: what a check costs, as ratios to importing what it must import.

Whole processes, CPU time of user and system, taken in turn so that a noisy machine disturbs all
alike; the median of the rounds counts.
"""

from __future__ import annotations

import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from portal_simulator import STATUS_PATH, PortalSimulator

ROUNDS = 15
SAMPLE = Path(__file__).parent / "data" / "status-documented.txt"
PLUGIN = Path(sys.executable).with_name("check_cqd_integration")
FLOOR = "import nagiosplugin, requests"


def cpu_seconds(command: Sequence[str | Path]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    with PortalSimulator() as portal:
        python = sys.executable
        commands: dict[str, list[str | Path]] = {
            "bare Python": [python, "-c", ""],
            "import nagiosplugin": [python, "-c", "import nagiosplugin"],
            FLOOR: [python, "-c", FLOOR],
            "--version": [PLUGIN, "--version"],
            "usage error": [PLUGIN, "--no-such-option"],
            "--input": [PLUGIN, "--input", SAMPLE],
            "poll over http": [PLUGIN, "--url", portal.url + STATUS_PATH],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                taken[name].append(cpu_seconds(command))
    floor = statistics.median(taken[FLOOR])
    print(f"Python {platform.python_version()}, {platform.machine()}, {ROUNDS} rounds")
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        print(f"{name:<30} {median * 1000:6.0f} ms  {median / floor:5.2f} x the two imports")


if __name__ == "__main__":
    main()
