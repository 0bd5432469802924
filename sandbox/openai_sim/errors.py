"""Refusals in the form the OpenAI API gives them: ``{"error": {"message", "type", "param", "code"}}``.

Where a public report quotes the real answer, its code, type and wording are the ones used here (the report is named
beside it). The others follow the wording the API uses for the same kind of mistake elsewhere.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

INVALID_REQUEST: Final = "invalid_request_error"
IMAGE_USER_ERROR: Final = "image_generation_user_error"
SERVER_ERROR: Final = "server_error"


class WaitNamedIn(StrEnum):
    """Where a 429 says how long to wait."""

    HEADERS = "Retry-After and retry-after-ms"
    DATE = "Retry-After as an HTTP date"
    MESSAGE = "the message"
    RESET = "x-ratelimit-reset-requests"


class ApiError(Exception):
    """One refusal: HTTP status and the fields of the JSON ``error`` object.

    ``retry_after_seconds`` stands where ``wait_named_in`` says. ``moderation_stage`` is
    ``"input"`` or ``"output"`` and becomes ``moderation_details``.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None,
        error_type: str = INVALID_REQUEST,
        param: str | None = None,
        retry_after_seconds: float | None = None,
        wait_named_in: WaitNamedIn = WaitNamedIn.HEADERS,
        moderation_stage: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.error_type = error_type
        self.param = param
        self.retry_after_seconds = retry_after_seconds
        self.wait_named_in = wait_named_in
        self.moderation_stage = moderation_stage

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        error: dict[str, Any] = {
            "message": self.message,
            "type": self.error_type,
            "param": self.param,
            "code": self.code,
        }
        if self.moderation_stage is not None:
            error["moderation_details"] = {"moderation_stage": self.moderation_stage, "categories": ["sexual"]}
        return {"error": error}


def quoted_list(values: Sequence[str]) -> str:
    """``'a', 'b', and 'c'``: how the API lists the values it would have taken."""
    quoted = [f"'{value}'" for value in values]
    if len(quoted) == 1:
        return quoted[0]
    separator = " and " if len(quoted) == 2 else ", and "  # noqa: PLR2004 -- English grammar, not a tunable
    return ", ".join(quoted[:-1]) + separator + quoted[-1]


def unknown_parameter(name: str) -> ApiError:
    """A field the endpoint does not have, ``response_format`` included (vercel/ai issue 6102)."""
    return ApiError(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)


def missing_parameter(name: str) -> ApiError:
    """A required field is absent."""
    return ApiError(400, f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name)


def duplicate_parameter(name: str) -> ApiError:
    """A field given twice; a list needs the ``[]`` form (diaomin66/astrbot_plugin_omnidraw pull request 58)."""
    message = (
        f"Duplicate parameter: '{name}'. You provided multiple values for this parameter, whereas only one is allowed. "
        f"If you are trying to provide a list of values, use the array syntax instead e.g. '{name}[]=<value>'."
    )
    return ApiError(400, message, code="duplicate_parameter", param=name)


def invalid_value(name: str, value: str, supported: Sequence[str]) -> ApiError:
    """A value outside a closed set (openai-php/client issue 641)."""
    message = f"Invalid value: '{value}'. Supported values are: {quoted_list(supported)}."
    return ApiError(400, message, code="invalid_value", param=name)


def invalid_type(name: str, expected: str, got: str) -> ApiError:
    """A file where a text is expected, a text where a number is expected, and so on."""
    message = f"Invalid type for '{name}': expected {expected}, but got {got} instead."
    return ApiError(400, message, code="invalid_type", param=name)


def text_too_long(name: str, *, length: int, maximum: int) -> ApiError:
    """More characters than the field takes."""
    message = (
        f"Invalid '{name}': string too long. Expected a string with maximum length {maximum}, "
        f"but got a string with length {length} instead."
    )
    return ApiError(400, message, code="string_above_max_length", param=name)


def empty_text(name: str) -> ApiError:
    """A required text is empty."""
    message = (
        f"Invalid '{name}': empty string. Expected a string with minimum length 1, but got an empty string instead."
    )
    return ApiError(400, message, code="empty_string", param=name)


def integer_out_of_range(name: str, *, value: int, minimum: int, maximum: int) -> ApiError:
    """A whole number below ``minimum`` or above ``maximum``."""
    if value < minimum:
        message = f"Invalid '{name}': integer below minimum value. Expected a value >= {minimum}, but got {value}."
        return ApiError(400, message, code="integer_below_min_value", param=name)
    message = f"Invalid '{name}': integer above maximum value. Expected a value <= {maximum}, but got {value}."
    return ApiError(400, message, code="integer_above_max_value", param=name)


def too_many_files(name: str, *, count: int, maximum: int) -> ApiError:
    """More pictures than one edit takes."""
    message = (
        f"Invalid '{name}': array too long. Expected an array with maximum length {maximum}, "
        f"but got an array with length {count} instead."
    )
    return ApiError(400, message, code="array_above_max_length", param=name)


def unsupported_mimetype(name: str, content_type: str, supported: Sequence[str]) -> ApiError:
    """The part's declared type is not a picture's (Comfy-Org/ComfyUI issue 9329)."""
    message = (
        f"Invalid file '{name}': unsupported mimetype ('{content_type}'). "
        f"Supported file formats are {quoted_list(supported)}."
    )
    return ApiError(400, message, code="unsupported_file_mimetype", param=name)


def invalid_image_file(name: str, position: int) -> ApiError:
    """The bytes are no picture; ``position`` counts from 1."""
    message = f"Invalid image file or mode for image {position}, please check your image file."
    return ApiError(400, message, code="invalid_image_file", error_type=IMAGE_USER_ERROR, param=name)


