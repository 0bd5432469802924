"""What each of the provider's refusals means."""

import json

import httpx
import pytest

from models.failures import (
    CredentialsRejected,
    Failure,
    Moderated,
    ProviderAnswerUnusable,
    ProviderRejectedRequest,
    QuotaExhausted,
    RateLimited,
)
from services.providers.image_provider import ModelGone, Retryable
from services.providers.openai.errors import classify


def body(
    message: str = "", *, error_type: str | None = None, code: str | None = None, param: str | None = None
) -> bytes:
    return json.dumps({"error": {"message": message, "type": error_type, "param": param, "code": code}}).encode()


RATE_LIMIT_TEXT = (
    "Rate limit reached for gpt-image-1.5 in organization org-1 on images per min: Limit 5, Used 5, Requested 1. "
    "You can increase your rate limit by adding a payment method at https://platform.openai.com/account/billing."
)
SAFETY_TEXT = "Your request was rejected by the safety system. safety_violations=[sexual]."
QUOTA_TEXT = "You exceeded your current quota, please check your plan and billing details."

# Bodies as quoted in public issues: jeffstric/ZJT#480 (moderation), dfinke/PowerShellAI#127 (billing hard limit),
# openai/openai-node#1844 (a model the endpoint does not take); the codes of 429 in OpenAI's error guide.
CASES = [
    pytest.param(
        400,
        body(SAFETY_TEXT, error_type="image_generation_user_error", code="moderation_blocked", param=""),
        Moderated,
        id="moderation",
    ),
    pytest.param(
        400,
        body(SAFETY_TEXT, error_type="invalid_request_error", code="content_policy_violation"),
        Moderated,
        id="content policy, the legacy form",
    ),
    pytest.param(400, body(SAFETY_TEXT, error_type="invalid_request_error"), Moderated, id="moderation without code"),
    pytest.param(429, body(RATE_LIMIT_TEXT, error_type="requests", code="rate_limit_exceeded"), RateLimited, id="rpm"),
    pytest.param(429, body(RATE_LIMIT_TEXT, error_type="tokens", code="rate_limit_exceeded"), RateLimited, id="tpm"),
    pytest.param(429, body("Slow down", error_type="requests", code="slow_down"), RateLimited, id="slow down"),
    pytest.param(429, body(RATE_LIMIT_TEXT), RateLimited, id="429 with a message about billing only"),
    pytest.param(429, b"Too Many Requests", RateLimited, id="429 in plain text"),
    pytest.param(429, b"", RateLimited, id="429 with nothing"),
    *(
        pytest.param(429, body(QUOTA_TEXT, error_type="insufficient_quota", code=code), QuotaExhausted, id=code)
        for code in (
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
        )
    ),
    pytest.param(
        429, body(QUOTA_TEXT, code="organization_usage_limit_exceeded"), QuotaExhausted, id="usage limit, no type"
    ),
    pytest.param(429, body(QUOTA_TEXT, error_type="insufficient_quota"), QuotaExhausted, id="quota in the type alone"),
    pytest.param(429, body(QUOTA_TEXT), QuotaExhausted, id="quota in the message alone"),
    pytest.param(429, body("Account is not active", code="billing_not_active"), QuotaExhausted, id="billing inactive"),
    pytest.param(
        400,
        body(
            "Billing hard limit has been reached", error_type="invalid_request_error", code="billing_hard_limit_reached"
        ),
        QuotaExhausted,
        id="billing hard limit comes with 400",
    ),
    pytest.param(402, b"", QuotaExhausted, id="payment required"),
    pytest.param(
        401,
        body("Incorrect API key provided: sk-abc***xyz.", code="invalid_api_key"),
        CredentialsRejected,
        id="bad key",
    ),
    pytest.param(403, b"<html>Forbidden</html>", CredentialsRejected, id="403 as a web page"),
    pytest.param(
        403,
        body(
            "Country, region, or territory not supported",
            error_type="request_forbidden",
            code="unsupported_country_region_territory",
        ),
        CredentialsRejected,
        id="403 of a country",
    ),
    pytest.param(
        403, body("You must be verified to use this organization."), CredentialsRejected, id="403 about the account"
    ),
    pytest.param(
        404,
        body("The model `gpt-image-1.5` does not exist or you do not have access to it.", code="model_not_found"),
        ModelGone,
        id="no such model",
    ),
    pytest.param(
        404, body("The model `gpt-image-1.5` has been deprecated, learn more here: …"), ModelGone, id="deprecated, 404"
    ),
    pytest.param(400, body("This model has been shut down. Use another one."), ModelGone, id="shut down, 400"),
    pytest.param(410, body("The model gpt-image-1.5 was retired on December 1st."), ModelGone, id="retired, 410"),
    pytest.param(400, body("The model is no longer available."), ModelGone, id="no longer available"),
    pytest.param(
        400,
        body(
            "Invalid value: 'gpt-image-1.5'. Value must be 'gpt-image-2'.",
            error_type="invalid_request_error",
            code="invalid_value",
            param="model",
        ),
        ModelGone,
        id="not a model of this endpoint",
    ),
    pytest.param(
        400,
        body("You are not allowed to use this model for such pictures.", code="moderation_blocked"),
        Moderated,
        id="a refusal of the content speaks of the model too",
    ),
    pytest.param(403, body(SAFETY_TEXT, code="moderation_blocked"), Moderated, id="moderation with 403"),
    pytest.param(429, body(SAFETY_TEXT, code="moderation_blocked"), Moderated, id="moderation with 429"),
    *(
        pytest.param(
            status,
            body(SAFETY_TEXT, code="moderation_blocked", param="model"),
            Moderated,
            id=f"moderation that names the model, {status}",
        )
        for status in (400, 404, 408, 409, 500, 503)
    ),
    pytest.param(
        404,
        body("This model is no longer supported for such pictures.", code="content_policy_violation"),
        Moderated,
        id="moderation that sounds like a model's end",
    ),
    pytest.param(
        400,
        body("This user's access to gpt-image-1.5 has been temporarily limited.", param="model"),
        Moderated,
        id="the end user is limited, of the model",
    ),
    pytest.param(401, body("Incorrect API key.", code="moderation_blocked"), CredentialsRejected, id="401 stays 401"),
    *(
        pytest.param(
            status,
            body(
                "This user's access to gpt-image-2.6-flare has been temporarily limited for potentially suspicious"
                " activity.",
                param="safety_identifier",
            ),
            Moderated,
            id=f"the end user is limited, {status}",
        )
        for status in (400, 403, 404, 429, 500)
    ),
    pytest.param(
        400,
        body(
            "Invalid 'safety_identifier': string too long.", code="string_above_max_length", param="safety_identifier"
        ),
        ProviderRejectedRequest,
        id="our own mistake in the end user's name",
    ),
    pytest.param(
        400,
        body("It is not permitted to use 'input_fidelity' with this model.", code="invalid_input_fidelity_model"),
        ProviderRejectedRequest,
        id="so does one of a parameter",
    ),
    pytest.param(
        400,
        body("The size is not supported by this model.", code="invalid_value", param="size"),
        ProviderRejectedRequest,
        id="a wrong size speaks of the model too",
    ),
    pytest.param(
        400,
        body("Unknown parameter: 'input_fidelity'.", code="unknown_parameter", param="input_fidelity"),
        ProviderRejectedRequest,
        id="unknown parameter",
    ),
    pytest.param(
        404, b"<html>404 Not Found</html>", ProviderRejectedRequest, id="a wrong base URL is no retired model"
    ),
    pytest.param(413, b"", ProviderRejectedRequest, id="too large"),
    pytest.param(408, body("timeout"), Retryable, id="408"),
    pytest.param(409, body("conflict"), Retryable, id="409"),
    pytest.param(422, b"\xff\xfe", ProviderRejectedRequest, id="bytes that are no text"),
    pytest.param(400, b"[" * 100_000, ProviderRejectedRequest, id="JSON nested beyond reason"),
    pytest.param(400, b'{"error": "just text"}', ProviderRejectedRequest, id="error is no object"),
    pytest.param(400, b'{"error": {"code": 400, "message": ["x"]}}', ProviderRejectedRequest, id="fields are no text"),
    pytest.param(400, b"null", ProviderRejectedRequest, id="null"),
    pytest.param(500, body("The server had an error", error_type="server_error"), Retryable, id="500"),
    pytest.param(502, b"<html>Bad Gateway</html>", Retryable, id="502 as a web page"),
    pytest.param(503, body("overloaded", code="server_is_overloaded"), Retryable, id="overloaded"),
    pytest.param(503, body("Slow down", code="slow_down"), Retryable, id="slow_down with 503"),
    pytest.param(504, b"", Retryable, id="504"),
    pytest.param(529, b"", Retryable, id="an unregistered 5xx"),
    pytest.param(302, b"", ProviderAnswerUnusable, id="a redirect"),
    pytest.param(204, b"", ProviderAnswerUnusable, id="nothing at all"),
]


