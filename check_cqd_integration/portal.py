"""One request to the portal: URL, login, redirects, size limit -> Answer.

Whatever goes wrong leaves this room as a PluginError; what went wrong on the way to the answer
begins with the step at which it happened.
"""

from __future__ import annotations

import http
import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3
from requests.auth import HTTPBasicAuth

from . import __version__
from .answer import Answer, read_limited
from .auth import Credentials
from .deadline import Deadline
from .errors import PortalError, UnreachableError, UsageError
from .transport import Transport, Trust, explain

_MAX_REDIRECTS = 5
_CHUNK = 16384
_HEADERS = {
    "User-Agent": f"check_cqd_integration/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # half a kilobyte needs no compression
}
_SCHEMES = ("Negotiate", "NTLM", "Basic", "Digest", "Bearer")
_HEADERS_WITHOUT_SECRETS = ("server", "date", "content-type", "content-length")
_TRY_AGAIN = (408, 429)


class Portal:
    """The portal whose status is at ``url``."""

    def __init__(
        self,
        url: str,
        trust: Trust,
        proxy: str | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self._url = url
        self._trust = trust
        self._proxy = proxy
        self._credentials = credentials
        self.exchange: list[str] = []
        """What went over the wire, line by line, secrets left out."""

    def fetch(self, deadline: Deadline) -> Answer:
        """Ask for the status with one GET on one connection, without a second try.

        Raises UnreachableError if no usable answer came, PortalError if the portal refused or
        sent elsewhere, AnswerError for more than 1 MiB, UsageError for a file or an address that
        cannot be used.
        """
        begin = time.monotonic()
        try:
            with _Session(self._proxy) as session, self._ask(session, deadline) as response:
                if response.status_code != 200:
                    raise self._refusal(response)
                deadline.step = f"reading the answer of {urlsplit(response.url).hostname}"
                body = read_limited(response.iter_content(_CHUNK))
        except requests.exceptions.InvalidURL as error:
            raise UsageError("the address of the portal is not one that can be asked") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise explain(error, deadline) from error
        seconds = time.monotonic() - begin
        self.exchange.append(f"{len(body)} bytes in {seconds:.3f}s")
        return Answer(body, _date(response), seconds)

    def _ask(self, session: _Session, deadline: Deadline) -> requests.Response:
        """Return the first answer that is not a redirect to be followed."""
        url = urlsplit(self._url)
        for _ in range(_MAX_REDIRECTS + 1):
            session.prepare_for(url.scheme, self._trust, deadline)
            self.exchange.append(f"GET {_without_query(url)}")
            response = session.get(
                url.geturl(),
                auth=self._login(),
                allow_redirects=False,
                stream=True,
                timeout=deadline.remaining(),
                verify=not self._trust.insecure,
            )
            self._note(response)
            if not response.is_redirect:
                return response
            with response:
                read_limited(response.iter_content(_CHUNK))  # so that the connection can go on
            url = self._followed(url, response.headers["Location"])
        raise PortalError(f"the portal redirects more than {_MAX_REDIRECTS} times")

    def _login(self) -> HTTPBasicAuth | None:
        if self._credentials is None:
            return None
        # As UTF-8 (RFC 7617): requests would fail for a text that is not Latin-1.
        user, password = self._credentials.username, self._credentials.password
        return HTTPBasicAuth(user.encode(), password.encode())

    def _followed(self, url: SplitResult, location: str) -> SplitResult:
        """Return where a redirect leads; raises PortalError if it must not be followed.

        It may lead anywhere on the same origin and, without credentials, from http to https on
        the same host.
        """
        try:
            target = urlsplit(urljoin(url.geturl(), location))
            same_origin = _origin(target) == _origin(url)
        except ValueError:
            raise PortalError("the portal redirects to something that is not a URL") from None
        upgraded = (url.scheme, target.scheme) == ("http", "https")
        same_host = target.hostname == url.hostname
        allowed = same_origin or (upgraded and same_host and self._credentials is None)
        if allowed and "@" not in target.netloc:
            return target._replace(fragment="")
        raise PortalError(
            f"the portal redirects to {target.scheme}://{target.netloc.rpartition('@')[2][:60]}, "
            f"which is not followed; if that is right, give its address with --url"
        )

    def _refusal(self, response: requests.Response) -> PortalError:
        code = response.status_code
        user = self._credentials.username if self._credentials else None
        if code == 401:
            offers = f"the portal offers {', '.join(_offered(response)) or 'no scheme'}"
            if user is not None:
                return PortalError(f"HTTP 401: the login of {user} was refused; {offers}")
            return PortalError(f"HTTP 401: a login is wanted; {offers}; give --username and --auth")
        if code == 403:
            if user is not None:
                return PortalError(
                    f"HTTP 403: {user} may not read the status; is it in the group of portal users?"
                )
            return PortalError("HTTP 403: not to be read without a login; give --username")
        told = f"HTTP {code} {_PHRASES.get(code, '')}".rstrip()
        if code == 407:
            return PortalError(f"{told}: the proxy wants a login, which is not supported")
        if code >= 500 or code in _TRY_AGAIN:
            return UnreachableError(f"{told}: the portal cannot answer now")
        if code == 404:
            return PortalError(f"{told}: is this the CQD portal, and its address right?")
        return PortalError(f"{told}: not the answer of a CQD portal")

    def _note(self, response: requests.Response) -> None:
        self.exchange.append(f"HTTP {response.status_code}")
        for name, value in response.headers.items():
            if name.lower() == "www-authenticate":
                value = ", ".join(_offered(response))
            elif name.lower() not in _HEADERS_WITHOUT_SECRETS:
                value = "(not shown)"
            self.exchange.append(f"{name[:40]}: {value[:80]}")


class _Session(requests.Session):
    """A session that takes nothing from the environment and follows no redirect by itself."""

    def __init__(self, proxy: str | None) -> None:
        super().__init__()
        self.trust_env = False
        self.headers.clear()
        self.headers.update(_HEADERS)
        self.adapters.clear()
        if proxy:
            self.proxies = {"http": proxy, "https": proxy}

    def prepare_for(self, scheme: str, trust: Trust, deadline: Deadline) -> None:
        """Mount our transport, with TLS settings only where they are needed: they cost time."""
        prefix = f"{scheme}://"
        if prefix not in self.adapters:
            tls = trust.context() if scheme == "https" else None
            self.mount(prefix, Transport(deadline, tls))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: requests would read the body of a redirect, however long it is."""


_PHRASES = {status.value: status.phrase for status in http.HTTPStatus}


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _without_query(url: SplitResult) -> str:
    return f"{url.scheme}://{url.netloc}{url.path}"


def _offered(response: requests.Response) -> list[str]:
    """Return the login schemes of all WWW-Authenticate headers, in the portal's order."""
    words = [
        part.split()[0].lower()
        for part in response.headers.get("WWW-Authenticate", "").split(",")
        if part.strip()
    ]
    return [scheme for scheme in _SCHEMES if scheme.lower() in words]


def _date(response: requests.Response) -> datetime | None:
    try:
        date = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)
