"""The worker's HTTP application: POST /estimate-body (FR-4), GET /health and GET /metrics (FR-5)."""

from collections.abc import Callable
from typing import Final, Literal

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel

from models.health import Component, HealthReport
from models.size_rec import EstimateBodyResponse
from services.fetching.url_guard import TrustedHosts
from size_rec.metrics import SizeMetrics
from size_rec.processes.pool import BodyEstimator
from web.edges import RequestEdges, error_handlers
from web.http_metrics import instrument
from web.openapi import ANSWERS, REQUEST_ID_PARAMETER, DocumentedApp
from web.size_route import SizeRoute

DEADLINE_SECONDS: Final = 4.5
"""Over everything one request does: the platform's client gives up after 5 s (docs/size-recommendation.md)."""

NO_TRUSTED_HOSTS: Final = TrustedHosts()


class HealthAnswer(BaseModel):
    """Body of GET /health."""

    status: Literal["ok", "degraded"]
    model_loaded: bool
    redis_connected: bool
    broker_connected: bool
    consumer_alive: bool
    celery_alive: bool
    degraded: list[Component]
    """The parts that do not work although they should now."""
    starting: bool
    draining: bool


def create_app(
    *,
    health: Callable[[], HealthReport],
    registry: CollectorRegistry,
    estimator: BodyEstimator | None = None,
    trusted_hosts: TrustedHosts = NO_TRUSTED_HOSTS,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> FastAPI:
    """The application. nginx passes /health and /estimate-body only; the page at /docs is for the operators.

    Args:
        health: state of the worker's parts, kept fresh by others; asked for on every request, so it must not block.
        registry: what GET /metrics shows.
        estimator: measures photographs; without one POST /estimate-body answers 503.
        trusted_hosts: whose photographs may come from private addresses (``IMAGE_URL_TRUSTED_HOSTS``).
        deadline_seconds: for one size recommendation.
    """
    metrics = SizeMetrics(registry)
    app = DocumentedApp(
        title="wearon-worker",
        description="Size recommendation from one photo and a height, and the worker's state.",
        redoc_url=None,
        redirect_slashes=False,  # the Location would be made of whatever Host the caller names
        exception_handlers=error_handlers(metrics.count_refused),
    )
    instrument(app, registry)
    # After it, so that it is outside: what the edges answer themselves is a fault that the inner one has counted.
    app.add_middleware(RequestEdges, count_refused=metrics.count_refused)

    @app.get("/health", summary="State of the worker's parts")
    async def get_health() -> HealthAnswer:
        report = health()
        return HealthAnswer(
            status=report.status,
            model_loaded=report.parts[Component.MODEL],
            redis_connected=report.parts[Component.REDIS],
            broker_connected=report.parts[Component.BROKER],
            consumer_alive=report.parts[Component.CONSUMER],
            celery_alive=report.parts[Component.CELERY],
            degraded=list(report.degraded),
            starting=report.starting,
            draining=report.draining,
        )

    @app.get("/metrics", include_in_schema=False)
    def get_metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    size = SizeRoute(metrics, estimator, trusted_hosts, deadline_seconds)
    app.post(
        "/estimate-body",
        summary="Size and measures from one photo and a height",
        response_model=EstimateBodyResponse,
        responses=ANSWERS,
        openapi_extra={"parameters": [REQUEST_ID_PARAMETER]},
    )(size.estimate_body)
    return app
