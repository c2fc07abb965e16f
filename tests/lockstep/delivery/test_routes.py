"""Which requests the proxy leads where: precedence, and what is refused before a deploy."""

import pytest

from ci.delivery import routes
from ci.delivery.release import Release, Service
from ci.ground import errors, services
from ci.ground.services import Public


def release(**public: Public) -> Release:
    """Return a release with these public services, and one that is not public."""
    declared = {name: services.Service(("run",), port=80, public=about) for name, about in public.items()}
    declared["private"] = services.Service(("run",))
    running = {name: Service(about, 1, []) for name, about in declared.items()}
    return Release("dev", 1, "abc", {}, [], "me", "now", services=running)


def test_the_longest_path_comes_first_and_a_host_before_any() -> None:
    """A trailing slash makes no difference, and the root is an empty path."""
    made = release(
        web=Public(), shop=Public("SHOP.example"), hooks=Public(path="/api/hooks/"), api=Public(path="/api")
    )

    found = [(route.service, route.host, route.path) for route in routes.of(made)]

    wanted = [("hooks", "", "/api/hooks"), ("api", "", "/api"), ("shop", "shop.example", ""), ("web", "", "")]
    assert wanted == found


@pytest.mark.parametrize("host", ["https://shop.example", "a b", "*.example", "{HOST}", "shop.example:80"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    """A host is a name alone, also one that was a plain value; the plan of a deploy says so."""
    with pytest.raises(errors.ConfigurationError, match="the host of web is not a host's name"):
        routes.of(release(web=Public(host)))


def test_two_services_at_one_place_are_refused() -> None:
    """Which of them would answer is for nobody to guess."""
    with pytest.raises(errors.ConfigurationError, match="api and web are both public at any host, /"):
        routes.of(release(web=Public(), api=Public()))
