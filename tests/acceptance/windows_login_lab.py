"""A laboratory for Windows logins on one machine: authority, KDC, Apache and IIS look-alikes.

Everything is real (MIT krb5, mod_auth_gssapi, gss-ntlmssp), listens on 127.0.0.1, lives in one
directory and ends with the `with` block. Debian packages: apache2 libapache2-mod-auth-gssapi
gss-ntlmssp krb5-kdc krb5-admin-server krb5-user openssl python3-gssapi python3-cryptography.

    with WindowsLoginLab(directory) as lab:
        acceptor = lab.acceptor(extended_protection="require")
        ...  # let a client with lab.environment ask acceptor.url
        assert [login["user"] for login in acceptor.logins()] == ["monitor@CQD.TEST"]
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import shutil
import socket
import struct
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REALM = "CQD.TEST"
DOMAIN = "CQD"
PASSWORDS = {
    "monitor": "Passw0rd!",
    "other": "0therPassw0rd!",
    "umlaut": "pässwörd €",  # the euro sign is not in Latin-1
    "monitor2": "Passw0rd!2",  # the KDC locks this account after three failures
}
KEY_PASSWORD = "key-password"  # of encrypted_client_key
ANSWER = '{"answer": "for those who are logged in"}'

SYSTEM_PYTHON = "/usr/bin/python3"  # has Debian's python3-gssapi
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
APACHE_MODULES = Path("/usr/lib/apache2/modules")
NEEDED_PROGRAMS = ("apache2", "kadmin.local", "kdb5_util", "kinit", "krb5kdc", "openssl", "setpriv")
DEADLINE = 10.0  # seconds for a daemon to listen or to end
TICKET_LIFE = 36000  # seconds


def missing_program() -> str | None:
    """The first thing that the laboratory needs and the machine lacks."""
    for program in NEEDED_PROGRAMS:
        if not shutil.which(program, path=PATH):
            return program
    if not (APACHE_MODULES / "mod_auth_gssapi.so").exists():
        return "mod_auth_gssapi"
    ntlm = "gssapi.OID.from_int_seq('1.3.6.1.4.1.311.2.2.10') in gssapi.raw.indicate_mechs()"
    program = f"import cryptography, gssapi; assert {ntlm}"
    if subprocess.run([SYSTEM_PYTHON, "-c", program], stderr=subprocess.DEVNULL).returncode:
        return "python3-cryptography, python3-gssapi or gss-ntlmssp"
    return None


@dataclass
class Acceptor:
    """A running iis_acceptor.py."""

    url: str
    port: int
    _process: subprocess.Popen[str]
    _log: Path

    def log(self) -> list[dict[str, Any]]:
        """What was asked of it, in order: iis_acceptor.Record as dictionaries."""
        if not self._log.exists():
            return []
        return [json.loads(line) for line in self._log.read_text("utf-8").splitlines()]

    def logins(self) -> list[dict[str, Any]]:
        """The login attempts: what an account's lockout would count, and the good ones."""
        return [record for record in self.log() if record["login"] in ("granted", "refused")]

    def stop(self) -> None:
        _stop(self._process)


