"""Where the sample pictures of the sandbox lie; their origins are in the README beside them."""

from pathlib import Path
from typing import Final

SAMPLES: Final = Path(__file__).resolve().parents[1] / "samples"
