"""`make scaling`: what one core carries when a real Icinga 2 starts the checks.

    python tools/scaling.py VENV [--write]

Icinga and its checks get a core of their own, the portal and this script the others. 100 hosts have
a service each, by the shipped CheckCommand and apply rules; only the interval is shorter than the
shipped one: first one that leaves the core time, then one that does not, with few checks at once
and with as many as Icinga allows by default. `--write` puts the tables into docs/scaling.md.
"""

from __future__ import annotations

import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import portal_simulator
from bench import PLUGIN, ROUNDS, Command, Cost, machine, medians, table, tell
from icinga_lab import Authority, Icinga, processes

MINUTES = int(os.environ.get("CQD_SCALING_MINUTES", "5"))
SHORTLY = min(MINUTES, 2)
SERVICES = 100
SETTLING = 45  # seconds, in which each service has taken its place in the schedule
TICK = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "scaling.md"
SHIPPED = ROOT / "contrib" / "icinga"
INTERVAL = 10  # minutes, as in cqd_services.conf
USE = 0.6  # of a core: beyond, checks wait for each other
ANSWER, TIMEOUT = 1, 10  # seconds that a check takes
OURS = 'match("portal-*", host.name)'

TEMPLATE = "$icinga.timet$ $service.state$ $service.latency$ $service.execution_time$"

CONFIGURATION = f"""
object PerfdataWriter "checks" {{
  service_format_template = "{TEMPLATE}"
  service_perfdata_path = SpoolDir + "/perfdata/checks"
  service_temp_path = SpoolDir + "/tmp/checks"
  rotation_interval = 1s
  host_perfdata_path = SpoolDir + "/perfdata/hosts"
  host_temp_path = SpoolDir + "/tmp/hosts"
}}
"""


HOSTS = f"""
for (number in range({SERVICES})) {{
  object Host "portal-" + number {{
    check_command = "dummy"
    vars.cqd_portals["portal"] = {{
      cqd_integration_hostname = "localhost"
      cqd_integration_port = %d
      cqd_integration_ca_file = "%s"
      cqd_integration_timezone = "UTC"
    }}
  }}
}}
"""


class Plan(NamedTuple):
    interval: int
    """Seconds from check to check of a service."""
    at_once: int
    """MaxConcurrentChecks."""
    minutes: int


PLANS = Plan(60, 8, MINUTES), Plan(1, 8, SHORTLY), Plan(1, 512, SHORTLY)


class Check(NamedTuple):
    """What Icinga knows of one check; seconds."""

    end: float
    state: str
    latency: float
    execution_time: float


class Spent(NamedTuple):
    """CPU time, in seconds."""

    checks: float
    icinga: float
    core: float
    """Whatever ran on the core."""

    @classmethod
    def until_now(cls, icinga: Icinga, core: int) -> Spent:
        own = waited_for = 0
        for process in processes(str(icinga.directory)):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            user, system, user_of_children, system_of_children = map(int, fields[11:15])
            own += user + system
            waited_for += user_of_children + system_of_children
        [line] = re.findall(rf"^cpu{core} (.*)$", Path("/proc/stat").read_text(), re.M)
        user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, line.split())
        busy = user + nice + system + irq + softirq
        return cls(waited_for / TICK, own / TICK, busy / TICK)

    def since(self, earlier: Spent) -> Spent:
        return Spent(*(now - before for now, before in zip(self, earlier)))


@dataclass(frozen=True)
class Phase:
    """What happened while a plan was followed."""

    plan: Plan
    per_minute: float
    """By Icinga's status, CIB."""
    average_latency: float
    average_execution_time: float
    checks: Sequence[Check]
    spent: Spent

    @property
    def carried(self) -> float:
        """Checks a minute, if a core did nothing else."""
        return 60 * len(self.checks) / (self.spent.checks + self.spent.icinga)

    def column(self) -> Iterator[str]:
        seconds = self.plan.minutes * 60
        count = len(self.checks)
        latencies = [check.latency for check in self.checks]
        times = [check.execution_time for check in self.checks]
        ours = self.spent.checks + self.spent.icinga
        yield f"every {self.plan.interval} s"
        yield f"{self.plan.at_once}"
        yield f"{self.plan.minutes}"
        yield f"{self.per_minute:.0f}"
        yield f"{sum(check.state == 'OK' for check in self.checks)} of {count}"
        yield spread(latencies)
        yield spread(times)
        yield f"{self.average_latency:.2f} s, {self.average_execution_time:.2f} s"
        yield f"{sum(times) / seconds:.1f}"
        yield f"{self.spent.checks / count * 1000:.0f} ms"
        yield f"{self.spent.icinga / count * 1000:.1f} ms"
        yield f"**{self.carried:.0f}**"
        yield f"{ours / seconds:.0%}, {max(0, self.spent.core - ours) / seconds:.0%}"


ROWS = (
    f"{SERVICES} services, each checked",
    "`MaxConcurrentChecks`",
    "minutes",
    "checks a minute (CIB)",
    "OK",
    "latency: median, 95 %, most",
    "execution time: median, 95 %, most",
    "averages at the end (CIB): latency, execution time",
    "checks at the same time, on average",
    "CPU per check: the plugin",
    "CPU per check: Icinga",
    "a core carries, checks a minute",
    "the core was busy with this, with other work",
)


def spread(seconds: Sequence[float]) -> str:
    *_, twentieth = statistics.quantiles(seconds, n=20)
    values = statistics.median(seconds), twentieth, max(seconds)
    return ", ".join(f"{value:.2f}" for value in values) + " s"


