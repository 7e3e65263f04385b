"""An Active Directory: its domain controller, a web server that has joined it, a monitoring host.

The directory is Samba's, the portal an Apache that asks for Kerberos or, by winbind, for NTLM. Each
of the three is a host as in network_lab.py, with real ports and paths: nothing listens on this
machine, nothing is written outside one directory, and all ends with the `with` block. Debian
packages: apache2 faketime gss-ntlmssp iproute2 krb5-user ldb-tools libapache2-mod-auth-gssapi
openssl samba samba-ad-dc samba-ad-provision winbind.

    with DirectoryLab(directory) as lab:
        done = lab.ask("-H", PORTAL, "-l", "monitor@CORP.TEST", "--keytab", str(lab.keytab))
        assert lab.failed_logins("monitor") == 0

Samba is not Windows: a wrong password by NTLM as `user@REALM` is refused, but not counted.
"""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path

from network_lab import PATH, PATIENCE, Host, Outcome

REALM, DOMAIN = "CORP.TEST", "CORP"
PORTAL = "portal.corp.test"
ALIAS = "cqd.corp.test"
"""Another name of the portal, whose canonical name is PORTAL, as with a CNAME in DNS."""
NO_SPN = "nospn.corp.test"
"""The portal by a name that no account has the SPN of."""
WRONG_SPN = "wrongspn.corp.test"
"""The portal by a name whose SPN is on another account than the portal's."""
PASSWORD, OLD_PASSWORD = "Passw0rd!", "the 1 before it"
LOCKOUT_THRESHOLD = 5
USERS = ("monitor", "stranger", "disabled", "ended", "expired", "mustchange", "locked")
"""Of the group that may read below /restricted: all but stranger. `ended` is an account past its
end, `expired` one whose password is too old."""

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
NEEDED_PROGRAMS = (
    *("apache2", "ip", "kinit", "ktutil", "ldbmodify", "net", "nsenter", "openssl", "samba"),
    *("samba-tool", "setpriv", "unshare", "wbinfo", "winbindd"),
)
APACHE_MODULES = Path("/usr/lib/apache2/modules")
DIRECTORY_HOST, WEB, MONITOR = "192.0.2.1", "192.0.2.2", "192.0.2.3"

_BASE = "DC=corp,DC=test"
_PRIVATE = "/var/lib/samba/private"
_ADMINISTRATOR = "Adm1nPassw0rd!"
_PARTITION = f"tdb://{_PRIVATE}/sam.ldb.d/DC=CORP,DC=TEST.ldb"
"""The file below the directory's own rules, which forbid to write when a password was set."""
_EPOCH = datetime(1601, 1, 1, tzinfo=timezone.utc)  # of Windows


def missing() -> str | None:
    """What the laboratory needs and the machine lacks."""
    for program in NEEDED_PROGRAMS:
        if not shutil.which(program, path=PATH):
            return f"{program} is not installed"
    if not (APACHE_MODULES / "mod_auth_gssapi.so").exists():
        return "mod_auth_gssapi is not installed"
    if not FAKETIME:
        return "faketime is not installed"
    if not Path("/usr/share/samba/setup/provision.ldif").exists():
        return "samba-ad-provision is not installed"
    try:
        with Server():
            return None
    except RuntimeError:
        return "no namespaces can be had"