class WindowsLoginLab:
    """Starts on entering, ends on leaving. As root, www-data must be able to reach `directory`.

    `answer_file` holds what all servers answer after a login; a test may rewrite it at any time.
    """

    def __init__(self, directory: Path, answer: str = ANSWER):
        self.directory = directory
        self.answer_file = directory / "answer.json"
        self._answer = answer
        self._stack = ExitStack()
        self._acceptors: list[Acceptor] = []
        self._acceptor_names = (f"acceptor-{number}" for number in itertools.count(1))

        self.ca_file = directory / "ca.pem"
        self.client_certificate = directory / "client.pem"
        self.client_key = directory / "client.key"
        self.encrypted_client_key = directory / "client-encrypted.key"

        self.keytab = directory / "monitor.keytab"
        self.other_keytab = directory / "other.keytab"  # has no key of monitor
        self.stale_keytab = directory / "stale.keytab"  # of monitor, before a password change
        self.ticket_cache = directory / "monitor.ccache"
        self.expired_ticket_cache = directory / "expired.ccache"

        self._krb5_conf = directory / "krb5.conf"
        self._service_keytab = directory / "http.keytab"
        self._users = directory / "users"

    # What clients need

    @property
    def environment(self) -> dict[str, str]:
        """Of a client that has no ticket: KRB5CCNAME=lab.ticket_cache gives it one."""
        return {"KRB5_CONFIG": str(self._krb5_conf)}

    @property
    def refusing_kdc_environment(self) -> dict[str, str]:
        """Of a client whose KDC is down: nothing listens at its port."""
        return {"KRB5_CONFIG": str(self.directory / "krb5-refusing.conf")}

    @property
    def silent_kdc_environment(self) -> dict[str, str]:
        """Of a client whose KDC takes the connection and never answers, as a firewall may do."""
        return {"KRB5_CONFIG": str(self.directory / "krb5-silent.conf")}

    def apache_url(self, path: str) -> str:
        """Below /kerberos, /ntlm, /negotiate, /basic a login is needed; elsewhere it is not.

        Below /client-certificate one is asked for, as soon as it is known what is asked for.

        Unlike the acceptors Apache checks no channel binding.
        """
        return f"https://localhost:{self._https_port}{path}"

    def client_certificate_url(self, path: str) -> str:
        """The same, for clients with client_certificate only."""
        return f"https://localhost:{self._client_certificate_port}{path}"

    @property
    def proxy_url(self) -> str:
        """A proxy that does CONNECT."""
        return f"http://localhost:{self._proxy_port}"

    def acceptor(
        self,
        *,
        extended_protection: str = "off",
        certificate: str | None = "sha256",
        binding_certificate: str | None = None,
        schemes: str = "Negotiate,NTLM",
        fault: str = "none",
        answer: str | None = None,
    ) -> Acceptor:
        """Start an IIS look-alike: see iis_acceptor.py --help.

        A certificate is named by its signature, sha256 or sha384; None is plain http.
        """
        name = next(self._acceptor_names)
        log = self.directory / f"{name}.log"
        answer_file = self.answer_file
        if answer is not None:
            answer_file = self.directory / f"{name}.json"
            answer_file.write_text(answer, encoding="utf-8")
        command = [SYSTEM_PYTHON, str(Path(__file__).with_name("iis_acceptor.py"))]
        command += [f"--extended-protection={extended_protection}", f"--schemes={schemes}"]
        command += [f"--fault={fault}", f"--answer={answer_file}", f"--log={log}"]
        if certificate:
            command += [f"--certificate={self.directory / certificate}.pem"]
            command += [f"--key={self.directory / certificate}.key"]
        if binding_certificate:
            command += [f"--binding-certificate={self.directory / binding_certificate}.pem"]
        process = self._start(name, command, stdout=subprocess.PIPE)
        assert process.stdout
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError((self.directory / f"{name}.err").read_text())
        port = int(line.split()[-1])
        scheme = "https" if certificate else "http"
        acceptor = Acceptor(f"{scheme}://localhost:{port}", port, process, log)
        self._acceptors.append(acceptor)
        return acceptor

    def stop_acceptors(self) -> None:
        """After each test, else hundreds of them run in the end."""
        while self._acceptors:
            self._acceptors.pop().stop()

    def failed_logins(self, user: str) -> int:
        """How many wrong logins in a row the KDC has counted against this user."""
        prefix = "Failed password attempts:"
        for line in self._kadmin(f"getprinc {user}").splitlines():
            if line.startswith(prefix):
                return int(line[len(prefix) :])
        raise LookupError(user)

    def unlock(self, user: str) -> None:
        """Let a user in again whom the KDC has locked out."""
        self._kadmin(f"modprinc -unlock {user}")

    # Beginning and end

    def __enter__(self) -> WindowsLoginLab:
        self._stack.__enter__()
        try:
            self._make_directory()
            self._make_certificates()
            self._start_kdc()
            self._make_tickets()
            self._start_apache()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _make_directory(self) -> None:
        self.directory.chmod(0o755)
        if os.geteuid() == 0:  # Apache then becomes www-data, which has to get here
            for parent in self.directory.resolve().parents:
                if not parent.stat().st_mode & 0o001:
                    raise PermissionError(f"{parent}: www-data must be able to pass")
        self._write("answer.json", self._answer)
        self._write(
            "users",
            *(f"{DOMAIN}:{user}:{password}" for user, password in PASSWORDS.items()),
            *(f"{REALM}:{user}:{password}" for user, password in PASSWORDS.items()),
            *(f":{user}@{REALM}:{password}" for user, password in PASSWORDS.items()),
        )

    def _make_certificates(self) -> None:
        # Key usages and key identifiers are there because Python 3.13 asks for them.
        self._write("openssl.conf", "[req]", "distinguished_name = name", "[name]")
        self._make_certificate(
            "ca", "CQD test authority", "sha256", "keyUsage=critical,keyCertSign,cRLSign", ca=True
        )
        server = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        self._make_certificate("sha256", "localhost", "sha256", server)
        self._make_certificate("sha384", "localhost", "sha384", server)
        self._make_certificate("client", "monitor", "sha256", "extendedKeyUsage=clientAuth")
        self._run(
            *("openssl", "pkey", "-in", str(self.client_key), "-out"),
            *(str(self.encrypted_client_key), "-aes256", "-passout", f"pass:{KEY_PASSWORD}"),
        )

    def _make_certificate(
        self, name: str, subject: str, digest: str, extension: str, ca: bool = False
    ) -> None:
        file = self.directory / name
        issuer = [] if ca else ["-CA", str(self.ca_file), "-CAkey", str(self.directory / "ca.key")]
        self._run(
            *("openssl", "req", "-x509", "-config", str(self.directory / "openssl.conf")),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"),
            *("-keyout", f"{file}.key", "-out", f"{file}.pem", "-subj", f"/CN={subject}"),
            *(f"-{digest}", "-addext", extension, *issuer),
            *("-addext", f"basicConstraints=critical,CA:{str(ca).upper()}"),
            *("-addext", "subjectKeyIdentifier=hash", "-addext", "authorityKeyIdentifier=keyid"),
        )

    def _start_kdc(self) -> None:
        [port] = _free_ports(1)
        refusing = self._stack.enter_context(socket.socket())
        refusing.bind(("127.0.0.1", 0))  # kept from others, but nobody listens
        silent = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._write_krb5_conf("krb5.conf", port)
        self._write_krb5_conf("krb5-refusing.conf", refusing.getsockname()[1])
        self._write_krb5_conf("krb5-silent.conf", silent.getsockname()[1])
        self._write(
            "kdc.conf",
            "[kdcdefaults]",
            f"  kdc_listen = 127.0.0.1:{port}",
            f"  kdc_tcp_listen = 127.0.0.1:{port}",
            "[realms]",
            f"  {REALM} = {{",
            f"    database_name = {self.directory}/principal",
            f"    key_stash_file = {self.directory}/stash",
            f"    acl_file = {self.directory}/kadm5.acl",
            "    supported_enctypes = aes256-cts:normal",
            "    default_principal_flags = +preauth",
            "  }",
            "[logging]",
            f"  kdc = FILE:{self.directory}/kdc.log",
            f"  admin_server = FILE:{self.directory}/kadmin.log",
        )
        self._run("kdb5_util", "create", "-s", "-r", REALM, "-P", "master-password")
        self._kadmin(
            "add_policy -maxfailure 3 -failurecountinterval 1h -lockoutduration 1h lockout",
            "addprinc -pw before-the-change monitor",
            f"ktadd -norandkey -k {self.stale_keytab} monitor",
            f'cpw -pw "{PASSWORDS["monitor"]}" monitor',
            f'addprinc -pw "{PASSWORDS["other"]}" other',
            f'addprinc -pw "{PASSWORDS["umlaut"]}" umlaut',
            f'addprinc -policy lockout -pw "{PASSWORDS["monitor2"]}" monitor2',
            "addprinc -randkey HTTP/localhost",
            f"ktadd -norandkey -k {self.keytab} monitor",
            f"ktadd -norandkey -k {self.other_keytab} other",
            f"ktadd -norandkey -k {self._service_keytab} HTTP/localhost",
        )
        self._service_keytab.chmod(0o644)  # for www-data
        kdc = self._start("kdc", ["krb5kdc", "-n", "-r", REALM])
        self._wait_for(kdc, "kdc", port)

    def _write_krb5_conf(self, name: str, kdc_port: int) -> None:
        self._write(
            name,
            "[libdefaults]",
            f"  default_realm = {REALM}",
            "  dns_lookup_realm = false",
            "  dns_lookup_kdc = false",
            "  dns_canonicalize_hostname = false",
            "  rdns = false",
            "  udp_preference_limit = 1",
            f"  default_ccache_name = FILE:{self.directory}/default.ccache",
            f"  default_client_keytab_name = FILE:{self.directory}/default.keytab",
            "[realms]",
            f"  {REALM} = {{",
            f"    kdc = 127.0.0.1:{kdc_port}",
            "  }",
            "[domain_realm]",
            f"  localhost = {REALM}",
        )

    def _make_tickets(self) -> None:
        self._run(
            *("kinit", "-k", "-t", str(self.keytab), "-c", f"FILE:{self.ticket_cache}"),
            *("-l", f"{TICKET_LIFE}s", "monitor"),
        )
        self.expired_ticket_cache.write_bytes(_expired(self.ticket_cache.read_bytes()))

    def _start_apache(self) -> None:
        ports = _free_ports(3)
        self._https_port, self._client_certificate_port, self._proxy_port = ports
        digest = base64.b64encode(hashlib.sha1(PASSWORDS["monitor"].encode()).digest()).decode()
        self._write("htpasswd", f"monitor:{{SHA}}{digest}")
        modules = (
            "mpm_event authn_core authn_file authz_core authz_user authz_host auth_basic "
            "auth_gssapi alias mime ssl proxy proxy_connect"
        )
        self._write(
            "apache.conf",
            f"ServerRoot {self.directory}",
            f"DefaultRuntimeDir {self.directory}",
            f"PidFile {self.directory}/apache.pid",
            f"ErrorLog {self.directory}/apache.log",
            "ServerName localhost",
            *(["User www-data", "Group www-data"] if os.geteuid() == 0 else []),
            *(f"LoadModule {m}_module {APACHE_MODULES}/mod_{m}.so" for m in modules.split()),
            "StartServers 1",
            "ServerLimit 1",
            "MaxRequestWorkers 25",
            "MinSpareThreads 1",
            *(f"Listen 127.0.0.1:{port}" for port in ports),
            "TypesConfig /etc/mime.types",
            f'AliasMatch "^/" {self.answer_file}',
            f"<Directory {self.directory}>",
            "  Require all granted",
            "</Directory>",
            *self._gssapi_location("/kerberos", "krb5"),
            *self._gssapi_location("/ntlm", "ntlmssp"),
            *self._gssapi_location("/negotiate", "krb5", "ntlmssp"),
            "<Location /basic>",
            "  AuthType Basic",
            "  AuthName localhost",
            f"  AuthUserFile {self.directory}/htpasswd",
            "  Require valid-user",
            "</Location>",
            f"<VirtualHost 127.0.0.1:{self._https_port}>",
            *self._tls(),
            "  SSLProtocol TLSv1.3",
            f"  SSLCACertificateFile {self.ca_file}",
            "  <Location /client-certificate>",
            "    SSLVerifyClient require",  # asked for after the handshake
            "  </Location>",
            "</VirtualHost>",
            f"<VirtualHost 127.0.0.1:{self._client_certificate_port}>",
            *self._tls(),
            f"  SSLCACertificateFile {self.ca_file}",
            "  SSLVerifyClient require",
            "</VirtualHost>",
            f"<VirtualHost 127.0.0.1:{self._proxy_port}>",
            "  ProxyRequests On",
            "  AllowCONNECT 1-65535",
            "</VirtualHost>",
        )
        command = ["apache2", "-f", str(self.directory / "apache.conf"), "-D", "FOREGROUND"]
        apache = self._start("apache", command)
        for port in ports:
            self._wait_for(apache, "apache", port)

    def _gssapi_location(self, path: str, *mechanisms: str) -> list[str]:
        return [
            f"<Location {path}>",
            "  AuthType GSSAPI",
            "  AuthName localhost",
            *(f"  GssapiAllowedMech {mechanism}" for mechanism in mechanisms),
            # NTLM logs the connection in. Said for Kerberos too, it would let NTLM in as well.
            *(["  GssapiConnectionBound On"] if "ntlmssp" in mechanisms else []),
            "  Require valid-user",
            "</Location>",
        ]

    def _tls(self) -> list[str]:
        certificate = self.directory / "sha256"
        return [
            "  SSLEngine on",
            f"  SSLCertificateFile {certificate}.pem",
            f"  SSLCertificateKeyFile {certificate}.key",
        ]

    # Files and processes

    def _write(self, name: str, *lines: str) -> None:
        file = self.directory / name
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        file.chmod(0o644)  # whatever the umask, for www-data

    def _server_environment(self) -> dict[str, str]:
        return {
            "PATH": PATH,
            "LC_ALL": "C.UTF-8",
            "KRB5_CONFIG": str(self._krb5_conf),
            "KRB5_KDC_PROFILE": str(self.directory / "kdc.conf"),
            "KRB5_KTNAME": f"FILE:{self._service_keytab}",
            "NTLM_USER_FILE": str(self._users),
            "NETBIOS_COMPUTER_NAME": "PORTAL",
            "NETBIOS_DOMAIN_NAME": DOMAIN,
        }

    def _run(self, *command: str, input: str = "") -> str:
        done = subprocess.run(
            command,
            input=input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env=self._server_environment(),
        )
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stdout}")
        return done.stdout

    def _kadmin(self, *queries: str) -> str:
        return self._run("kadmin.local", "-r", REALM, input="\n".join(queries) + "\n")

    def _start(
        self, name: str, command: list[str], stdout: int = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        replay_cache = self.directory / f"{name}.replays"  # else one in /var/tmp
        replay_cache.touch()
        replay_cache.chmod(0o666)  # for www-data
        with (self.directory / f"{name}.err").open("w") as stderr:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],  # ends even if the tests are killed
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                encoding="utf-8",
                env={**self._server_environment(), "KRB5RCACHENAME": f"file2:{replay_cache}"},
                start_new_session=True,  # a resized terminal would end Apache
            )
        self._stack.callback(_stop, process)
        return process

    def _wait_for(self, process: subprocess.Popen[str], name: str, port: int) -> None:
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), DEADLINE).close()
                return
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
            try:
                process.wait(0.01)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError(f"{name} ended: see {self.directory}/{name}.*")


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(DEADLINE)
    if process.stdout:
        process.stdout.close()


def _free_ports(count: int) -> list[int]:
    """Free a moment ago: neither krb5kdc nor Apache can choose one and tell."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def _expired(ticket_cache: bytes) -> bytes:
    """The same tickets, ended an hour ago: a client judges by the times in its cache.

    A cache holds, for each ticket, the seconds of authentication, start and end in a row.
    """
    cache = bytearray(ticket_cache)
    for place in range(len(cache) - 12):
        authentication, start, end = struct.unpack_from(">3I", cache, place)
        if authentication == start == end - TICKET_LIFE:
            past = end - TICKET_LIFE - 3600
            struct.pack_into(">3I", cache, place, past - TICKET_LIFE, past - TICKET_LIFE, past)
            return bytes(cache)
    raise ValueError("no ticket in this cache")