@pytest.mark.parametrize(("status", "answer", "expected"), CASES)
def test_each_answer_has_one_meaning(status: int, answer: bytes, expected: type) -> None:
    verdict = classify(status, {}, answer)
    assert type(verdict) is expected


VERIFY = (
    "Your organization must be verified to use the model `gpt-image-2.6-sunburst`. Please go to: "
    "https://platform.openai.com/settings/organization/general and click on Verify Organization. If you just "
    "verified, it can take up to 15 minutes for access to propagate."
)
NO_ACCESS = "Project `proj_Q4w8E1r7T2y6U3i9O0p5` does not have access to model `gpt-image-2.6-sunburst`"
UNKNOWN = "The model `gpt-image-1.5` does not exist or you do not have access to it."


@pytest.mark.parametrize(
    ("status", "answer", "for_good"),
    [
        pytest.param(403, body(VERIFY), False, id="organization not verified"),
        pytest.param(404, body(VERIFY, code="model_not_found"), False, id="not verified, as a 404"),
        pytest.param(400, body("Your organization must be verified to use this model."), False, id="as a 400"),
        pytest.param(403, body(NO_ACCESS, code="model_not_found"), False, id="project without access"),
        pytest.param(403, body(NO_ACCESS), False, id="project without access, no code"),
        pytest.param(403, body("You are not allowed to sample from this model"), False, id="not allowed"),
        pytest.param(403, body(UNKNOWN, code="model_not_found"), False, id="unknown or no access, forbidden"),
        pytest.param(404, body(UNKNOWN, code="model_not_found"), True, id="unknown or no access, not found"),
        pytest.param(404, body(UNKNOWN), True, id="the same without a code"),
    ],
)
def test_a_model_this_account_may_not_use_may_be_allowed_later(status: int, answer: bytes, for_good: bool) -> None:
    verdict = classify(status, {}, answer)
    assert isinstance(verdict, ModelGone)
    assert verdict.for_good is for_good


