"""Icinga Web 2 on one machine, and a browser to look at it.

Icinga 2 -> Redis -> Icinga DB -> MariaDB -> Icinga Web 2 -> Chromium, everybody logged in as admin.

    with IcingaWebLab(directory, objects) as lab:
        lab.check("portal", "cqd")
        lab.page("portal", "cqd")                   # the HTML that the browser made of it
        lab.picture("portal", "cqd", Path("service.png"), (0, 0, 1440, 320))

Debian packages, besides those of private_daemons.py: chromium icingadb icingadb-web icingaweb2
php-intl php-mysql redis-server.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

from private_daemons import SECRET, USER, Icinga, PrivateDaemons, free_port

WEB = Path("/usr/share/icingaweb2")
Lab = TypeVar("Lab", bound="IcingaWebLab")
ROUTER = f"""<?php
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (is_file('{WEB}/public' . $path) && substr($path, -4) !== '.php') return false;
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = '/index.php';
$_SERVER['SCRIPT_FILENAME'] = '{WEB}/public/index.php';
$_SERVER['REMOTE_USER'] = 'admin';
putenv('REMOTE_USER=admin');
// As after a click at a long output, which is folded to a hundred pixels.
ob_start(fn ($page) => str_replace('visible-height="100"', 'visible-height="999"', $page));
require '{WEB}/public/index.php';
"""


class IcingaWebLab(PrivateDaemons):
    """Everything runs when the block is entered; `objects` are those of Icinga 2."""

    icinga: Icinga

    def __init__(self, directory: Path, objects: str):
        super().__init__(directory)
        self._objects = objects

    def __enter__(self: Lab) -> Lab:
        super().__enter__()
        try:
            self._start_all()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def check(self, host: str, service: str) -> None:
        """Have the service checked, and wait until Icinga Web can show the result."""
        self.icinga.check(f"{host}!{service}")
        query = (
            "SELECT 1 FROM service_state JOIN service ON service.id = service_id "
            f"WHERE service.name = '{service}' AND output IS NOT NULL AND hard_state < 4"
        )
        self.wait_for(lambda: self.sql(self._database, query, "icingadb"))

    def page(self, host: str, service: str) -> str:
        return self._browse(self._url(host, service), "--dump-dom")

    def picture(self, host: str, service: str, file: Path, part: tuple[int, int, int, int]) -> None:
        """Have the browser make a picture of a part of the page: left, top, right, bottom."""
        left, top, right, bottom = part
        whole = self.directory / "whole.png"
        self.photograph(self._url(host, service), whole, f"1440,{bottom}")
        page = self.directory / "part.html"
        page.write_text(
            "<!DOCTYPE html><style>body{margin:0;overflow:hidden}img{display:block}</style>"
            f'<img src="whole.png" style="margin:{-top}px 0 0 {-left}px">',
            encoding="utf-8",
        )
        self.photograph(page.as_uri(), file, f"{right - left},{bottom - top}")

    def photograph(self, url: str, file: Path, size: str) -> None:
        """Have the browser make a picture of any page."""
        self._browse(url, f"--window-size={size}", f"--screenshot={file}")

    def _url(self, host: str, service: str) -> str:
        return f"{self.web}/icingadb/service?{urlencode({'name': service, 'host.name': host})}"

    @property
    def web(self) -> str:
        """Where Icinga Web is."""
        return f"http://127.0.0.1:{self._port}"

    def _browse(self, url: str, *options: str) -> str:
        return self.run(
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--disable-background-networking", "--disable-component-update", "--no-first-run"),
            "--disable-extensions",
            *("--disable-dev-shm-usage", "--virtual-time-budget=10000", "--log-level=3"),
            f"--user-data-dir={self.directory / 'chromium'}",
            *options,
            url,
        )

    def _start_all(self) -> None:
        self._port = free_port()
        redis_port = free_port()
        self._database = database = self.start_mariadb("icingadb", "icingaweb")
        for name, schema in {
            "icingadb": Path("/usr/share/icingadb/schema/mysql/schema.sql"),
            "icingaweb": WEB / "schema" / "mysql.schema.sql",
        }.items():
            self.sql(database, schema.read_text("utf-8"), name)
        redis = self.start(
            *("redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", ""),
            *("--dir", str(self.directory)),
        )
        self.wait_for_port(redis, redis_port)
        self.icinga = self.start_icinga(
            f'object IcingaDB "icingadb" {{ host = "127.0.0.1"; port = {redis_port} }}\n'
            + self._objects
        )
        self._write(
            "icingadb.yml",
            f"database: {{host: 127.0.0.1, port: {database.port}, database: icingadb, "
            f"user: {USER}, password: {SECRET}}}",
            f"redis: {{host: 127.0.0.1, port: {redis_port}}}",
            "logging: {output: console}",
        )
        self.start("icingadb", "-c", str(self.directory / "icingadb.yml"))
        self._configure_web(redis_port)
        web = self.start(
            *("php", "-d", f"session.save_path={self.directory / 'tmp'}", "-d", "display_errors=0"),
            *("-S", f"127.0.0.1:{self._port}", "-t", str(WEB / "public")),
            str(self.directory / "router.php"),
            ICINGAWEB_CONFIGDIR=str(self.directory / "icingaweb"),
            ICINGAWEB_STORAGEDIR=str(self.directory / "storage"),
        )
        self.wait_for_port(web, self._port)

    def _configure_web(self, redis_port: int) -> None:
        resource = self._database.as_icingaweb_resource
        self._write("router.php", ROUTER)
        self._write(
            "icingaweb/config.ini",
            "[global]\nconfig_resource = icingaweb\nconfig_backend = db\n[logging]\nlog = none",
        )
        self._write("icingaweb/resources.ini", resource("icingaweb"), resource("icingadb"))
        self._write("icingaweb/authentication.ini", "[autologin]\nbackend = external")
        self._write("icingaweb/roles.ini", '[admins]\nusers = "admin"\npermissions = "*"')
        module = "icingaweb/modules/icingadb"
        self._write(f"{module}/config.ini", "[icingadb]\nresource = icingadb")
        self._write(f"{module}/redis.ini", f"[redis1]\nhost = 127.0.0.1\nport = {redis_port}")
        self._write(
            f"{module}/commandtransports.ini",
            f"[api]\ntransport = api\nhost = 127.0.0.1\nport = {self.icinga.port}",
            f"username = {USER}\npassword = {SECRET}",
        )
        modules = self.directory / "icingaweb" / "enabledModules"
        modules.mkdir()
        (modules / "icingadb").symlink_to(WEB / "modules" / "icingadb")

    def _write(self, name: str, *lines: str) -> None:
        file = self.directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
