"""The page of routes at /docs: Swagger UI, from this origin alone and without a script in the page.

Its files are those that the package fastapi-offline carries. FastAPI's own page loads them from a CDN, beside the
tokens that people type into it.
"""

from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, HTMLResponse

PATH = "/docs"
POLICY = (  # the style sheet has its icons in data:
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
SCRIPT, STYLE = "swagger-ui-bundle.js", "swagger-ui.css"
PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Lockstep</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{PATH}/{STYLE}">
<div id="page"></div>
<script src="{PATH}/{SCRIPT}"></script>
<script src="{PATH}/start.js"></script>
</html>
"""
START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#page", validatorUrl: null});\n'


def routes() -> APIRouter:
    """Return the routes of the page and of what it loads."""
    router = APIRouter(prefix=PATH, include_in_schema=False)
    static = files("fastapi_offline") / "static"

    @router.get("")
    async def page() -> Response:
        return HTMLResponse(PAGE)

    @router.get("/start.js")
    async def start() -> Response:
        return Response(START, media_type="text/javascript")

    @router.get(f"/{SCRIPT}")
    async def script() -> Response:
        return FileResponse(str(static / SCRIPT), media_type="text/javascript")

    @router.get(f"/{STYLE}")
    async def style() -> Response:
        return FileResponse(str(static / STYLE), media_type="text/css")

    return router
