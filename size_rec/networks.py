"""One of MediaPipe's neural networks, run by LiteRT on the CPU.

The model files ship inside the mediapipe wheel; nothing is ever downloaded, and mediapipe itself is not imported
(ADR 0105).
"""

from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

import numpy as np

from size_rec.pose import Float32Array

MODEL_PACKAGE: Final = "mediapipe"
PERSON_DETECTION: Final = "modules/pose_detection/pose_detection.tflite"
POSE_LANDMARKS: Final = "modules/pose_landmark/pose_landmark_full.tflite"

THREADS: Final = 1
"""The pictures keep the processors busy; more threads for one picture only cost coordination."""


def package_folder() -> Path:
    """Where mediapipe is installed, found without importing it.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    package = PathFinder.find_spec(MODEL_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError(f"{MODEL_PACKAGE} is not installed", name=MODEL_PACKAGE)
    return Path(package.submodule_search_locations[0])


class Network:
    """A loaded network with one picture as its input. For one thread at a time."""

    def __init__(self, model: str) -> None:
        """Load it and run it once, as the first run takes longer.

        Raises:
            ImportError: mediapipe or LiteRT is not installed.
            ValueError, RuntimeError: the model file is missing or broken.
        """
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - the worker starts without it, too

        self._interpreter = Interpreter(str(package_folder() / model), num_threads=THREADS)
        self._interpreter.allocate_tensors()
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        self._outputs: list[int] = [output["index"] for output in self._interpreter.get_output_details()]
        self.run(np.zeros(self._interpreter.get_input_details()[0]["shape"][1:], dtype=np.float32))

    def run(self, pixels: Float32Array) -> list[Float32Array]:
        """The outputs, in the model's order, for ``pixels`` (height, width, 3) in the model's own range."""
        self._interpreter.set_tensor(self._input, pixels[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(output)[0] for output in self._outputs]
