"""`make demo`: what the plugin says of a healthy, a warning, a critical and an unknown portal.

Packages install it beside the simulator and the sample, as a first look without a portal.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # a package that is removed must find nothing new in its directory

from portal_simulator import STATUS_PATH, PortalSimulator  # noqa: E402

SAMPLE = Path("tests", "data", "status-documented.txt")


def show(title: str, *options: str) -> None:
    """Run the installed plugin as a monitoring system does, and show all that it sees."""
    command = ["check_cqd_integration", *options]
    print(f"\n# {title}\n$ {' '.join(command)}", flush=True)
    plugin = Path(sys.executable).with_name(command[0])
    code = subprocess.run([plugin, *options], check=False).returncode
    print(f"exit code {code}", flush=True)


def main() -> None:
    beside = Path(__file__).with_name(SAMPLE.name)
    with PortalSimulator() as portal:
        for scenario, title in (
            ("healthy", "a healthy portal"),
            ("recovered", "a portal whose cube failed a while ago"),
            ("failing", "a portal whose cube fails in every run"),
            ("disabled", "a portal whose log is not turned on"),
        ):
            show(title, "--url", f"{portal.url}/{scenario}{STATUS_PATH}", "-v")
    show(
        "the answer that Microsoft documents, saved in a file",
        *("--input", str(beside if beside.exists() else SAMPLE)),
        *("--now", "2015-01-18T10:31:00Z", "--timezone", "UTC", "-vv"),
    )


if __name__ == "__main__":
    main()
