"""``GET /v1/models``: which models there are, and when each will be shut down."""

import asyncio
import json

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from sandbox.openai_sim import errors
from sandbox.openai_sim.answer import ClientGone, error_answer, json_answer, wait_while_client_listens
from sandbox.openai_sim.endpoint import check_key
from sandbox.openai_sim.errors import ApiError
from sandbox.openai_sim.profiles import MODELS
from sandbox.openai_sim.state import ModelList, SimulatorState

CREATED_AT = 1_788_868_800
"""Unix time of every model's ``created``."""

CLIENT_CLOSED_REQUEST = 499
"""Nobody reads it."""


class ModelsEndpoint:
    """The endpoint; it is counted apart from the edits."""

    def __init__(self, state: SimulatorState, closing: asyncio.Event) -> None:
        self._state = state
        self._closing = closing

    def route(self) -> Route:
        """Where it is."""
        return Route("/v1/models", self._answer, methods=["GET"])

    async def _answer(self, request: Request) -> Response:
        self._state.stats.model_lists += 1
        try:
            check_key(request)
            return await self._list(request)
        except ApiError as error:
            return error_answer(error, {})
        except ClientGone:
            return Response(status_code=CLIENT_CLOSED_REQUEST)

    async def _list(self, request: Request) -> Response:
        match self._state.model_list:
            case ModelList.MISSING:
                raise errors.unknown_url("GET", "/v1/models")
            case ModelList.FAILING:
                raise ApiError(500, "The server had an error.", code=None, error_type=errors.SERVER_ERROR)
            case ModelList.WEB_PAGE:
                return HTMLResponse("<html><body>Sign in</body></html>")
            case ModelList.SILENT:
                await request.body()
                await wait_while_client_listens(request.receive, self._closing, None)
        return json_answer(json.dumps({"object": "list", "data": self._models()}).encode(), {})

    def _models(self) -> list[dict[str, object]]:
        left = [name for name in MODELS if name not in self._state.retired_models | self._state.shut_down_models()]
        models: list[dict[str, object]] = [
            {"id": name, "object": "model", "created": CREATED_AT, "owned_by": "system"} for name in left
        ]
        if self._state.model_list is ModelList.DATED:
            announced = self._state.announced_shutdowns()
            for model in models:
                day = announced.get(str(model["id"]))
                model["shutdown_date"] = None if day is None else day.isoformat()
        return models
