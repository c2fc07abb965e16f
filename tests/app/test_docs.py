"""The page of routes, as a browser shows it."""

from pathlib import Path

import pytest

from tests import browsers
from tests.app.asked import Api

pytestmark = [pytest.mark.browser, pytest.mark.server]


def test_the_page_of_routes_comes_from_here_alone(api: Api, tmp_path: Path) -> None:
    """It shows every route, its console is empty, and nothing is asked of another origin."""
    page, asked = browsers.shown(f"{api.running.url}/docs", tmp_path)

    paths = api.client.get("/openapi.json").json()["paths"]
    assert [] == [path for path in paths if f'data-path="{path}"' not in page]
    loaded = ("docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/start.js", "openapi.json")
    assert {f"{api.running.url}/{path}" for path in loaded} == asked
