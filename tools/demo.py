"""`make demo`: what the plugin says of a healthy, a warning, a critical and an unknown portal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from portal_simulator import STATUS_PATH, PortalSimulator

SAMPLE = Path(__file__).parents[1] / "tests" / "data" / "status-documented.txt"


def show(title: str, *options: str) -> None:
    """Run the installed plugin as a monitoring system does, and show all that it sees."""
    command = ["check_cqd_integration", *options]
    print(f"\n# {title}\n$ {' '.join(command)}", flush=True)
    plugin = Path(sys.executable).with_name(command[0])
    code = subprocess.run([plugin, *options], check=False).returncode
    print(f"exit code {code}", flush=True)


def main() -> None:
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
        *("--input", str(SAMPLE.relative_to(Path.cwd()))),
        *("--now", "2015-01-18T10:31:00Z", "--timezone", "UTC", "-vv"),
    )


if __name__ == "__main__":
    main()
