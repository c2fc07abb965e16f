"""Where a value points, however that is written."""

import pytest

from ci.sealing import hosts

NUMBERS = ["127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0x7f000001", "0177.0.0.1", "2130706433", "017700000001"]
NAMES = ["localhost", "LOCALHOST.", "api.localhost", "localhost.localdomain", "ip6-loopback", "lvh.me", "a.lvh.me"]
CONTAINERS = [
    "host.docker.internal",
    "gateway.docker.internal",
    "host.containers.internal",
    "host.minikube.internal",
]
SIXES = ["[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[64:ff9b::127.0.0.1]"]
ANY = ["0.0.0.0", "0", "0x0", "0.0"]
LETTERS = ["\uff4cocalhost", "127\u30020\u30020\u30021", "\u2460\u2461\u2466.0.0.1", "%6cocalhost", "127%2e0.0.1"]


@pytest.mark.parametrize("host", [*NUMBERS, *NAMES, *CONTAINERS, *SIXES, *ANY, *LETTERS])
@pytest.mark.parametrize(
    "shape", ["https://{}", "redis://a:b@{}:6379/0", "https://other.example,https://{}:80/x?y"]
)
def test_this_machine_by_any_spelling(host: str, shape: str) -> None:
    """As a number that inet_aton reads, as a name, in IPv6, and in letters that look alike."""
    assert hosts.here("URL", shape.format(host))


@pytest.mark.parametrize(
    "host", ["1.2.3.4", "localhost.example.com", "mylocalhost", "128.0.0.1", "[2001:db8::1]", "12"]
)
@pytest.mark.parametrize("shape", ["https://{}", "redis://a:b@{}:6379/0"])
def test_other_machines(host: str, shape: str) -> None:
    """Names and numbers that only look like it."""
    assert not hosts.here("URL", shape.format(host))


@pytest.mark.parametrize(("key", "expected"), [("HOST", True), ("BIND_HOST", False), ("LISTEN_ADDRESS", False)])
def test_where_a_service_listens(key: str, expected: bool) -> None:  # noqa: FBT001, the parameter of a case
    """Every address of this machine is where a service listens, and nowhere to connect to."""
    assert expected == hosts.here(key, "0.0.0.0")
    assert expected == hosts.here(key, "::")