@contextmanager
def portal(authority: Path) -> Iterator[int]:
    """The simulator of a portal, as a process of its own, with HTTPS; its port."""
    program = [sys.executable, portal_simulator.__file__, "--timezone", "UTC"]
    with subprocess.Popen(
        [*program, "--tls", "--ca-out", str(authority)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            [port] = re.findall(r":(\d+)/ ", process.stdout.readline())
            yield int(port)
        finally:
            process.terminate()


def checks_between(icinga: Icinga, begin: float, end: float) -> Iterator[Check]:
    for file in (icinga.directory / "spool" / "perfdata").glob("checks.*"):
        for line in file.read_text().splitlines():
            moment, state, latency, execution_time = line.split()
            if begin <= float(moment) < end:
                yield Check(float(moment), state, float(latency), float(execution_time))


def follow(plan: Plan, icinga: Icinga, core: int) -> Phase:
    icinga.execute(f"globals.MaxConcurrentChecks = {plan.at_once}")
    icinga.modify("services", OURS, check_interval=plan.interval, retry_interval=plan.interval)
    now = time.time()
    for number in range(SERVICES):  # all at once would stay all at once for long
        moment = now + plan.interval * number / SERVICES
        icinga.schedule_check(f"portal-{number}!cqd-portal", moment)
    time.sleep(SETTLING)
    begin, before = time.time(), Spent.until_now(icinga, core)
    per_minute = []
    for minute in range(1, plan.minutes + 1):
        time.sleep(max(0, begin + 60 * minute - time.time()))
        status = icinga.status("CIB")
        per_minute.append(status["active_service_checks_1min"])
    end, spent = time.time(), Spent.until_now(icinga, core).since(before)
    time.sleep(2)  # the newest results are written
    return Phase(
        plan,
        statistics.mean(per_minute),
        status["avg_latency"],
        status["avg_execution_time"],
        list(checks_between(icinga, begin, end)),
        spent,
    )


def alone(url: str, authority: Path) -> Cost:
    """What the same check takes without Icinga, one at a time."""
    command = Command([PLUGIN, "-u", url, "--ca-file", str(authority), "--timezone", "UTC", "-v"])
    return medians({"": command})[""]


def needs(carried: float, one: Cost) -> list[str]:
    """What the shipped example needs; docs/scaling.md tells how it is calculated."""
    rows = [["portals", "checks a minute", "cores busy", "cores", "all answer", "none answers"]]
    for portals in (100, 10_000, 1_000_000):
        per_minute = portals / INTERVAL
        busy = per_minute / carried
        rows.append(
            [
                f"{portals:,}",
                f"{portals:,} / {INTERVAL} = {per_minute:,.0f}",
                f"{per_minute:,.0f} / {carried:.0f} = {busy:,.2f}",
                f"{math.ceil(busy / USE):,}",
                *(at_once(per_minute * seconds / 60, one) for seconds in (ANSWER, TIMEOUT)),
            ]
        )
    return table(rows)


def at_once(processes: float, one: Cost) -> str:
    processes = math.ceil(processes)
    memory = processes * one.memory
    told = f"{memory:.0f} MiB" if memory < 1024 else f"{memory / 1024:,.1f} GiB"
    return f"{processes:,}, {told}"


def measured(directory: Path) -> list[str]:
    authority = directory / "portal.pem"
    (directory / "plugins").mkdir()
    (directory / "plugins" / Path(PLUGIN).name).symlink_to(PLUGIN)
    cores = os.sched_getaffinity(0)
    core = max(cores)
    load = os.getloadavg()[0]
    os.sched_setaffinity(0, cores - {core} or cores)
    with portal(authority) as port:
        one = alone(f"https://localhost:{port}{portal_simulator.STATUS_PATH}", authority)
        hosts = directory / "hosts.conf"
        hosts.write_text(HOSTS % (port, authority))
        icinga = Icinga(
            directory / "master",
            "master",
            plugins=directory / "plugins",
            authority=Authority(directory),
            configuration=CONFIGURATION,
            zones={
                "global-templates": [SHIPPED / "cqd_integration.conf"],
                "master": [SHIPPED / "cqd_services.conf", hosts],
            },
        )
        os.sched_setaffinity(0, {core})  # which Icinga inherits
        with icinga:
            os.sched_setaffinity(0, cores - {core} or cores)
            icinga.modify("services", f"!{OURS}", enable_active_checks=False)
            icinga.modify("icingaapplications", "true", enable_service_checks=True)
            phases = [follow(plan, icinga, core) for plan in PLANS]
    version = subprocess.check_output(["icinga2", "--version"], text=True)
    [release] = re.findall(r"\(version: r?([\d.]+)", version)
    return [
        f"Icinga {release} on one core of {machine().partition(';')[0]}; over HTTPS. Load of the "
        f"machine before: {load:.1f}.",
        "",
        *table([*zip(ROWS, *(each.column() for each in phases))]),
        "",
        f"The same check without Icinga, median of {ROUNDS}: {one.cpu * 1000:.0f} ms of CPU, "
        f"{one.wall * 1000:.0f} ms elapsed, {one.memory:.0f} MiB at its peak.",
        "",
        *needs(phases[1].carried, one),
    ]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="scaling-") as directory:
        parts = measured(Path(directory))
    tell(parts, DOCUMENT, "make scaling")


if __name__ == "__main__":
    main()
