"""All fitted numbers that measuring needs, read from their files once."""

from typing import NamedTuple

from size_rec.body.body_model import BodyModel
from size_rec.body.model_file import load_body_model
from size_rec.body.stretch import StretchModels
from size_rec.body.stretch_file import load_stretch_models


class Fitted(NamedTuple):
    """How bodies are and look, and how stretched pictures of them do."""

    body: BodyModel
    stretch: StretchModels


def load_fitted() -> Fitted:
    """The numbers of the last calibration.

    Raises:
        ValueError: a file is not complete.
    """
    return Fitted(load_body_model(), load_stretch_models())
