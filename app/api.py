"""The application: its routes put together."""

from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, Info, generate_latest
from starlette.types import ASGIApp

from app import docs, notifications, problems, tokens
from app.destinations import Destinations
from app.limits import Backlog, Recipients
from app.requests import Requests
from app.schemas import Health, Version
from app.submission import Bounds
from model import database, health, queue
from runtime import Config

BUILD = Info("lockstep", "The release that runs.")
READINESS: dict[int | str, dict[str, Any]] = {
    200: {"model": dict[str, str], "description": "each part is ok"},
    503: {"model": dict[str, str], "description": "a part is not"},
}


class Documented(FastAPI):
    """FastAPI, whose OpenAPI document knows our problem documents."""

    def openapi(self) -> dict[str, Any]:
        """Return the document."""
        document = super().openapi()
        document["components"]["schemas"]["Problem"] = problems.DOCUMENT
        return document


def create(config: Config, sha: str = "unknown", release: int = 0) -> ASGIApp:
    """Return the ASGI application of this configuration; nothing is connected before the first request."""
    app = Documented(
        title="Lockstep",
        version=sha,
        summary="Send SMS and e-mail, and see what became of them.",
        servers=[{"url": config.public_base_url}],
        docs_url=None,
        redoc_url=None,
    )
    engine, broker = database.engine(config), queue.broker(config)
    BUILD.info({"sha": sha, "release": str(release), "environment": config.environment})
    problems.install(app)
    bounds = Bounds(
        Destinations(config.sms_countries), Recipients(config.recipient_per_hour), Backlog(config.backlog_max)
    )
    app.include_router(notifications.routes(engine, broker, bounds, tokens.guarded(config)))

    app.include_router(docs.routes())

    @app.get("/healthz", tags=["operation"], summary="The process runs")
    async def healthz() -> Health:
        return Health()

    @app.get("/readyz", tags=["operation"], summary="Database, queue and schema are there", responses=READINESS)
    def readyz() -> JSONResponse:
        parts = health.readiness(engine, broker)
        return JSONResponse(parts, 200 if health.ready(parts) else 503)

    @app.get("/version", tags=["operation"], summary="Which release answers")
    async def version() -> Version:
        return Version(sha=sha, release=release)

    @app.get("/metrics", tags=["operation"], summary="For Prometheus", response_class=PlainTextResponse)
    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Requests(app, config.api_concurrency)
