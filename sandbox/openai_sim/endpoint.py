"""``POST /v1/images/edits``: one request from its head to the last byte of its answer."""

import asyncio
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar
from uuid import uuid4

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandbox.openai_sim import errors
from sandbox.openai_sim.answer import (
    AnswerHeldMidway,
    ClientGone,
    DrippedAnswer,
    DroppedAnswer,
    edit_answer,
    error_answer,
    json_answer,
    proxy_page,
    wait_while_client_listens,
)
from sandbox.openai_sim.edit_request import EditRequest, sort_fields, validate
from sandbox.openai_sim.errors import ApiError
from sandbox.openai_sim.fault_book import Plan
from sandbox.openai_sim.faults import (
    DEFAULT_DRIP_SECONDS,
    QUICK_RETRY_SECONDS,
    AnswerDefect,
    ConnectionFault,
    NameWait,
    ProxyPage,
    Refuse,
    RefuseModel,
    UnknownFault,
)
from sandbox.openai_sim.multipart import parse_multipart
from sandbox.openai_sim.state import SimulatorState
from sandbox.openai_sim.stats import CLIENT_GONE, CONNECTION_DROPPED, SeenRequest

MAXIMUM_BODY_BYTES: Final = 128 * 1024 * 1024
"""The simulator's own limit, for its memory's sake; two of the largest allowed pictures fit."""

API_KEY_PREFIX: Final = "sk-"

Result = TypeVar("Result")


