"""Icinga Director on one machine, with a real Icinga 2 that it deploys into.

    with DirectorLab(directory) as lab:
        lab.restore(basket)
        lab.create("service", object_name="cqd", object_type="object", host="portal")
        lab.deploy()
        lab.icinga.check("portal!cqd")

Debian packages, besides those of private_daemons.py: icingacli
icingaweb2-module-director php-mysql.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from private_daemons import NODE, SECRET, USER, Icinga, PrivateDaemons, wait_for

MODULES = Path("/usr/share/icingaweb2/modules")


class DirectorLab(PrivateDaemons):
    """Director's database is migrated and kickstarted when the block is entered."""

    icinga: Icinga

    def __enter__(self) -> DirectorLab:
        super().__enter__()
        self._config = self.directory / "icingaweb"
        try:
            self._database = self.start_mariadb("director")
            self.icinga = self.start_icinga("")
            self._configure()
            self.director("migration", "run")
            self.director("kickstart", "run")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def director(self, *command: str, input: str = "") -> str:
        """Run one of Director's own commands."""
        return self.run(
            *("icingacli", "director", *command),
            input=input,
            ICINGAWEB_CONFIGDIR=str(self._config),
            ICINGAWEB_STORAGEDIR=str(self.directory / "storage"),
        )

    def restore(self, basket: str) -> None:
        self.director("basket", "restore", input=basket)

    def content(self) -> str:
        """All that is in Director's database, its log of changes included."""
        return self.run(
            *("mariadb-dump", "--no-defaults", f"--socket={self._database.socket}", "-uroot"),
            *("--skip-dump-date", "--hex-blob", "--order-by-primary", "director"),
        )

    def create(self, kind: str, **properties: Any) -> None:
        self.director(kind, "create", "--json", json.dumps(properties))

    def deploy(self) -> str:
        """Deploy into Icinga; return the configuration that runs then, all files of it."""
        before = self._active_stage()
        self.director("config", "deploy")
        stage = wait_for(lambda: None if self._active_stage() == before else self._active_stage())
        place = self.directory / "icinga" / "lib" / "api" / "packages" / "director" / stage
        return "".join(file.read_text("utf-8") for file in sorted(place.rglob("*.conf")))

    def _active_stage(self) -> str:
        try:
            packages = self.icinga.ask("config/packages")
        except OSError:  # Icinga reloads
            return ""
        return next((p["active-stage"] for p in packages if p["name"] == "director"), "")

    def _configure(self) -> None:
        for name in ("enabledModules", "modules/director"):
            (self._config / name).mkdir(parents=True)
        for module in ("director", "incubator", "reactbundle"):
            (self._config / "enabledModules" / module).symlink_to(MODULES / module)
        for file, text in {
            "config.ini": "[global]\nconfig_resource = director\n[logging]\nlog = none\n",
            "resources.ini": self._database.as_icingaweb_resource("director"),
            "modules/director/config.ini": "[db]\nresource = director\n",
            "modules/director/kickstart.ini": f"[config]\nendpoint = {NODE}\nhost = 127.0.0.1\n"
            f"port = {self.icinga.port}\nusername = {USER}\npassword = {SECRET}\n",
        }.items():
            (self._config / file).write_text(text, encoding="utf-8")
