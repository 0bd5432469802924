"""The worker's HTTP application: GET /health and GET /metrics (FR-5)."""

from collections.abc import Callable

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel

from models.health import HealthReport


class HealthAnswer(BaseModel):
    """Body of GET /health."""

    status: str
    model_loaded: bool
    redis_connected: bool
    consumer_alive: bool
    celery_alive: bool


def create_app(*, health: Callable[[], HealthReport], registry: CollectorRegistry) -> FastAPI:
    """The application.

    Args:
        health: state of the worker's parts, kept fresh by others; asked for on every request, so it must not block.
        registry: what GET /metrics shows.
    """
    app = FastAPI(title="wearon-worker", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    async def get_health() -> HealthAnswer:
        report = health()
        return HealthAnswer(
            status=report.status,
            model_loaded=report.model_loaded,
            redis_connected=report.redis_connected,
            consumer_alive=report.consumer_alive,
            celery_alive=report.celery_alive,
        )

    @app.get("/metrics")
    def get_metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app
