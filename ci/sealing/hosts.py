"""Which hosts a value points at: another environment's, or this very machine, however that is written."""

import re
import socket
import unicodedata
from collections.abc import Iterator, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address
from urllib.parse import unquote, urlsplit

from ci.ground.schema import Schema

Values = Mapping[str, str]
_LOCALHOST = re.compile(
    r"(?i)(?<![\w.-])(?:localhost(?:\.localdomain)?|127(?:\.[0-9]{1,3}){3}|host\.docker\.internal)(?![\w-]|\.\w)"
    r"|\[(?:0*:)*0*1\]|\A(?:0*:)+0*1\Z"
)
_HERE = re.compile(  # also names in public DNS that lead here, and those by which containers call their host
    r"(?:.*\.)?(?:localhost|localdomain|localtest\.me|lvh\.me|vcap\.me|lacolhost\.com|yoogle\.com"
    r"|(?:docker|containers|lima|minikube|k3d|orb)\.internal)"
    r"|localhost[46]?(?:\.localdomain[46]?)?|ip6-(?:localhost|loopback)|loopback"
    r"|(?:.*[.-])?(?:127[.-][0-9]+[.-][0-9]+[.-][0-9]+|7f[0-9a-f]{6})\.(?:nip|sslip|xip)\.io"
)
_DOTTED = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){1,3}")
_NUMBER = re.compile(r"[0-9a-fx.]+")
_FOUR = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_OF_HOSTS = re.compile(
    r"(?:^|_)(?:HOST(?:NAME|S)?|ADDR(?:ESS)?|SERVERS?|ENDPOINTS?|UPSTREAM|BROKERS?|NODES?|PEERS?)(?:_|$)"
)
_LISTENING = re.compile(r"(?:^|_)(?:BIND|LISTEN(?:ING)?)(?:_|$)")
_HERE_V4, _ANY_V4 = IPv4Network("127.0.0.0/8"), IPv4Address(0)
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_NAMES = {  # what hosts call the environments that many projects have
    "local": ("localdev",),
    "dev": ("development",),
    "staging": ("stage", "stg"),
    "prod": ("production", "prd"),
}
_DOMAINS = frozenset({"dev", "local", "test"})  # top-level domains that read like environments


def here(key: str, value: str) -> bool:
    """Whether the value of a key points at the machine itself."""
    text = unicodedata.normalize("NFKC", value).replace("\u3002", ".").lower()
    if _LOCALHOST.search(text):
        return True
    listens, of_hosts = bool(_LISTENING.search(key)), bool(_OF_HOSTS.search(key))
    return any(_is_here(host, sure=sure or of_hosts, listens=listens) for host, sure in _written(text))


def elsewhere(environment: str, value: str, others: list[str], foreign: Mapping[str, str]) -> str | None:
    """Return the other environment that a value points at; `foreign` has the hosts that only another one has."""
    for host in hosts(value):
        if host in foreign:
            return foreign[host]
        labels = _labels(host)
        if labels.isdisjoint(_aliases(environment)):
            whose = next((name for name in others if not labels.isdisjoint(_aliases(name))), None)
            if whose:
                return whose
    return None


def foreign(schema: Schema, values: Mapping[str, Values], name: str) -> dict[str, str]:
    """Return the hosts that other environments have in keys that differ everywhere, and whose each is."""
    own = {key.name for key in schema.keys.values() if key.meta.get("differs_everywhere")}
    mine = {host for key in own for host in hosts(values.get(name, {}).get(key, ""))}
    return {
        host: other
        for other, entries in values.items()
        if other != name
        for key in own
        for host in hosts(entries.get(key, ""))
        if "." in host and host not in mine
    }


def hosts(value: str) -> set[str]:
    """Return what may be a host in a value: of a URL, of an address, or the whole of it."""
    names = set()
    for part in re.split(r"[,\s]", value.lower()):
        try:
            host = urlsplit(part).hostname if "://" in part else part.rpartition("@")[2].partition(":")[0]
        except ValueError:
            host = None
        if host and _HOST.fullmatch(host) and ("://" in part or "." in host or "-" in host):
            names.add(host.rstrip("."))
    return names


def _written(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each part of a value that may be a host, and whether it surely is one: that of a URL."""
    for part in re.split(r"[\s,;|&?]+", text):
        before, slashes, after = part.rpartition("://")
        if slashes:
            authority = re.split(r"[/\\?#]", after, maxsplit=1)[0]
            yield _without_port(unquote(authority.rpartition("@")[2])), True
        name, _, rest = (before if slashes else after).rpartition("=")
        yield _without_port(re.split(r"[/\\]", rest.rpartition("@")[2], maxsplit=1)[0]), "host" in name


def _without_port(text: str) -> str:
    """Return a host without the port and the brackets around it."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _is_here(host: str, *, sure: bool, listens: bool) -> bool:
    """Whether a host is this machine: by a name, or as a number in any of the ways that inet_aton reads."""
    host = host.rstrip(".")
    if ":" in host:
        return _is_here_v6(host.partition("%")[0], listens=listens)
    if _HERE.fullmatch(host):
        return True
    if not _NUMBER.fullmatch(host) or not (sure or _DOTTED.fullmatch(host)):
        return False
    try:
        address = IPv4Address(socket.inet_aton(host))
    except OSError:
        return False
    if address == _ANY_V4:
        return not listens and (sure or bool(_FOUR.fullmatch(host)))
    return address in _HERE_V4


def _is_here_v6(host: str, *, listens: bool) -> bool:
    try:
        address = IPv6Address(host)
    except AddressValueError:
        return False
    inner = IPv4Address(int(address) & 0xFFFFFFFF)  # ::ffff:127.0.0.1, ::127.0.0.1, 64:ff9b::127.0.0.1
    within = int(address) >> 32 in (0, 0xFFFF, 0xFFFF0000, 0x64FF9B << 64)
    if address.is_unspecified or (within and int(address) >> 32 and inner == _ANY_V4):
        return not listens
    return address.is_loopback or (within and inner in _HERE_V4) or (address.sixtofour or _ANY_V4) in _HERE_V4


def _labels(host: str) -> set[str]:
    labels = host.split(".")
    if len(labels) > 1 and labels[-1] in _DOMAINS:
        labels.pop()
    return {part for label in labels for part in re.split(r"[-_]", label)} | set(labels)


def _aliases(name: str) -> set[str]:
    return {name, *_NAMES.get(name, ())}
