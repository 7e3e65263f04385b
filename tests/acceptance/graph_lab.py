"""What draws Icinga's perfdata: InfluxDB, and Graphite with the module of Icinga Web.

Icinga 2 -> InfluxDB
         -> carbon -> whisper -> graphite-web -> Icinga Web's module graphite

    with GraphLab(directory, objects) as lab:
        lab.icinga.check("portal!cqd")
        lab.ask_influxdb('SELECT last("value") FROM "cqd_integration"')
        lab.render(target="icinga2.portal.services.cqd.cqd_integration.perfdata.cube_age.value")

Debian packages, besides those of icingaweb_lab.py: graphite-carbon graphite-web
icingaweb2-module-graphite influxdb.
"""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from icingaweb_lab import WEB, IcingaWebLab
from private_daemons import DEADLINE, free_port

GRAPHITE_MODULE = WEB / "modules" / "graphite"
CONTRIB = Path(__file__).parent.parent.parent / "contrib" / "icinga"
SHIPPED = CONTRIB / "graphite"


class GraphLab(IcingaWebLab):
    """Both writers send the thresholds, with Icinga's own templates for the names.

    The plugin's CheckCommand, the graphs and what carbon keeps are as shipped.
    """

    def __init__(self, directory: Path, objects: str):
        self._influxdb, self._carbon, self._graphite = free_port(), free_port(), free_port()
        command = (CONTRIB / "cqd_integration.conf").read_text(encoding="utf-8")
        super().__init__(
            directory,
            f"""
            object InfluxdbWriter "influxdb" {{
                host = "127.0.0.1"
                port = {self._influxdb}
                database = "icinga2"
                flush_interval = 1s
                enable_send_thresholds = true
            }}
            object GraphiteWriter "graphite" {{
                host = "127.0.0.1"
                port = {self._carbon}
                enable_send_thresholds = true
            }}
            {command}
            {objects}
            """,
        )

    def ask_influxdb(self, query: str) -> list[dict[str, Any]]:
        """Return the series; times are in milliseconds, as Grafana wants them."""
        parameters = urlencode({"db": "icinga2", "epoch": "ms", "q": query})
        [result] = json.loads(self._get(self._influxdb, f"query?{parameters}"))["results"]
        assert "error" not in result, result
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def render(self, **parameters: object) -> bytes:
        """What graphite-web's render API answers; a list gives a parameter several times."""
        return self._get(self._graphite, f"render?{urlencode(parameters, doseq=True)}")

    def get_from_web(self, path: str) -> bytes:
        """A page or a picture of Icinga Web."""
        return self._get(self._port, path)

    @staticmethod
    def _get(port: int, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=DEADLINE) as answer:
            body: bytes = answer.read()
            return body

    def _start_all(self) -> None:
        self._start_influxdb()
        self._start_carbon()
        self._start_graphite_web()
        super()._start_all()
        self.wait_for(
            self._is_connected_to_carbon
        )  # Icinga tries after 10 seconds; before, all is lost

    def _is_connected_to_carbon(self) -> bool:
        [answer] = self.icinga.ask("status/GraphiteWriter")
        return bool(answer["status"]["graphitewriter"]["graphite"]["connected"])

    def _start_influxdb(self) -> None:
        place = self.directory / "influxdb"
        self._write(
            "influxdb.conf",
            f'bind-address = "127.0.0.1:{free_port()}"',
            f'[meta]\ndir = "{place}/meta"',
            f'[data]\ndir = "{place}/data"\nwal-dir = "{place}/wal"',
            "[monitor]\nstore-enabled = false",
            f'[http]\nbind-address = "127.0.0.1:{self._influxdb}"',
        )
        influxdb = self.start("influxd", "-config", str(self.directory / "influxdb.conf"))
        self.wait_for_port(influxdb, self._influxdb)
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._influxdb}/query", data=b"q=CREATE DATABASE icinga2"
        )
        urllib.request.urlopen(request, timeout=DEADLINE).close()

    def _start_carbon(self) -> None:
        place = self.directory / "carbon"
        self._write(
            "carbon/carbon.conf",
            f"[cache]\nUSER =\nSTORAGE_DIR = {place}\nCONF_DIR = {place}\nLOG_DIR = {place}",
            f"LOCAL_DATA_DIR = {place / 'whisper'}\nPID_DIR = {place}",
            f"LINE_RECEIVER_INTERFACE = 127.0.0.1\nLINE_RECEIVER_PORT = {self._carbon}",
            f"PICKLE_RECEIVER_INTERFACE = 127.0.0.1\nPICKLE_RECEIVER_PORT = {free_port()}",
            f"CACHE_QUERY_INTERFACE = 127.0.0.1\nCACHE_QUERY_PORT = {free_port()}",
            "MAX_CREATES_PER_MINUTE = inf\nMAX_UPDATES_PER_SECOND = inf",
            # Else 180 MB of zeros are written, while a fresh machine still writes its packages.
            "WHISPER_SPARSE_CREATE = True",
            "ENABLE_TAGS = False",  # which would go to whoever has port 80
        )
        (place / "whisper").mkdir()  # else graphite-web takes it for not wanted
        for name in ("storage-schemas.conf", "storage-aggregation.conf"):
            shutil.copy(SHIPPED / name, place)
        carbon = self.start(
            *("carbon-cache", f"--config={place / 'carbon.conf'}", "--nodaemon"),
            *(f"--logdir={place}", "start"),
        )
        self.wait_for_port(carbon, self._carbon)

    def _start_graphite_web(self) -> None:
        place = self.directory / "graphite-web"
        place.mkdir()
        self._write(
            "graphite-web/lab_settings.py",
            "SECRET_KEY = 'of the laboratory'",
            "ALLOWED_HOSTS = ['*']",
            f"STORAGE_DIR = LOG_DIR = {str(place)!r}",
            f"WHISPER_DIR = {str(self.directory / 'carbon' / 'whisper')!r}",
            f"INDEX_FILE = {str(place / 'index')!r}",
            # No carbon is asked, or each file that is read would be an exception in the log.
            "CARBONLINK_HOSTS = []\nREPLICATION_FACTOR = 0",
            "FIND_CACHE_DURATION = DEFAULT_CACHE_DURATION = 0",
            "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}",
        )
        # Not the Python of a virtual environment: Django is Debian's.
        graphite = self.start(
            *("graphite-manage", "runserver", "--noreload", "--settings=graphite.settings"),
            f"127.0.0.1:{self._graphite}",
            PYTHONPATH=str(place),
            GRAPHITE_SETTINGS_MODULE="lab_settings",
        )
        self.wait_for_port(graphite, self._graphite)

    def _configure_web(self, redis_port: int) -> None:
        super()._configure_web(redis_port)
        module = "icingaweb/modules/graphite"
        self._write(f"{module}/config.ini", f"[graphite]\nurl = http://127.0.0.1:{self._graphite}/")
        templates = self.directory / module / "templates"
        templates.mkdir()
        shutil.copy(SHIPPED / "cqd_integration.ini", templates)
        enabled = self.directory / "icingaweb" / "enabledModules" / "graphite"
        enabled.symlink_to(GRAPHITE_MODULE)
