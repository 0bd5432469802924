"""[pure] Errors as the HTTP answers tell them (RFC 9457), and those that any request can meet."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.size_chart import MAX_SIZES


class Problem(BaseModel):
    """Every error of this API (RFC 9457, ``application/problem+json``)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": HTTPStatus.UNPROCESSABLE_ENTITY.phrase,
                    "status": 422,
                    "code": "feet_cut_off",
                    "detail": "The feet are not in the picture. Please use a photo that shows you from head to feet.",
                    "request_id": "req_0b7e3c52-6c0f-4a55-9b58-7a1f4a3f2f10",
                }
            ]
        }
    )

    type: Literal["about:blank"] = "about:blank"
    title: str = Field(description="The status in words.")
    status: int
    code: str = Field(description="Stable and machine-readable.")
    detail: str = Field(description="One plain sentence or two for the person.")
    request_id: str


@dataclass(frozen=True)
class ProblemKind:
    """Status, stable code and plain words of one problem."""

    status: HTTPStatus
    code: str
    detail: str


INTERNAL = ProblemKind(
    HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong on our side. Please try again later."
)
INVALID_INPUT = ProblemKind(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_input", "The request is not valid.")
NOT_FOUND = ProblemKind(HTTPStatus.NOT_FOUND, "not_found", "There is nothing at this address.")
METHOD_NOT_ALLOWED = ProblemKind(
    HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "This address does not take this method."
)
REQUEST_TOO_LARGE = ProblemKind(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "request_too_large",
    f"The request is too large; send the photo's address, and a chart of at most {MAX_SIZES} sizes.",
)

REQUEST_PROBLEMS = (INVALID_INPUT, REQUEST_TOO_LARGE, NOT_FOUND, METHOD_NOT_ALLOWED)
"""What is refused before there is anything to fetch."""
