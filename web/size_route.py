"""POST /estimate-body (FR-4): an answer or a problem, and for each one log line and one count."""

import asyncio
import time
from typing import Annotated, Any, Final

import structlog
from fastapi import Body, Request, Response

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
from web.edges import problem_response

RETRY_AFTER_SECONDS: Final = "1"
"""For 429 and 503: a full queue is worked off in about a second."""

log = structlog.get_logger()


class SizeRoute:
    """The route, and what it needs.

    Args:
        metrics: where answers and problems are counted.
        estimator: measures photographs; without one there is no answer.
        trusted_hosts: whose photographs may come from private addresses.
        deadline_seconds: for one request.
    """

    def __init__(
        self,
        metrics: SizeMetrics,
        estimator: BodyEstimator | None,
        trusted_hosts: TrustedHosts,
        deadline_seconds: float,
    ) -> None:
        self._metrics = metrics
        self._estimator = estimator
        self._photos = PhotoFetcher(trusted_hosts)
        self._deadline_seconds = deadline_seconds

    async def estimate_body(self, request: Request, asked: Annotated[EstimateBodyRequest, Body()]) -> Any:
        started = time.perf_counter()
        try:
            answer = await self._answer(asked)
        except Exception as error:
            return self._refused(error, request.state.request_id, time.perf_counter() - started)
        self._note(answer, asked.size_chart, time.perf_counter() - started)
        return answer

    async def _answer(self, asked: EstimateBodyRequest) -> EstimateBodyResponse:
        if self._estimator is None:
            raise ModelUnavailable
        self._estimator.refuse_unless_free()
        chart = chart_of(asked.size_chart)
        ends_at = asyncio.get_running_loop().time() + self._deadline_seconds
        async with self._photos.photo(asked.image_url, ends_at=ends_at) as photo:
            with self._estimator.place():
                async with asyncio.timeout_at(ends_at):
                    advice = await self._estimator.measure(
                        Question(photo, asked.height_cm, asked.weight_kg, asked.height_measured, chart)
                    )
        return response_of(advice)

    def _refused(self, error: Exception, request_id: str, seconds: float) -> Response:
        kind = problem_of(error)
        self._metrics.count(kind.code, seconds)
        write = log.exception if kind is INTERNAL else log.info
        write(
            "size_estimate_refused",
            code=kind.code,
            status=int(kind.status),
            seconds=round(seconds, 3),
            **reason_of(error),
        )
        headers = {"Retry-After": RETRY_AFTER_SECONDS} if kind in (OVERLOADED, MODEL_UNAVAILABLE) else None
        return problem_response(kind, request_id, headers=headers)

    def _note(self, answer: EstimateBodyResponse, chart: ShopChart | None, seconds: float) -> None:
        self._metrics.count(ANSWERED, seconds)
        self._metrics.note_confidence(answer.confidence)
        log.info(
            "size_estimated",
            size=answer.recommended_size,
            confidence=answer.confidence,
            seconds=round(seconds, 3),
            **_chart_in_log(chart),
        )


def _chart_in_log(chart: ShopChart | None) -> dict[str, object]:
    """What tells the answers in shops' own charts apart; nothing of the built-in one."""
    return {} if chart is None else {"chart_sizes": len(chart.sizes), "garment_type": chart.garment_type}
