"""The check at a deploy's end: the proxy answers, as a client sees it, with the new release.

It uses the standard library: the import of another client would slow down every deploy and every plan.
"""

import json
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from ci.delivery import routes
from ci.delivery.release import Release
from ci.ground import errors

PATIENCE_SECONDS = 20
IN_A_ROW = 5  # good answers, after which the proxy is assumed to know no other


@dataclass(frozen=True)
class Check:
    """What is asked of the proxy: a path of a service, at its host; with `version` the answer has a release."""

    service: str
    host: str
    path: str
    version: bool


class _Stay(HTTPRedirectHandler):
    """Follows no redirect: that it is answered is the answer."""

    def redirect_request(self, *_: object) -> None:
        """Return nothing, which makes the redirect an HTTPError."""


def check(release: Release) -> Check | None:
    """Return what is asked: the release of a service that says it, else whether the first public one answers."""
    checks = [_check(release, route) for route in routes.public(release)]
    return next((check for check in checks if check.version), checks[0] if checks else None)


def ask(url: str, release: Release, check: Check) -> str:
    """Ask the proxy until it answers with this release alone; SmokeError if it does not in time."""
    begun, count, answer = time.monotonic(), 0, "nothing"
    wanted = f"release {release.number}" if check.version else ""
    trusted = ssl.create_default_context()  # what this machine trusts, with SSL_CERT_FILE
    while time.monotonic() - begun < PATIENCE_SECONDS:
        answer = _answer(f"{url}{check.path}", check, trusted)
        count = count + 1 if answer == wanted else 0
        if count == IN_A_ROW:
            return f"{wanted or check.service} answers at {url}"
        time.sleep(0.02 if count else 0.1)
    hint = f"inv logs --env={release.environment} --service=proxy"
    where = f"{url}{check.path}" + (f" with the host {check.host}" if check.host else "")
    raise errors.SmokeError(f"{where} does not answer with {wanted or 'a status below 500'}, but {answer}", hint)


def address(url: str, route: routes.Route) -> str:
    """Return where a client finds a service, whose proxy is reached at a URL from here."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{route.host or parts.hostname}{port}", path=route.path).geturl()


def _check(release: Release, route: routes.Route) -> Check:
    """Return how a service is asked at a path that the proxy leads to it: its version, its health, or any."""

    def public(path: str) -> bool:
        within = path == route.path or path.startswith(f"{route.path}/")
        return bool(path) and within and not any(f"{path}/".startswith(f"{hidden}/") for hidden in route.private)

    health = release.services[route.service].declared.health
    if public(health.version):
        return Check(route.service, route.host, health.version, version=True)
    path = next(filter(public, (health.alive, health.ready)), route.path or "/")
    return Check(route.service, route.host, path, version=False)


def _answer(url: str, check: Check, trusted: ssl.SSLContext) -> str:
    """Return the release that answers, nothing for a status below 500 where none is wanted, else what is wrong."""
    request = Request(url)  # noqa: S310, the engine says http or https
    if check.host:
        request.add_header("Host", check.host)
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=trusted), _Stay())
    try:
        with opener.open(request, timeout=5) as answer:
            return f"release {json.load(answer)['release']}" if check.version else ""
    except HTTPError as error:
        below = error.code < HTTPStatus.INTERNAL_SERVER_ERROR and not check.version
        return "" if below else f"with {error.code}"
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
