"""[pure] What is said of a body: the advice as the answer of ``POST /estimate-body``."""

from models.size_rec import EstimateBodyResponse, Measurements, SizeRange
from size_rec.vocabulary import SizeAdvice


def response_of(advice: SizeAdvice) -> EstimateBodyResponse:
    """The answer's JSON shape: measures to the millimetre, confidence to two digits."""
    return EstimateBodyResponse.model_validate(
        {
            "recommended_size": advice.size,
            "measurements": Measurements(**{name: round(value, 1) for name, value in advice.measurements_cm.items()}),
            "confidence": round(advice.confidence, 2),
            "body_type": advice.body_type.value,
            "size_range": SizeRange.model_validate({"lower": advice.smallest, "upper": advice.largest}),
        }
    )