def test_the_words_of_a_403_are_told() -> None:
    verdict = classify(403, {}, body(VERIFY))
    assert isinstance(verdict, ModelGone)
    assert str(verdict.failure) == f"HTTP 403: {VERIFY}"[: len("HTTP 403: ") + 300]
    refused = classify(403, {}, body("Key sk-proj-abcdef0123 belongs to org-1, which is closed.", code="org_closed"))
    assert str(refused) == "HTTP 403 org_closed: Key [secret] belongs to org-1, which is closed."


@pytest.mark.parametrize(
    ("headers", "message", "seconds"), [({"Retry-After": "17"}, "", 17.0), ({}, "Please try again in 20s.", 20.0)]
)
def test_a_rate_limit_carries_the_wait_it_names(headers: dict[str, str], message: str, seconds: float) -> None:
    failure = classify(429, httpx.Headers(headers), body(message, code="rate_limit_exceeded"))
    assert isinstance(failure, RateLimited)
    assert failure.retry_after_seconds == seconds


def test_a_rate_limit_that_names_no_wait_carries_none() -> None:
    failure = classify(429, {}, b"Too Many Requests")
    assert isinstance(failure, RateLimited)
    assert failure.retry_after_seconds is None


def test_the_failure_carries_status_code_and_request_id() -> None:
    headers = httpx.Headers({"X-Request-Id": "req_123"})
    failure = classify(400, headers, body(SAFETY_TEXT, code="moderation_blocked"))
    assert isinstance(failure, Moderated)
    assert (failure.status, failure.code, failure.provider_request_id) == (400, "moderation_blocked", "req_123")
    assert str(failure) == f"HTTP 400 moderation_blocked: {SAFETY_TEXT}"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Bad key sk-proj-abcdef0123 in request"),
        (401, "Incorrect API key provided: abcdef***0123"),
        (403, "Incorrect API key provided: abcdef***0123"),
        (403, "The token abcdef0123456789ABCDEF may not do this"),
        (400, "Cannot fetch https://x.supabase.co/object/sign/a.jpg?token=abcdef0123"),
        (500, "header Authorization: Bearer abcdef0123 refused"),
    ],
)
def test_secrets_in_a_message_do_not_reach_the_failure(status: int, message: str) -> None:
    verdict = classify(status, {}, body(message))
    failure = verdict.failure if isinstance(verdict, Retryable | ModelGone) else verdict
    assert isinstance(failure, Failure)
    assert "abcdef" not in str(failure)


def test_a_long_message_is_cut_and_stays_on_one_line() -> None:
    failure = classify(400, {}, body("line\nbreak " * 1000, code="x" * 1000))
    assert isinstance(failure, ProviderRejectedRequest)
    assert len(str(failure)) < 400
    assert "\n" not in str(failure)
    assert failure.code == "x" * 64
