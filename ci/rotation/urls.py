"""The login in a URL: user and password; everything else in it stays as it is written."""

import secrets
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from ci.ground import errors
from runtime import Secret


@dataclass(frozen=True)
class Login:
    """User name and password of a URL, percent-decoded; either may be empty."""

    user: str
    password: Secret


def login(key: str, url: Secret) -> Login:
    """Return who a URL logs in; ProviderError, which names the key, when it has no password to be replaced."""
    parts = urlsplit(url.reveal())
    if not parts.password:
        hint = f"inv set --key={key} with the user and the password in the URL"
        raise errors.ProviderError(f"{key} has no password that could be replaced", hint)
    return Login(unquote(parts.username or ""), Secret(unquote(parts.password)))


def renewed(url: Secret, user: str) -> Secret:
    """Return the same URL with this user and a new, random password."""
    parts = urlsplit(url.reveal())
    host = parts.netloc.rpartition("@")[2]
    return Secret(parts._replace(netloc=f"{quote(user, safe='')}:{secrets.token_urlsafe(32)}@{host}").geturl())