def file_too_large(name: str, *, maximum_bytes: int) -> ApiError:
    """A picture of ``maximum_bytes`` or more."""
    message = f"Invalid file '{name}': the file must be smaller than {maximum_bytes} bytes."
    return ApiError(400, message, code="file_too_large", param=name)


def parameter_not_of_model(model: str, name: str) -> ApiError:
    """A known field that this model has not (for ``input_fidelity``: pydantic/pydantic-ai issue 5413)."""
    message = f"The model '{model}' does not support the '{name}' parameter."
    return ApiError(400, message, code=f"invalid_{name}_model", error_type=IMAGE_USER_ERROR, param=name)


def value_not_usable(name: str, message: str, *, code: str = "invalid_value") -> ApiError:
    """A value that is well formed but cannot be used with this model or together with the other fields."""
    return ApiError(400, message, code=code, error_type=IMAGE_USER_ERROR, param=name)


def unreadable_multipart(reason: str) -> ApiError:
    """The body is not the multipart form it says it is."""
    return ApiError(400, f"Could not parse multipart form: {reason}.", code="invalid_multipart_form_data")


def unsupported_content_type(content_type: str) -> ApiError:
    """Anything but a form. The real endpoint also takes JSON with hosted pictures, which is not simulated."""
    message = (
        f"Unsupported content type: '{content_type}'. This API method only accepts 'multipart/form-data' requests, "
        f"but you specified the header 'Content-Type: {content_type}'. Please try again with a supported content type."
    )
    return ApiError(400, message, code="unsupported_content_type")


def request_too_large(maximum_bytes: int) -> ApiError:
    """The whole body is larger than this simulator keeps in memory."""
    return ApiError(413, f"Maximum content size limit ({maximum_bytes}) exceeded.", code="request_too_large")


def missing_api_key() -> ApiError:
    """No bearer token at all."""
    message = (
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY)."
    )
    return ApiError(401, message, code=None)


def incorrect_api_key() -> ApiError:
    """A token that is no key. The real answer repeats parts of it; this one repeats nothing."""
    message = "Incorrect API key provided: sk-***. You can find your API key at the account page."
    return ApiError(401, message, code="invalid_api_key")


def model_retired(model: str) -> ApiError:
    """A model after its shutdown date (M1kep/ComfyUI-KepOpenAI issue 5)."""
    message = f"The model `{model}` has been deprecated, learn more here: https://platform.openai.com/docs/deprecations"
    return ApiError(404, message, code="model_not_found")


def organization_unverified(model: str) -> ApiError:
    """The model is only for verified organizations (receptron/mulmocast-app issue 1090, openai/openai-go issue 565)."""
    message = (
        f"Your organization must be verified to use the model `{model}`. Please go to: "
        "https://platform.openai.com/settings/organization/general and click on Verify Organization. "
        "If you just verified, it can take up to 15 minutes for access to propagate."
    )
    return ApiError(403, message, code=None)


def model_access_denied(model: str) -> ApiError:
    """The key's project may not use the model."""
    return ApiError(403, f"Project `proj_simulated` does not have access to model `{model}`", code="model_not_found")


def rate_limited_for(wait_seconds: float, named_in: WaitNamedIn) -> ApiError:
    """A 429 that names a wait in one of the ways the real API has (receptron/mulmocast-cli issue 477)."""
    message = "Rate limit reached for images in organization org-simulated on input-images per min."
    if named_in is WaitNamedIn.MESSAGE:
        message = f"You've exceeded the rate limit, please slow down and try again after {wait_seconds:g} seconds."
    return ApiError(
        429,
        message,
        code="rate_limit_exceeded",
        error_type="input-images",
        retry_after_seconds=wait_seconds,
        wait_named_in=named_in,
    )


def rate_limited(*, limit: int, retry_after_seconds: float) -> ApiError:
    """More requests than the account's limit per minute."""
    message = (
        f"Rate limit reached for images in organization org-simulated on requests per min (RPM): Limit {limit}, "
        f"Used {limit}, Requested 1. Please try again in {retry_after_seconds:.3f}s."
    )
    return ApiError(
        429, message, code="rate_limit_exceeded", error_type="requests", retry_after_seconds=retry_after_seconds
    )


def moderation_blocked(stage: str, status: int = 400) -> ApiError:
    """The safety system refuses at ``stage``: ``"input"`` or ``"output"`` (openai/codex issue 38582)."""
    message = (
        "Your request was rejected by the safety system. If you believe this is an error, contact us at "
        "help.openai.com and include the request ID simulated. safety_violations=[sexual]."
    )
    return ApiError(status, message, code="moderation_blocked", error_type=IMAGE_USER_ERROR, moderation_stage=stage)


def person_limited(model: str) -> ApiError:
    """The end user that ``safety_identifier`` names may not go on (openai/codex issue 13316, there in a stream; which
    status this endpoint gives it is not known)."""
    message = (
        f"This user's access to {model} has been temporarily limited for potentially suspicious activity. Learn more "
        "about our safety mitigations: https://platform.openai.com/docs/guides/safety-checks"
    )
    return ApiError(403, message, code=None, param="safety_identifier")


def unknown_url(method: str, path: str) -> ApiError:
    """No such endpoint."""
    message = f"Unknown request URL: {method} {path}. Please check the URL for typos."
    return ApiError(404, message, code="unknown_url")


def method_not_supported(method: str, path: str) -> ApiError:
    """The endpoint exists, but not with this method."""
    message = f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)"
    return ApiError(405, message, code="method_not_supported")