class ImagesEdits:
    """The endpoint as an ASGI application, so that a request counts as in flight until its last byte is sent."""

    def __init__(self, state: SimulatorState, closing: asyncio.Event, processor: ThreadPoolExecutor) -> None:
        self._state = state
        self._closing = closing
        self._processor = processor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request and counts it. The head has just been read: this is the moment of arrival."""
        arrived_at = time.monotonic()
        request = Request(scope, receive)
        request_id = f"req_{uuid4().hex}"
        seen = self._state.stats.arrive(arrived_at, request_id)
        outcome = CLIENT_GONE
        try:
            response = await self._answer(request, seen, arrived_at)
            outcome = CONNECTION_DROPPED if isinstance(response, DroppedAnswer) else str(response.status_code)
            response.headers["openai-processing-ms"] = str(round((time.monotonic() - arrived_at) * 1000))
            await response(scope, receive, send)
        except (ClientGone, ClientDisconnect):
            outcome = CLIENT_GONE
        finally:
            self._state.stats.leave(seen, outcome=outcome, duration_seconds=time.monotonic() - arrived_at)

    async def _answer(self, request: Request, seen: SeenRequest, arrived_at: float) -> Response:
        headers = {"x-request-id": seen.request_id, "openai-version": "2020-10-01"}
        try:
            edit = await self._receive(request, seen, arrived_at, headers)
            return await self._carry_out(request, edit, seen, arrived_at, headers)
        except ApiError as error:
            return error_answer(error, headers)
        except (ClientGone, ClientDisconnect):
            raise
        except Exception as error:  # A bug of the simulator must look like one, not like a fault of the API.
            traceback.print_exception(error)
            return error_answer(ApiError(500, "The simulator failed.", code="simulator_bug"), headers)

    async def _receive(
        self, request: Request, seen: SeenRequest, arrived_at: float, headers: dict[str, str]
    ) -> EditRequest:
        """Reads and checks everything; the upload is gone from memory when this returns. Adds to ``headers``."""
        # Counted before the upload is read, so that requests are counted in the order of their arrival.
        admission = self._state.rate_limit.admit(arrived_at)
        headers |= admission.headers()
        body = await _read_body(request)
        _check_method(request)
        check_key(request)
        if admission.retry_after_seconds is not None:
            raise errors.rate_limited(limit=admission.limit, retry_after_seconds=admission.retry_after_seconds)
        content_type = request.headers.get("content-type", "")
        retired_models = self._state.retired_models | self._state.shut_down_models()
        with_previews = not self._state.options.fixed_result

        def read() -> EditRequest:
            form = sort_fields(parse_multipart(content_type, body))
            seen.note_form(form)
            return validate(form, retired_models=retired_models, with_previews=with_previews)

        edit = await self._beside_the_loop(read)
        seen.note_images(edit)
        return edit

    async def _carry_out(
        self, request: Request, edit: EditRequest, seen: SeenRequest, arrived_at: float, headers: dict[str, str]
    ) -> Response:
        """The planned fault or the result, when its time has come."""
        plan = self._plan(edit)
        seen.faults = plan.names()
        if plan.held:
            await self._hold(request)
        effect = plan.fault.fault.effect if plan.fault is not None else None
        if isinstance(effect, RefuseModel):
            raise effect.error(edit.profile.name)
        if isinstance(effect, NameWait) and plan.fault is not None:
            raise errors.rate_limited_for(plan.fault.seconds or QUICK_RETRY_SECONDS, effect.named_in)
        if isinstance(effect, ProxyPage):
            return proxy_page(effect.status, headers)
        if not isinstance(effect, Refuse) or effect.after_latency:
            await self._wait(request, plan, arrived_at)
        if isinstance(effect, Refuse):
            return error_answer(effect.error, headers)
        defect = effect if isinstance(effect, AnswerDefect) else None
        fixed = self._state.options.fixed_result
        body = await self._beside_the_loop(lambda: edit_answer(edit, defect, fixed=fixed))
        return self._deliver(body, plan, headers)

    async def _wait(self, request: Request, plan: Plan, arrived_at: float) -> None:
        """As long as the model takes, or for ever where the plan says so; ends early when nobody listens."""
        if plan.fault is not None and plan.fault.fault.effect is ConnectionFault.HANG:
            await wait_while_client_listens(request.receive, self._closing, None)
        latency_seconds = plan.latency_seconds
        if latency_seconds is None:
            latency_seconds = self._state.latency.sample(self._state.randomness)
        rest_seconds = arrived_at + latency_seconds - time.monotonic()
        if rest_seconds > 0:
            await wait_while_client_listens(request.receive, self._closing, rest_seconds)

    async def _hold(self, request: Request) -> None:
        """Until the control API releases it; a client that has gone is no longer held."""
        with self._state.held.one_more() as released:
            await wait_while_client_listens(request.receive, self._closing, None, until=released)

    def _deliver(self, body: bytes, plan: Plan, headers: dict[str, str]) -> Response:
        effect = plan.fault.fault.effect if plan.fault is not None else None
        if effect is ConnectionFault.DROP:
            return DroppedAnswer(body, headers=headers, media_type="application/json")
        if plan.fault is not None and effect is ConnectionFault.SLOW_DRIP:
            seconds = plan.fault.seconds
            seconds = DEFAULT_DRIP_SECONDS if seconds is None else seconds
            return DrippedAnswer(body, headers, seconds=seconds, closing=self._closing)
        if effect is ConnectionFault.HELD_MIDWAY:
            return AnswerHeldMidway(body, headers, held=self._state.held, closing=self._closing)
        return json_answer(body, headers)

    def _plan(self, edit: EditRequest) -> Plan:
        try:
            return self._state.faults.plan(edit.prompt, edit.profile.name)
        except UnknownFault as error:
            raise ApiError(400, f"Simulator: {error}.", code="unknown_simulator_fault", param="prompt") from error

    async def _beside_the_loop(self, work: Callable[[], Result]) -> Result:
        """Runs processor work in the one thread for it, so that arrivals are still noticed on time."""
        return await asyncio.get_running_loop().run_in_executor(self._processor, work)


async def _read_body(request: Request) -> bytearray:
    """The whole body; it is read before anything is refused, or the client would see a broken pipe."""
    body = bytearray()
    size_bytes = 0
    async for chunk in request.stream():
        size_bytes += len(chunk)
        if size_bytes <= MAXIMUM_BODY_BYTES:
            body += chunk
        else:
            body.clear()
    if size_bytes > MAXIMUM_BODY_BYTES:
        raise errors.request_too_large(MAXIMUM_BODY_BYTES)
    return body


def _check_method(request: Request) -> None:
    if request.method != "POST":
        raise errors.method_not_supported(request.method, request.url.path)


def check_key(request: Request) -> None:
    """A bearer token that looks like a key is all the simulator asks for."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not key:
        raise errors.missing_api_key()
    if not key.startswith(API_KEY_PREFIX) or key == API_KEY_PREFIX or " " in key:
        raise errors.incorrect_api_key()
