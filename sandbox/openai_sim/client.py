"""Speaks to a simulator's control API from another thread or process."""

from datetime import date
from types import TracebackType
from typing import Any, Final, Self

import httpx

from sandbox.plain_http import NO_AUTHORITIES

CONTROL_TIMEOUT_SECONDS: Final = 10.0


class SimulatorClient:
    """One simulator at ``url``; ``base_url`` is what ``OPENAI_BASE_URL`` takes. Every call raises on a refusal."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base_url = f"{url}/v1"
        self._http = httpx.Client(base_url=f"{url}/_sim", timeout=CONTROL_TIMEOUT_SECONDS, verify=NO_AUTHORITIES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection to the simulator, not the simulator."""
        self._http.close()

    def faults(self) -> dict[str, Any]:
        """``faults``: the catalogue; ``active``: what hits all requests now."""
        return self._get("/faults")

    def set_faults(self, *faults: str | dict[str, Any]) -> None:
        """Replaces the global faults: names, or objects with ``name`` and ``value``, ``probability``, ``times``."""
        settings = [{"name": fault} if isinstance(fault, str) else fault for fault in faults]
        self._post("/faults", {"faults": settings})

    def retire(self, model: str) -> None:
        """From now on ``model`` answers 404 ``model_not_found``."""
        self._post("/models/retire", {"model": model})

    def shut_down(self, model: str, day: date) -> None:
        """``GET /v1/models`` tells the day; when it has come, ``model`` answers 404 ``model_not_found``."""
        self._post("/models/shutdown", {"model": model, "day": day.isoformat()})

    def set_model_list(self, answer: str) -> None:
        """How ``GET /v1/models`` answers: one of ``state.ModelList``."""
        self._post("/models/list", {"answer": answer})

    def settings(self) -> dict[str, Any]:
        """Latency, limit, seed and retired models."""
        return self._get("/settings")

    def set_latency(self, latency: str) -> None:
        """``"30"`` or ``"20-60"``, in seconds from a request's arrival."""
        self._post("/settings", {"latency": latency})

    def set_requests_per_minute(self, limit: int | None) -> None:
        """The account's limit; ``None`` lifts it."""
        self._post("/settings", {"requests_per_minute": limit})

    def release(self, requests: int | None = None) -> None:
        """The oldest ``requests`` that ``[[sim:held]]`` holds get their answer, or the second half of it if
        ``[[sim:held-midway]]`` does (``None``: all); refused if too many."""
        self._post("/release", {"requests": requests})

    def stats(self, *, arrivals: bool = False) -> dict[str, Any]:
        """What arrived; with ``arrivals`` also the Unix time of every request."""
        return self._get("/stats", {"arrivals": "true"} if arrivals else {})

    def reset_stats(self) -> None:
        """Counts from zero."""
        self._post("/stats/reset", {})

    def reset(self) -> None:
        """Back to how the simulator was started, statistics included."""
        self._post("/reset", {})

    def _get(self, path: str, parameters: dict[str, str] | None = None) -> dict[str, Any]:
        return self._answer(self._http.get(path, params=parameters))

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._answer(self._http.post(path, json=body))

    @staticmethod
    def _answer(response: httpx.Response) -> dict[str, Any]:
        if response.is_error:
            raise ValueError(f"the simulator refused: {response.text}")
        answer: dict[str, Any] = response.json()
        return answer
