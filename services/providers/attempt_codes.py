"""[pure] What an attempt at the provider can come to, as it is counted; known without loading the client (ADR 0038)."""

from typing import Final

from models.failures import DeadlineExceeded, ProviderFailure, kinds_below

SUCCESS: Final = "ok"
MODEL_GONE: Final = "model_gone"
MODEL_REFUSED: Final = "model_refused"

ATTEMPT_CODES: Final = (SUCCESS, MODEL_GONE, MODEL_REFUSED, *kinds_below(ProviderFailure), DeadlineExceeded.kind)
"""All of them."""
