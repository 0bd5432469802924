"""One of MediaPipe's neural networks, run by LiteRT on the CPU.

The model files were fetched when the worker was installed (``size_rec/pose/network_files.py``); nothing is downloaded
here, and mediapipe itself is not needed (ADR 0108).
"""

from pathlib import Path
from typing import Final

import numpy as np

from size_rec.pose.network_files import NETWORK_FOLDER, NetworkFile, checked_path
from size_rec.pose.pose import Float32Array

THREADS: Final = 1
"""The pictures keep the processors busy; more threads for one picture only cost coordination."""


class Network:
    """A loaded network with one picture as its input. For one thread at a time."""

    def __init__(self, file: NetworkFile, folder: Path = NETWORK_FOLDER) -> None:
        """Load it out of ``folder`` and run it once, as the first run takes longer.

        Raises:
            ImportError: LiteRT is not installed.
            NetworkUnusable: the file is missing or not the pinned one.
            ValueError, RuntimeError: LiteRT cannot run it.
        """
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - the worker starts without it, too

        self._interpreter = Interpreter(str(checked_path(file, folder)), num_threads=THREADS)
        self._interpreter.allocate_tensors()
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        self._outputs: list[int] = [output["index"] for output in self._interpreter.get_output_details()]
        self.run(np.zeros(self._interpreter.get_input_details()[0]["shape"][1:], dtype=np.float32))

    def run(self, pixels: Float32Array) -> list[Float32Array]:
        """The outputs, in the model's order, for ``pixels`` (height, width, 3) in the model's own range."""
        self._interpreter.set_tensor(self._input, pixels[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(output)[0] for output in self._outputs]
