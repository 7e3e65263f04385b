"""The smallest client with a channel binding of one's choice; it proves the laboratory.

    gssapi_client.py URL CA_FILE MECHANISM BINDING [USER PASSWORD]

MECHANISM is kerberos (from the ticket cache) or ntlm, BINDING none, right or wrong. It logs in,
asks again on the same connection without logging in, and prints both statuses.
"""

from __future__ import annotations

import base64
import ssl
import sys
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

import gssapi
from iis_acceptor import MECHANISMS, channel_binding


def ask(connection: HTTPConnection, path: str, authorization: str | None) -> HTTPResponse:
    headers = {"Authorization": authorization} if authorization else {}
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    response.read()
    return response


def main(url: str, ca_file: str, mechanism: str, binding: str, *login: str) -> None:
    place = urlsplit(url)
    connection = HTTPConnection(place.netloc, timeout=10)
    if place.scheme == "https":
        tls = ssl.create_default_context(cafile=ca_file)
        connection = HTTPSConnection(place.netloc, timeout=10, context=tls)
    connection.connect()
    channel = None
    if binding == "wrong":
        channel = b"tls-server-end-point:" + bytes(32)
    elif binding == "right":
        assert isinstance(connection.sock, ssl.SSLSocket)
        certificate = connection.sock.getpeercert(True)
        assert certificate
        channel = channel_binding(ssl.DER_cert_to_PEM_cert(certificate).encode())
    credentials = None
    if login:
        user, password = login
        credentials = gssapi.raw.acquire_cred_with_password(
            gssapi.Name(user, gssapi.NameType.user),
            password.encode(),
            mechs=[MECHANISMS[mechanism]],
        ).creds
    context = gssapi.SecurityContext(
        name=gssapi.Name(f"HTTP@{place.hostname}", gssapi.NameType.hostbased_service),
        creds=credentials,
        mech=MECHANISMS["spnego" if mechanism == "kerberos" else "ntlm"],
        channel_bindings=channel and gssapi.raw.ChannelBindings(application_data=channel),
        usage="initiate",
    )
    scheme = "Negotiate" if mechanism == "kerberos" else "NTLM"
    challenge = None
    while True:
        token = base64.b64encode(context.step(challenge)).decode()
        response = ask(connection, place.path, f"{scheme} {token}")
        challenge = base64.b64decode(
            (response.getheader("WWW-Authenticate") or "").partition(f"{scheme} ")[2]
        )
        if response.status != 401 or not challenge:
            break
    print(response.status, ask(connection, place.path, None).status)


if __name__ == "__main__":
    main(*sys.argv[1:])
