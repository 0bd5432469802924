"""What ``POST /estimate-body`` takes and answers (FR-4, docs/size-recommendation.md)."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.size_chart import ShopChart

MAX_URL_LENGTH = 4096
"""Characters. Signed storage URLs have about 600. Stricter than the queue's contract (``MAX_URL_CHARS``)."""

MIN_HEIGHT_CM, MAX_HEIGHT_CM = 100.0, 250.0
"""FR-4.2."""

MIN_WEIGHT_KG, MAX_WEIGHT_KG = 30.0, 250.0

ACCEPTED_PHOTOS: Final = "At most 10 MB; JPEG, PNG, WebP, GIF or HEIC of up to 64 megapixels, AVIF of up to 37."
"""The limits of ``services/fetching/image_download.py`` and ``services/images/opening.py`` in words; a test compares
them. AVIF cannot be decoded at reduced scale: more pixels would take more memory than one photo may."""

SizeName = Literal["XS", "S", "M", "L", "XL", "XXL"]
"""The sizes of the built-in chart; a request with a chart of its own is answered in that chart's labels."""

NoteName = Literal["adults_only", "beyond_known_heights", "above_chart", "loose_clothes", "grey_picture"]
BodyTypeName = Literal["slim", "average", "athletic", "broad"]
Centimetres = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class EstimateBodyRequest(BaseModel):
    """One full-length photograph and what the person says of themselves."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"image_url": "https://storage.example.com/photos/front.jpg?token=…", "height_cm": 175.5},
                {
                    "image_url": "https://storage.example.com/photos/front.jpg",
                    "height_cm": 162.4,
                    "height_measured": True,
                    "weight_kg": 58.5,
                },
                {
                    "image_url": "https://storage.example.com/photos/front.jpg",
                    "height_cm": 168,
                    "size_chart": {
                        "unit": "in",
                        "garment_type": "dress",
                        "sizes": [
                            {"label": "36", "chest_max": 33, "waist_max": 27.5, "hip_max": 36.5},
                            {"label": "38", "chest_max": 34.5, "waist_max": 29, "hip_max": 38},
                            {"label": "40", "chest_max": 36.5, "waist_max": 31, "hip_max": 39.5},
                            {"label": "42+"},
                        ],
                    },
                },
            ]
        },
    )

    image_url: str = Field(
        min_length=1,
        max_length=MAX_URL_LENGTH,
        repr=False,
        description=f"A front photo: one person, standing, head to feet in the picture. {ACCEPTED_PHOTOS}",
    )
    height_cm: float = Field(
        ge=MIN_HEIGHT_CM,
        le=MAX_HEIGHT_CM,
        allow_inf_nan=False,
        description="Stature without shoes, as the person states it. (Men state some 2 cm too much, women 1; "
        "the answer takes that into account.)",
    )
    height_measured: bool = Field(
        default=False,
        description="Optional: `true` if the height was measured; makes every girth some 0.2 cm more exact.",
    )
    weight_kg: float | None = Field(
        default=None,
        ge=MIN_WEIGHT_KG,
        le=MAX_WEIGHT_KG,
        allow_inf_nan=False,
        description="Optional; makes every girth about 0.7 cm more exact.",
    )
    size_chart: ShopChart | None = Field(
        default=None,
        description="Optional: the shop's own chart, in whose labels the answer is. Bounds are girths of the body. "
        "Without it sizes are XS to XXL (docs/size-recommendation.md).",
    )


class Measurements(BaseModel):
    """The body's measures in cm. The platform refuses an answer with any other key."""

    chest_cm: Centimetres = Field(description="Girth at the fullest part of the chest.")
    waist_cm: Centimetres = Field(description="Girth midway between the lowest rib and the hip bone (ISO 8559-1).")
    hip_cm: Centimetres = Field(description="Girth at the fullest part of the buttocks.")
    shoulder_cm: Centimetres = Field(description="Breadth between the shoulder bones (biacromial).")
    inseam_cm: Centimetres = Field(description="Crotch to floor.")


class SizeRange(BaseModel):
    """Smallest and largest size that may well fit; holds the true size about nine times in ten."""

    lower: str
    upper: str


class SizeProbability(BaseModel):
    """One size of the chart and how probably it is the right one."""

    size: str
    probability: float = Field(ge=0, le=1)


class EstimateBodyResponse(BaseModel):
    """Measures, size, and how sure they are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "recommended_size": "M",
                    "measurements": {
                        "chest_cm": 97.2,
                        "waist_cm": 82.9,
                        "hip_cm": 99.4,
                        "shoulder_cm": 40.1,
                        "inseam_cm": 82.3,
                    },
                    "confidence": 0.74,
                    "body_type": "average",
                    "size_range": {"lower": "M", "upper": "L"},
                    "size_probabilities": [
                        {"size": "XS", "probability": 0.0},
                        {"size": "S", "probability": 0.063},
                        {"size": "M", "probability": 0.734},
                        {"size": "L", "probability": 0.202},
                        {"size": "XL", "probability": 0.001},
                        {"size": "XXL", "probability": 0.0},
                    ],
                    "notes": [],
                }
            ]
        }
    )

    recommended_size: str = Field(description="XS to XXL, or a label of the request's own chart.")
    measurements: Measurements
    confidence: float = Field(
        ge=0,
        le=1,
        description="Probability that a girth is right within half a size (4 cm), by the mean spread of chest, "
        "waist and hip; that all three are is less probable.",
    )
    body_type: BodyTypeName
    size_range: SizeRange
    size_probabilities: list[SizeProbability] = Field(
        description="Every size of the chart, in its order; the probabilities add up to 1. (A list: JavaScript would "
        "put the keys of an object in another order where labels are numbers.)"
    )
    notes: list[NoteName] = Field(
        description="What to tell the person. `adults_only`: as small as children are, of whom nothing is known; "
        "`beyond_known_heights`: nobody of this height is known; by the estimated height, so of stated ones from some "
        "146 cm down and 208 up. With either of them the confidence is lowered, and falls to 0 from there. "
        "`above_chart`: the body is larger than the chart's last size. `loose_clothes`, `grey_picture`: a photo in "
        "close-fitting clothes, or in colour, would be measured more exactly."
    )
