"""The laboratory judges logins as Windows would: else what is tested in it proves nothing.

Two independent clients ask: curl, and gssapi_client.py where a channel binding is needed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from windows_login_lab import PASSWORDS, SYSTEM_PYTHON, Acceptor, WindowsLoginLab

CLIENT = Path(__file__).with_name("gssapi_client.py")
PATH = "/QoEDataService/IntegrationLog/Status"


def run(
    lab: WindowsLoginLab, *command: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **lab.environment}
    return subprocess.run(command, env={**clean, **environment}, capture_output=True, text=True)


def statuses(
    lab: WindowsLoginLab,
    url: str,
    mechanism: str,
    binding: str = "none",
    user: str = "CQD\\monitor",
    password: str = PASSWORDS["monitor"],
) -> str:
    """Of the login, and of a second request on its connection."""
    login = [user, password] if mechanism == "ntlm" else []
    client = [SYSTEM_PYTHON, str(CLIENT), url + PATH, str(lab.ca_file), mechanism, binding]
    done = run(lab, *client, *login, KRB5CCNAME=str(lab.ticket_cache))
    return done.stdout.strip() or done.stderr


def curl(lab: WindowsLoginLab, url: str, *options: str, ticket: Path | None = None) -> str:
    """The status, or 000 and the exit code of curl."""
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{exitcode}"]
    command += ["--cacert", str(lab.ca_file), "--max-time", "10", *options, url]
    done = run(lab, *command, KRB5CCNAME=str(ticket or lab.ticket_cache))
    status, code = done.stdout.split()
    return status if code == "0" else f"{status} {code}"


def attempts(acceptor: Acceptor) -> list[tuple[str, str, bool]]:
    return [(login["login"], login["mechanism"], login["bound"]) for login in acceptor.logins()]


@pytest.mark.parametrize("mechanism", ["kerberos", "ntlm"])
@pytest.mark.parametrize(
    ("protection", "binding", "good", "bound"),
    [
        ("off", "none", True, False),
        ("off", "right", True, False),
        ("off", "wrong", True, False),
        ("accept", "none", True, False),
        ("accept", "right", True, True),
        ("accept", "wrong", False, False),
        ("require", "none", False, False),
        ("require", "right", True, True),
        ("require", "wrong", False, False),
    ],
)
def test_extended_protection(
    lab: WindowsLoginLab, mechanism: str, protection: str, binding: str, good: bool, bound: bool
) -> None:
    acceptor = lab.acceptor(extended_protection=protection)
    status = statuses(lab, acceptor.url, mechanism, binding).split()[0]
    assert status == ("200" if good else "401")
    [login] = acceptor.logins()
    assert (login["login"], login["bound"]) == ("granted" if good else "refused", bound)


@pytest.mark.parametrize("mechanism", ["kerberos", "ntlm"])
def test_binding_of_a_sha384_certificate(lab: WindowsLoginLab, mechanism: str) -> None:
    acceptor = lab.acceptor(extended_protection="require", certificate="sha384")
    statuses(lab, acceptor.url, mechanism, "right")
    assert acceptor.logins()[-1]["bound"]


@pytest.mark.parametrize("mechanism", ["kerberos", "ntlm"])
@pytest.mark.parametrize(("binding", "status"), [("right", "401"), ("none", "200")])
def test_behind_a_proxy_that_ends_tls(
    lab: WindowsLoginLab, mechanism: str, binding: str, status: str
) -> None:
    acceptor = lab.acceptor(extended_protection="accept", binding_certificate="sha384")
    assert statuses(lab, acceptor.url, mechanism, binding).split()[0] == status


def test_ntlm_logs_the_connection_in_and_kerberos_one_request(lab: WindowsLoginLab) -> None:
    acceptor = lab.acceptor()
    assert statuses(lab, acceptor.url, "ntlm") == "200 200"
    assert statuses(lab, acceptor.url, "kerberos") == "200 401"
    assert [
        (line["connection"], line["request"], line["scheme"], line["login"], line["user"])
        for line in acceptor.log()
    ] == [
        (1, 1, "NTLM", "continued", None),
        (1, 2, "NTLM", "granted", "CQD\\monitor"),
        (1, 3, None, None, "CQD\\monitor"),
        (2, 1, "Negotiate", "granted", "monitor@CQD.TEST"),
        (2, 2, None, None, None),
    ]


def test_a_wrong_password_is_one_attempt(lab: WindowsLoginLab) -> None:
    acceptor = lab.acceptor()
    assert statuses(lab, acceptor.url, "ntlm", password="wrong") == "401 401"
    [login] = acceptor.logins()
    assert login["login"] == "refused"
    assert login["reason"]


@pytest.mark.parametrize("user", ["CQD\\umlaut", "umlaut@CQD.TEST"])
def test_password_beyond_latin_1(lab: WindowsLoginLab, user: str) -> None:
    acceptor = lab.acceptor()
    password = PASSWORDS["umlaut"]
    assert statuses(lab, acceptor.url, "ntlm", user=user, password=password) == "200 200"
    kinit = f"printf '%s\\n' '{password}' | kinit -c MEMORY: umlaut"
    assert run(lab, "sh", "-c", kinit).returncode == 0


def test_basic(lab: WindowsLoginLab) -> None:
    acceptor = lab.acceptor(schemes="Basic")
    assert curl(lab, acceptor.url, "-u", f"CQD\\monitor:{PASSWORDS['monitor']}") == "200"
    assert curl(lab, acceptor.url, "-u", f"umlaut:{PASSWORDS['umlaut']}") == "200"
    assert curl(lab, acceptor.url, "-u", "monitor:wrong") == "401"
    assert [login[:2] for login in attempts(acceptor)] == [
        ("granted", "basic"),
        ("granted", "basic"),
        ("refused", "basic"),
    ]


@pytest.mark.parametrize("mechanism", ["kerberos", "ntlm"])
@pytest.mark.parametrize(
    ("offered", "scheme"), [("Negotiate,NTLM", "both"), ("Negotiate", "kerberos"), ("NTLM", "ntlm")]
)
def test_only_what_is_offered_is_taken(
    lab: WindowsLoginLab, mechanism: str, offered: str, scheme: str
) -> None:
    acceptor = lab.acceptor(schemes=offered)
    expected = "200" if scheme in ("both", mechanism) else "401"
    assert statuses(lab, acceptor.url, mechanism).split()[0] == expected


def test_plain_http(lab: WindowsLoginLab) -> None:
    acceptor = lab.acceptor(certificate=None)
    assert acceptor.url.startswith("http://")
    assert statuses(lab, acceptor.url, "ntlm") == "200 200"
    assert curl(lab, acceptor.url, "--negotiate", "-u", ":") == "200"


def test_forbidden_and_redirect(lab: WindowsLoginLab) -> None:
    acceptor = lab.acceptor()
    forbidden = f"{acceptor.url}/forbidden/x"
    redirect = f"{acceptor.url}/redirect?https://localhost/"
    assert curl(lab, forbidden, "--negotiate", "-u", ":") == "403"
    assert curl(lab, redirect, "--negotiate", "-u", ":") == "302"
    assert attempts(acceptor) == [("granted", "kerberos", False)]


@pytest.mark.parametrize("mechanism", ["kerberos", "ntlm"])
@pytest.mark.parametrize(
    ("fault", "outcome", "logins"),
    [
        ("none", "200", 1),
        ("empty-401", "200", 1),
        ("close-401", "200", 1),
        ("close-in-handshake", "RemoteDisconnected", 0),
        ("503-in-handshake", "503", 0),
        ("no-challenge", "401", 0),
    ],
)
def test_faults(
    lab: WindowsLoginLab, mechanism: str, fault: str, outcome: str, logins: int
) -> None:
    acceptor = lab.acceptor(fault=fault)
    assert outcome in statuses(lab, acceptor.url, mechanism)
    assert len(acceptor.logins()) == logins


def test_hang(lab: WindowsLoginLab) -> None:
    acceptor = lab.acceptor(fault="hang")
    assert curl(lab, acceptor.url, "--max-time", "0.3") == "401"
    assert curl(lab, acceptor.url, "--max-time", "0.3", "--negotiate", "-u", ":") == "000 28"
    assert acceptor.logins() == []


def test_the_answer_is_of_ones_choice(lab: WindowsLoginLab) -> None:
    acceptor = lab.acceptor(answer='{"mine": 1}', certificate=None)
    done = run(
        lab, "curl", "-s", "--negotiate", "-u", ":", acceptor.url, KRB5CCNAME=str(lab.ticket_cache)
    )
    assert json.loads(done.stdout) == {"mine": 1}


@pytest.mark.parametrize(
    ("path", "kerberos", "ntlm", "basic"),
    [
        ("/kerberos", "200", "401", "401"),
        ("/ntlm", "401", "200", "401"),
        ("/negotiate", "200", "200", "401"),
        ("/basic", "401", "401", "200"),
        ("/open", "200", "200", "200"),
    ],
)
def test_apache(lab: WindowsLoginLab, path: str, kerberos: str, ntlm: str, basic: str) -> None:
    url = lab.apache_url(path)
    assert curl(lab, url, "--negotiate", "-u", ":") == kerberos
    assert statuses(lab, url, "ntlm").split()[0] == ntlm
    assert curl(lab, url, "-u", f"monitor:{PASSWORDS['monitor']}") == basic


def test_client_certificate(lab: WindowsLoginLab) -> None:
    url = lab.client_certificate_url("/open")
    assert curl(lab, url).startswith("000")
    own = ["--cert", str(lab.client_certificate)]
    assert curl(lab, url, *own, "--key", str(lab.client_key)) == "200"
    encrypted = ["--key", str(lab.encrypted_client_key), "--pass", "key-password"]
    assert curl(lab, url, *own, *encrypted) == "200"


def test_proxy(lab: WindowsLoginLab) -> None:
    proxy = ["--proxy", lab.proxy_url, "-w", "%{http_connect} %{exitcode}"]
    acceptor = lab.acceptor()
    assert curl(lab, acceptor.url, *proxy, "--negotiate", "-u", ":") == "200"
    assert acceptor.logins()[0]["login"] == "granted"
    assert curl(lab, lab.apache_url("/open"), *proxy) == "200"


def kinit(lab: WindowsLoginLab, keytab: Path, **environment: str) -> str:
    return run(
        lab, "kinit", "-k", "-t", str(keytab), "-c", "MEMORY:", "monitor", **environment
    ).stderr


def test_key_tables(lab: WindowsLoginLab) -> None:
    assert kinit(lab, lab.keytab) == ""
    assert "no suitable keys" in kinit(lab, lab.other_keytab)
    assert "Preauthentication failed" in kinit(lab, lab.stale_keytab)


def test_failures_of_the_kdc(lab: WindowsLoginLab) -> None:
    assert "Cannot contact any KDC" in kinit(lab, lab.keytab, **lab.refusing_kdc_environment)
    command = ["timeout", "0.3", "kinit", "-k", "-t", str(lab.keytab), "-c", "MEMORY:", "monitor"]
    assert run(lab, *command, **lab.silent_kdc_environment).returncode == 124


def test_expired_ticket(lab: WindowsLoginLab) -> None:
    acceptor = lab.acceptor()
    ticket = lab.expired_ticket_cache
    assert curl(lab, acceptor.url, "--negotiate", "-u", ":", ticket=ticket) == "401"
    assert run(lab, "klist", "-s", str(lab.ticket_cache)).returncode == 0
    assert run(lab, "klist", "-s", str(ticket)).returncode == 1


def test_lockout(lab: WindowsLoginLab) -> None:
    def login(password: str) -> str:
        return run(lab, "sh", "-c", f"echo '{password}' | kinit -c MEMORY: monitor2").stderr

    assert login(PASSWORDS["monitor2"]) == ""
    for failure in (1, 2, 3):
        assert "Password incorrect" in login("wrong")
        assert lab.failed_logins("monitor2") == failure
    assert "credentials have been revoked" in login(PASSWORDS["monitor2"])


def test_nothing_is_left(lab: WindowsLoginLab) -> None:
    with tempfile.TemporaryDirectory() as directory, WindowsLoginLab(Path(directory)) as second:
        acceptor = second.acceptor()
        assert second.apache_url("/") != lab.apache_url("/")
    for url in (acceptor.url, second.apache_url(""), second.proxy_url):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 10)
    assert directory not in run(lab, "ps", "-e", "-o", "args").stdout
