"""MediaPipe Pose as its package runs it: the reference for throughput, and for what our own framing must agree with.

The only thing here that needs MediaPipe itself, and with it NumPy 1 and protobuf 4: it runs in the environment that
``make reference`` makes (Python 3.11 or 3.12 on x86-64), never in the worker's (ADR 0108).
"""

import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from size_rec.pose.pose import FloatArray, RgbArray

MODEL_PACKAGE = "mediapipe"
GRAPH_FILE = "modules/pose_landmark/pose_landmark_cpu.binarypb"
LANDMARKS = "pose_landmarks"
OUTPUTS = (LANDMARKS, "pose_world_landmarks", "segmentation_mask")
FULL_MODEL = 1
"""``pose_landmark_full.tflite``, the largest of the three that is inside the wheel."""
WITH_MASK = True
OVER_TIME = ("use_prev_landmarks", "smooth_landmarks", "smooth_segmentation")
SMOOTHED = False
"""Every photograph is on its own; nothing carries over from the one before."""


def decoded(photograph: Path) -> RgbArray:
    """The photograph's pixels, upright."""
    with Image.open(photograph) as photo:
        return np.asarray(ImageOps.exif_transpose(photo).convert("RGB"))


def package_folder() -> Path:
    """Where mediapipe is installed, found without importing it.

    Raises:
        ModuleNotFoundError: it is not.
    """
    package = PathFinder.find_spec(MODEL_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError(f"{MODEL_PACKAGE} is not installed: see `make reference`", name=MODEL_PACKAGE)
    return Path(package.submodule_search_locations[0])


def enter_package_past_its_init() -> Path:
    """Make ``mediapipe.*`` importable without running ``mediapipe/__init__.py``, which imports drawing helpers and with
    them matplotlib, OpenCV and JAX; return the package's folder."""
    folder = package_folder()
    package = ModuleType(MODEL_PACKAGE)
    package.__path__ = [str(folder)]
    sys.modules.setdefault(MODEL_PACKAGE, package)
    return folder


class BareModel:
    """The graph behind ``mediapipe.solutions.pose.Pose(static_image_mode=True, enable_segmentation=True)``; what that
    class does with the results is left away. The landmark model is the one the service uses.
    """

    def __init__(self) -> None:
        folder = enter_package_past_its_init()
        from mediapipe.framework.formats import landmark_pb2  # noqa: F401, PLC0415 - after the package is entered
        from mediapipe.python import packet_creator, packet_getter  # noqa: PLC0415
        from mediapipe.python._framework_bindings import calculator_graph, image_frame, resource_util  # noqa: PLC0415

        resource_util.set_resource_dir(str(folder.parent))
        self._create, self._get, self._rgb = packet_creator, packet_getter, image_frame.ImageFormat.SRGB
        self._timestamp = 0
        self._seen: dict[str, Any] = {}
        self._graph = calculator_graph.CalculatorGraph(binary_graph_path=str(folder / GRAPH_FILE))
        for name in OUTPUTS:
            self._graph.observe_output_stream(name, self._seen.__setitem__)
        self._graph.start_run(
            {
                "model_complexity": packet_creator.create_int(FULL_MODEL),
                "enable_segmentation": packet_creator.create_bool(WITH_MASK),
                **{name: packet_creator.create_bool(SMOOTHED) for name in OVER_TIME},
            }
        )

    def look(self, rgb: RgbArray) -> bool:
        """Whether somebody is seen."""
        self._seen.clear()
        self._timestamp += 1
        frame = self._create.create_image_frame(image_format=self._rgb, data=np.ascontiguousarray(rgb))
        self._graph.add_packet_to_input_stream("image", frame.at(self._timestamp))
        self._graph.wait_until_idle()
        return len(self._seen) == len(OUTPUTS)

    def joints(self, rgb: RgbArray) -> FloatArray:
        """(33, 2): where in the picture the landmarks are, in pixels; somebody must be seen."""
        self.look(rgb)
        height, width = rgb.shape[:2]
        landmarks = self._get.get_proto(self._seen[LANDMARKS]).landmark
        return np.array([(point.x * width, point.y * height) for point in landmarks])
