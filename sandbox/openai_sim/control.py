"""The control API beside the simulated one: ``/_sim/...``. For tests, benchmarks and people; needs no key."""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.openai_sim.fault_book import GlobalFault
from sandbox.openai_sim.faults import FAULTS, Takes, make_marker
from sandbox.openai_sim.latency import Latency
from sandbox.openai_sim.profiles import MODELS
from sandbox.openai_sim.rate_limit import RequestRateLimit
from sandbox.openai_sim.state import ModelList, SimulatorState

CONTROL_PREFIX: Final = "/_sim"
BAD_REQUEST: Final = 400


class _Command(BaseModel):
    """A control request's body: unknown fields are mistakes."""

    model_config = ConfigDict(extra="forbid", strict=True)


class FaultSetting(_Command):
    """One global fault: ``value`` as after ``=`` in a marker; ``times`` hits, or all without it."""

    name: str
    value: str | None = None
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    times: Annotated[int, Field(ge=1)] | None = None


class FaultsCommand(_Command):
    """Replaces all global faults; an empty list switches them off."""

    faults: list[FaultSetting]


class RetireCommand(_Command):
    """Makes a model answer 404 ``model_not_found`` from now on."""

    model: str


class ShutdownCommand(_Command):
    """Gives a model a shutdown date; from that day on it answers 404 ``model_not_found``."""

    model: str
    day: date = Field(strict=False)


class ModelListCommand(_Command):
    """How the list of models answers from now on."""

    answer: ModelList = Field(strict=False)


class SettingsCommand(_Command):
    """Changes what is named and leaves the rest; ``requests_per_minute: null`` lifts the limit."""

    latency: str | None = None
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None


class ReleaseCommand(_Command):
    """Answers the oldest of the requests that are held, or all of them without a number."""

    requests: Annotated[int, Field(ge=1)] | None = None


class ControlApi:
    """The control endpoints over one simulator's state."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """All endpoints, each below :data:`CONTROL_PREFIX`."""
        return [
            _route("GET", "/faults", self.list_faults),
            _route("POST", "/faults", self.set_faults),
            _route("POST", "/models/retire", self.retire),
            _route("POST", "/models/shutdown", self.shut_down),
            _route("POST", "/models/list", self.change_model_list),
            _route("GET", "/settings", self.read_settings),
            _route("POST", "/settings", self.change_settings),
            _route("POST", "/release", self.release),
            _route("GET", "/stats", self.read_stats),
            _route("POST", "/stats/reset", self.reset_stats),
            _route("POST", "/reset", self.reset_all),
        ]

    async def list_faults(self, _: Request) -> dict[str, Any]:
        """The catalogue, and what hits all requests now."""
        return {"faults": _catalogue(), "active": [_active(entry) for entry in self._state.faults.global_faults]}

    async def set_faults(self, request: Request) -> dict[str, Any]:
        """Replaces the global faults."""
        command = FaultsCommand.model_validate_json(await request.body())
        self._state.faults.global_faults = [_global_fault(setting) for setting in command.faults]
        return await self.list_faults(request)

    async def retire(self, request: Request) -> dict[str, Any]:
        """Takes a model away, until a reset."""
        command = RetireCommand.model_validate_json(await request.body())
        if command.model not in MODELS:
            raise ValueError(f"no model is called '{command.model}'")
        self._state.retired_models.add(command.model)
        return {"retired": sorted(self._state.retired_models)}

    async def shut_down(self, request: Request) -> dict[str, Any]:
        """Announces a model's end, until a reset."""
        command = ShutdownCommand.model_validate_json(await request.body())
        if command.model not in MODELS:
            raise ValueError(f"no model is called '{command.model}'")
        self._state.shutdown_dates[command.model] = command.day
        return {model: day.isoformat() for model, day in self._state.announced_shutdowns().items()}

    async def change_model_list(self, request: Request) -> dict[str, Any]:
        """Changes how the list of models answers, until a reset."""
        self._state.model_list = ModelListCommand.model_validate_json(await request.body()).answer
        return {"answer": self._state.model_list}

    async def read_settings(self, _: Request) -> dict[str, Any]:
        """What the simulator runs with now."""
        return {
            "latency": str(self._state.latency),
            "requests_per_minute": self._state.rate_limit.requests_per_minute,
            "seed": self._state.options.seed,
            "fixed_result": self._state.options.fixed_result,
            "retired": sorted(self._state.retired_models),
        }

    async def change_settings(self, request: Request) -> dict[str, Any]:
        """Changes the settings that are named; a changed limit starts with an empty window."""
        command = SettingsCommand.model_validate_json(await request.body())
        if command.latency is not None:
            self._state.latency = Latency.parse(command.latency)
        if "requests_per_minute" in command.model_fields_set:
            self._state.rate_limit = RequestRateLimit(command.requests_per_minute)
        return await self.read_settings(request)

    async def release(self, request: Request) -> dict[str, Any]:
        """Lets requests that are held go on to their answer."""
        command = ReleaseCommand.model_validate_json(await request.body())
        self._state.held.release(len(self._state.held) if command.requests is None else command.requests)
        return {"held": len(self._state.held)}

    async def read_stats(self, request: Request) -> dict[str, Any]:
        """The statistics; ``?arrivals=true`` adds the time of every request."""
        report = self._state.stats.report(with_arrivals=request.query_params.get("arrivals") == "true")
        return {**report, "held": len(self._state.held)}

    async def reset_stats(self, _: Request) -> dict[str, Any]:
        """Counts from zero."""
        self._state.stats.reset()
        return self._state.stats.report()

    async def reset_all(self, request: Request) -> dict[str, Any]:
        """Everything back to how the simulator was started."""
        self._state.reset()
        return await self.read_settings(request)


def _route(method: str, path: str, handle: Callable[[Request], Awaitable[dict[str, Any]]]) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await handle(request))
        except ValueError as error:  # pydantic's refusals are ValueErrors too
            return JSONResponse({"error": str(error)}, status_code=BAD_REQUEST)

    return Route(CONTROL_PREFIX + path, endpoint, methods=[method])


def _catalogue() -> list[dict[str, Any]]:
    return [
        {
            "name": fault.name,
            "meaning": fault.meaning,
            "value": None if fault.takes is Takes.NOTHING else fault.takes.value,
            "value_required": fault.value_required,
        }
        for fault in FAULTS.values()
    ]


def _active(entry: GlobalFault) -> dict[str, Any]:
    return {"fault": str(entry.marker), "probability": entry.probability, "times_left": entry.times}


def _global_fault(setting: FaultSetting) -> GlobalFault:
    marker = make_marker(setting.name, setting.value)
    return GlobalFault(marker, probability=setting.probability, times=setting.times)