class Server(Host):
    """A host whose daemons all end with it, as it has a namespace of processes as well."""

    unshared = (*Host.unshared, "--pid", "--fork", "--kill-child")

    def __enter__(self) -> Server:
        super().__enter__()
        self._daemons: list[subprocess.Popen[bytes]] = []
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for daemon in self._daemons:
            daemon.wait(PATIENCE)

    def command(self, *command: str) -> list[str]:
        [program, *options] = super().command(*command)
        return [program, f"--pid=/proc/{self.pid}/ns/pid_for_children", *options]

    def start(self, log: Path, *command: str) -> None:
        """Start a daemon that stays in the foreground."""
        with log.open("w") as output:
            daemon = subprocess.Popen(
                self.command(*command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,  # a resized terminal would end Apache
            )
        self._daemons.append(daemon)

    def wait_for(self, address: str, port: int) -> None:
        """Wait until a server takes connections from here."""
        with self.inside():
            _wait(lambda: _is_open(address, port))


class DirectoryLab:
    """Starts on entering, ends on leaving. www-data must be able to reach `directory`.

    The portal answers with `answer` at https://PORTAL/QoEDataService/... to all users, below
    /restricted to the group alone, with 403 to others, below /unauthorized the same with 401.
    """

    def __init__(self, directory: Path, answer: str) -> None:
        self.directory = directory
        self.ca_file = directory / "portal.pem"
        self.keytab = directory / "users.keytab"
        """With the keys of all users."""
        self.old_keytab = directory / "old.keytab"
        """With monitor's key of a password that it no longer has."""
        self.ticket_cache = directory / "monitor.ccache"
        self._answer = answer
        self._stack = ExitStack()
        self._controller, self._web, self._monitor = Server(), Server(), Host()

    def ask(self, *options: str, environment: Mapping[str, str] | None = None) -> Outcome:
        """Run the plugin on the monitoring host."""
        return self.run_python("-m", "check_cqd_integration", *options, environment=environment)

    def run_python(self, *command: str, environment: Mapping[str, str] | None = None) -> Outcome:
        """Run the Python that has the plugin on the monitoring host; FAKETIME moves its clock."""
        environment = {} if environment is None else environment
        moved = "FAKETIME" in environment or "FAKETIME_TIMESTAMP_FILE" in environment
        preload = {"LD_PRELOAD": str(FAKETIME)} if moved else {}
        began = time.monotonic()
        done = subprocess.run(
            self._monitor.command(sys.executable, *command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            env={**self._monitor.environment, **preload, **environment},
            timeout=PATIENCE,
        )
        took = time.monotonic() - began
        assert done.stderr == ""
        return Outcome(done.returncode, done.stdout, took)

    def failed_logins(self, user: str) -> int:
        """How many wrong logins the directory has counted against a user."""
        found = self._controller.run(
            *("ldbsearch", "-H", f"{_PRIVATE}/sam.ldb", f"(sAMAccountName={user})", "badPwdCount")
        )
        prefix = "badPwdCount: "
        counts = [line for line in found.splitlines() if line.startswith(prefix)]
        return int(counts[0][len(prefix) :]) if counts else 0

    def forget_failed_logins(self, user: str) -> None:
        """Let the directory count from 0 again."""
        self._modify(f"{_PRIVATE}/sam.ldb", _change(user, badPwdCount=0, lockoutTime=0))

    # Beginning and end

    def __enter__(self) -> DirectoryLab:
        try:
            self.directory.chmod(0o755)  # whatever the umask, for www-data
            for host, name, address in (
                (self._controller, "dc", DIRECTORY_HOST),
                (self._web, "web", WEB),
                (self._monitor, "mon", MONITOR),
            ):
                self._stack.enter_context(host)
                self._furnish(host, name, address)
            self._connect()
            self._start_controller()
            self._make_keytabs()
            self._start_web()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _furnish(self, host: Host, name: str, address: str) -> None:
        """Give a host its name, name server and Kerberos settings, and places of its own."""
        place = self.directory / name
        place.mkdir(mode=0o755)
        (place / "hosts").write_text(
            f"127.0.0.1 localhost\n{address} {name}.corp.test {name}\n"
            f"{WEB} {PORTAL} {ALIAS}\n{WEB} {NO_SPN}\n{WEB} {WRONG_SPN}\n"
        )
        (place / "resolv.conf").write_text(f"search corp.test\nnameserver {DIRECTORY_HOST}\n")
        # What README asks for, and no more: where the KDC is, DNS knows.
        (place / "krb5.conf").write_text(
            f"[libdefaults]\n  default_realm = {REALM}\n  rdns = false\n"
        )
        for file in place.iterdir():
            file.chmod(0o644)
        host.environment = {
            "PATH": PATH,
            "LC_ALL": "C",
            "KRB5_CONFIG": str(place / "krb5.conf"),
            "KRB5CCNAME": f"FILE:{place / 'default.ccache'}",
        }
        host.run("hostname", name)
        host.ip("link set lo up")
        for file_name in ("hosts", "resolv.conf"):
            host.run("mount", "--bind", str(place / file_name), f"/etc/{file_name}")
        host.run("mount", "-t", "tmpfs", "none", "/run")
        if isinstance(host, Server):
            for target in ("/etc/samba", "/var/lib/samba", "/var/cache/samba", "/var/log/samba"):
                source = place / target[1:].replace("/", "-")
                source.mkdir(mode=0o755)
                host.run("mount", "--bind", str(source), target)
            # Before winbindd makes it itself: Apache may ask it as a member of this group alone.
            host.run(
                *("sh", "-ec"),
                "mkdir /run/samba; mkdir -m 700 /var/lib/samba/private\n"
                "mkdir -m 750 /var/lib/samba/winbindd_privileged\n"
                "chgrp winbindd_priv /var/lib/samba/winbindd_privileged",
            )

    def _connect(self) -> None:
        """Plug cables of the other two into a switch at the domain controller."""
        self._controller.ip(
            "link add switch type bridge",
            f"address add {DIRECTORY_HOST}/24 dev switch",
            "link set switch up",
        )
        for host, name, address in ((self._web, "web", WEB), (self._monitor, "mon", MONITOR)):
            self._controller.ip(
                f"link add {name} type veth peer name cable netns /proc/{host.pid}/ns/net",
                f"link set {name} master switch up",
            )
            host.ip(f"address add {address}/24 dev cable", "link set cable up")

    def _start_controller(self) -> None:
        controller = self._controller
        controller.run(
            *("samba-tool", "domain", "provision", f"--realm={REALM}", f"--domain={DOMAIN}"),
            *("--server-role=dc", "--dns-backend=SAMBA_INTERNAL", f"--adminpass={_ADMINISTRATOR}"),
            *("--host-name=dc", f"--host-ip={DIRECTORY_HOST}", "--option=dns forwarder="),
            *("--option=interfaces=lo switch", "--option=bind interfaces only=yes"),
            "--option=server services=-dnsupdate -drepl -kcc -ntp_signd -wrepl",
        )
        self._modify(f"{_PRIVATE}/sam.ldb", *_accounts())
        moment = _windows_time(datetime.now(timezone.utc))
        self._modify(
            _PARTITION,
            _change("expired", pwdLastSet=_windows_time(datetime(2022, 6, 1, tzinfo=timezone.utc))),
            _change("locked", lockoutTime=moment, badPwdCount=LOCKOUT_THRESHOLD),
        )
        controller.start(self.directory / "samba.out", "samba", "-F", "--no-process-group")
        for port in (53, 88, 389, 445):
            controller.wait_for(DIRECTORY_HOST, port)

    def _make_keytabs(self) -> None:
        """Make them of the passwords, which is faster than to export them."""

        def key(user: str, password: str, principal: str = "") -> str:
            words = f"-p {principal or user}@{REALM} -s {REALM}{user} -k 1"
            return f"addent -password {words} -e aes256-cts-hmac-sha1-96\n{password}"

        lines = [
            *(key(user, PASSWORD) for user in USERS),
            *(f"write_kt {self.keytab}", "clear_list"),
            key("monitor", OLD_PASSWORD),
            *(f"write_kt {self.old_keytab}", "clear_list"),
            key("portal", PASSWORD, f"HTTP/{PORTAL}"),
            f"write_kt {self.directory}/http.keytab",
        ]
        self._monitor.run("ktutil", input="\n".join(lines) + "\n")
        shutil.chown(self.directory / "http.keytab", "www-data")

    def get_ticket(self) -> None:
        """Put a ticket of monitor into the ticket cache."""
        cache = f"FILE:{self.ticket_cache}"
        self._monitor.run("kinit", "-k", "-t", str(self.keytab), "-c", cache, f"monitor@{REALM}")

    def _start_web(self) -> None:
        web = self._web
        (self.directory / "web" / "etc-samba" / "smb.conf").write_text(
            "[global]\n"
            f"  workgroup = {DOMAIN}\n  realm = {REALM}\n  security = ADS\n  netbios name = WEB\n"
            "  interfaces = lo cable\n  bind interfaces only = yes\n"
            "  idmap config * : backend = tdb\n  idmap config * : range = 100000-199999\n"
        )
        web.run("net", "ads", "join", "-U", f"administrator%{_ADMINISTRATOR}", "--no-dns-updates")
        web.start(self.directory / "winbindd.out", "winbindd", "-F", "--no-process-group")
        self._make_certificate()
        (self.directory / "answer.json").write_text(self._answer)
        (self.directory / "groups").write_text(_groups())
        (self.directory / "apache.conf").write_text("\n".join(self._apache_conf()) + "\n")
        for name in ("answer.json", "groups", "apache.conf"):
            (self.directory / name).chmod(0o644)
        # Not GssapiCredStore: that gives gss-ntlmssp no credential of an acceptor.
        keytab = f"KRB5_KTNAME=FILE:{self.directory}/http.keytab"
        command = ("apache2", "-f", str(self.directory / "apache.conf"), "-D", "FOREGROUND")
        web.start(self.directory / "apache.out", "env", keytab, "KRB5RCACHENAME=none:", *command)
        web.wait_for(WEB, 443)
        _wait(
            lambda: not subprocess.run(web.command("wbinfo", "-t"), capture_output=True).returncode
        )

    def _make_certificate(self) -> None:
        self._web.run(
            # From two days ago on, for hosts whose clock is behind.
            *("env", f"LD_PRELOAD={FAKETIME}", "FAKETIME=-2d", "openssl", "req"),
            *("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "30", "-subj", f"/CN={PORTAL}", "-out", str(self.ca_file)),
            *("-keyout", str(self.directory / "portal.key"), "-addext"),
            f"subjectAltName=DNS:{PORTAL},DNS:{ALIAS},DNS:{NO_SPN},DNS:{WRONG_SPN}",
        )
        self.ca_file.chmod(0o644)

    def _apache_conf(self) -> list[str]:
        modules = (
            "mpm_event authn_core authz_core authz_user authz_host authz_groupfile auth_gssapi "
            "alias mime ssl"
        )
        group = (f"  AuthGroupFile {self.directory}/groups", "  Require group CQDPortalUsers")
        return [
            f"ServerRoot {self.directory}",
            f"DefaultRuntimeDir {self.directory}",
            f"PidFile {self.directory}/apache.pid",
            f"ErrorLog {self.directory}/apache.log",
            f"ServerName {PORTAL}",
            "User www-data",
            "Group winbindd_priv",
            *(f"LoadModule {m}_module {APACHE_MODULES}/mod_{m}.so" for m in modules.split()),
            "StartServers 1",
            "ServerLimit 1",
            "MaxRequestWorkers 25",
            "MinSpareThreads 1",
            f"Listen {WEB}:443",
            "SSLEngine on",
            f"SSLCertificateFile {self.ca_file}",
            f"SSLCertificateKeyFile {self.directory}/portal.key",
            "TypesConfig /etc/mime.types",
            f'AliasMatch "^/" {self.directory}/answer.json',
            f"<Directory {self.directory}>",
            "  Require all granted",
            "</Directory>",
            *_location("/QoEDataService", "  Require valid-user"),
            *_location("/restricted", *group, "  AuthzSendForbiddenOnFailure On"),
            *_location("/unauthorized", *group),
        ]

    def _modify(self, database: str, *changes: str) -> None:
        self._controller.run("ldbmodify", "-H", database, input="\n\n".join(changes) + "\n")


def _location(path: str, *rules: str) -> list[str]:
    return [
        f"<Location {path}>",
        "  AuthType GSSAPI",
        "  AuthName portal",
        "  GssapiAllowedMech krb5",
        "  GssapiAllowedMech ntlmssp",
        "  GssapiConnectionBound On",  # else NTLM is not even offered
        *rules,
        "</Location>",
    ]


def _groups() -> str:
    """The portal's own group, by the names that Kerberos and NTLM give its members."""
    members = [user for user in USERS if user != "stranger"]
    kerberos = " ".join(f"{user}@{REALM}" for user in members)
    ntlm = " ".join(f"{DOMAIN}\\\\{user}" for user in members)
    return f"CQDPortalUsers: {kerberos} {ntlm}\n"


def _accounts() -> list[str]:
    """The rules for passwords, then the accounts, as changes of the directory (LDIF)."""
    half_an_hour = -30 * 60 * 10**7
    rules = {
        "lockoutThreshold": LOCKOUT_THRESHOLD,
        "lockoutDuration": half_an_hour,
        "lockOutObservationWindow": half_an_hour,
        "minPwdAge": 0,
        "pwdProperties": 0,
    }
    two_days_ago = _windows_time(datetime.now(timezone.utc) - timedelta(days=2))
    return [
        _replace(_BASE, rules),
        *(_account(user) for user in USERS if user not in ("disabled", "ended")),
        _account("disabled", userAccountControl=0x202),
        _account("ended", accountExpires=two_days_ago),
        _service_account("portal", PORTAL, PASSWORD),
        _service_account("other", WRONG_SPN, "0f another"),
        _change("mustchange", pwdLastSet=0),
    ]


def _account(name: str, password: str = PASSWORD, **attributes: int | str) -> str:
    quoted = base64.b64encode(f'"{password}"'.encode("utf-16-le")).decode()
    all_attributes = {"userAccountControl": 0x200, **attributes}
    return "\n".join(
        [
            f"dn: CN={name},CN=Users,{_BASE}",
            "changetype: add",
            "objectClass: user",
            f"sAMAccountName: {name}",
            f"userPrincipalName: {name}@{REALM}",
            f"unicodePwd:: {quoted}",
            *(f"{key}: {value}" for key, value in all_attributes.items()),
        ]
    )


def _service_account(name: str, host: str, password: str) -> str:
    spn = {"servicePrincipalName": f"HTTP/{host}"}
    aes = {"msDS-SupportedEncryptionTypes": 24}  # else its tickets are encrypted with RC4
    return _account(name, password, **spn, **aes)


def _change(name: str, **attributes: int) -> str:
    return _replace(f"CN={name},CN=Users,{_BASE}", attributes)


def _replace(dn: str, attributes: Mapping[str, int]) -> str:
    changes = (f"replace: {key}\n{key}: {value}" for key, value in attributes.items())
    return f"dn: {dn}\nchangetype: modify\n" + "\n-\n".join(changes)


def _windows_time(moment: datetime) -> int:
    """Tenths of a microsecond since 1601."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 10


def _is_open(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("a daemon does not start")
        time.sleep(0.02)
