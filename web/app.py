"""The worker's HTTP application: POST /estimate-body (FR-4), GET /health and GET /metrics (FR-5)."""

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import structlog
from fastapi import Body, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel

from models.health import Component, HealthReport
from models.problems import INTERNAL
from models.size_chart import ShopChart
from models.size_rec import EstimateBodyRequest, EstimateBodyResponse
from services.fetching.url_guard import TrustedHosts
from size_rec.answer import chart_of, response_of
from size_rec.metrics import ANSWERED, SizeMetrics
from size_rec.photo_fetching import PhotoFetcher
from size_rec.problems import MODEL_UNAVAILABLE, OVERLOADED, ModelUnavailable, problem_of, reason_of
from size_rec.processes.link import Question
from size_rec.processes.pool import BodyEstimator
from web.edges import RequestEdges, error_handlers, problem_response
from web.http_metrics import instrument
from web.openapi import ANSWERS, REQUEST_ID_PARAMETER, DocumentedApp

DEADLINE_SECONDS: Final = 4.5
"""Over everything one request does: the platform's client gives up after 5 s (docs/size-recommendation.md)."""

RETRY_AFTER_SECONDS: Final = "1"
"""For 429 and 503: a full queue is worked off in about a second."""

NO_TRUSTED_HOSTS: Final = TrustedHosts()

log = structlog.get_logger()


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
    photos = PhotoFetcher(trusted_hosts)
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

    @app.post(
        "/estimate-body",
        summary="Size and measures from one photo and a height",
        response_model=EstimateBodyResponse,
        responses=ANSWERS,
        openapi_extra={"parameters": [REQUEST_ID_PARAMETER]},
    )
    async def estimate_body(request: Request, asked: Annotated[EstimateBodyRequest, Body()]) -> Any:
        started = time.perf_counter()
        try:
            answer = await _answer(asked, estimator, photos, deadline_seconds)
        except Exception as error:
            kind = problem_of(error)
            seconds = time.perf_counter() - started
            metrics.count(kind.code, seconds)
            write = log.exception if kind is INTERNAL else log.info
            write(
                "size_estimate_refused",
                code=kind.code,
                status=int(kind.status),
                seconds=round(seconds, 3),
                **reason_of(error),
            )
            headers = {"Retry-After": RETRY_AFTER_SECONDS} if kind in (OVERLOADED, MODEL_UNAVAILABLE) else None
            return problem_response(kind, request.state.request_id, headers=headers)
        seconds = time.perf_counter() - started
        metrics.count(ANSWERED, seconds)
        metrics.note_confidence(answer.confidence)
        log.info(
            "size_estimated",
            size=answer.recommended_size,
            confidence=answer.confidence,
            seconds=round(seconds, 3),
            **_chart_in_log(asked.size_chart),
        )
        return answer

    return app


async def _answer(
    asked: EstimateBodyRequest, estimator: BodyEstimator | None, photos: PhotoFetcher, deadline_seconds: float
) -> EstimateBodyResponse:
    if estimator is None:
        raise ModelUnavailable
    estimator.refuse_unless_free()
    chart = chart_of(asked.size_chart)
    ends_at = asyncio.get_running_loop().time() + deadline_seconds
    async with photos.photo(asked.image_url, ends_at=ends_at) as photo:
        with estimator.place():
            async with asyncio.timeout_at(ends_at):
                advice = await estimator.measure(
                    Question(photo, asked.height_cm, asked.weight_kg, asked.height_measured, chart)
                )
    return response_of(advice)


def _chart_in_log(chart: ShopChart | None) -> dict[str, object]:
    """What tells the answers in shops' own charts apart; nothing of the built-in one."""
    return {} if chart is None else {"chart_sizes": len(chart.sizes), "garment_type": chart.garment_type}
