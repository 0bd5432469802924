"""What the page at /docs says beyond the types: every problem, its media type, and the headers in and out."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI

from models.problems import Problem
from models.size_rec import ACCEPTED_PHOTOS

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
"""RFC 9457."""

_REQUEST_ID_OUT: Final = {
    "X-Request-Id": {
        "description": "The request's id: the caller's own, or the one it was given. It is on every log line.",
        "schema": {"type": "string"},
    }
}

_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds until it is worth trying again.", "schema": {"type": "integer"}}
}

_ALLOW: Final = {"Allow": {"description": "The methods that this address takes.", "schema": {"type": "string"}}}

REQUEST_ID_PARAMETER: Final[dict[str, Any]] = {
    "name": "X-Request-Id",
    "in": "header",
    "required": False,
    "description": "Taken over if it has 1 to 128 letters, digits, dots, colons, hyphens or underscores.",
    "schema": {"type": "string"},
    "example": "req_0b7e3c52-6c0f-4a55-9b58-7a1f4a3f2f10",
}
"""Declared here and not as the endpoint's argument: one that is not well-formed is replaced and never refused."""


def _problem(description: str, **headers: object) -> dict[str, Any]:
    return {"model": Problem, "description": description, "headers": _REQUEST_ID_OUT | headers}


ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    HTTPStatus.OK: {"headers": _REQUEST_ID_OUT},
    HTTPStatus.BAD_REQUEST: _problem("The photo cannot be downloaded or is not a picture."),
    HTTPStatus.METHOD_NOT_ALLOWED: _problem("Only POST is answered here.", **_ALLOW),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _problem(
        "The photo (`image_too_large`, `image_too_many_pixels`) or the request (`request_too_large`) is too large. "
        f"{ACCEPTED_PHOTOS}"
    ),
    HTTPStatus.UNPROCESSABLE_ENTITY: _problem("Invalid input, or no full body: `code` says what is missing."),
    HTTPStatus.TOO_MANY_REQUESTS: _problem(
        "More requests a second than nginx takes from one client (`too_many_requests`), or more photos than the worker "
        "takes at a time (`overloaded`); try again after `Retry-After` seconds.",
        **_RETRY_AFTER,
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: _problem("Something went wrong in the worker (`internal_error`)."),
    HTTPStatus.BAD_GATEWAY: _problem(
        "From nginx (`worker_unavailable`): no worker is there, as it is being started or updated.", **_RETRY_AFTER
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: _problem(
        "The pose model is not loaded, or the process that measured the photo ended (`model_unavailable`).",
        **_RETRY_AFTER,
    ),
    HTTPStatus.GATEWAY_TIMEOUT: _problem(
        "The photo's host was too slow (`image_timeout`), or measuring was (`deadline_exceeded`, which nginx says as "
        "well)."
    ),
}
"""The answers of POST /estimate-body, those of the nginx before it included."""


class DocumentedApp(FastAPI):
    """FastAPI, with problems under the media type they are sent with: it knows one media type for all answers only."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            for path in super().openapi()["paths"].values():
                for operation in path.values():
                    _name_media_type(operation["responses"])
        return super().openapi()


def _name_media_type(responses: dict[str, dict[str, Any]]) -> None:
    for status, response in responses.items():
        if int(status) >= HTTPStatus.BAD_REQUEST:
            response["content"] = {PROBLEM_MEDIA_TYPE: response["content"]["application/json"]}
