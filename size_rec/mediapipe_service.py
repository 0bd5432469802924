"""MediaPipe Pose on the CPU, loaded once: an RGB picture in, a :class:`size_rec.pose.Pose` out.

The model files ship inside the mediapipe wheel; nothing is ever downloaded. ``import mediapipe`` would also import
its drawing helpers and with them matplotlib, OpenCV and JAX, none of which the pose graph uses. So the package is
entered past its ``__init__`` (ADR 0101), and the graph is the one of ``mediapipe/modules/pose_landmark``
(``pose_landmark_cpu.pbtxt``, Apache-2.0), reduced to still pictures, with the detector's full list of people kept, and
run in the thread that asks: handing every step to a thread of the graph's own costs a twentieth of the time.
"""

import importlib.util
import sys
from contextlib import suppress
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from size_rec.pose import PersonBox, Pose

GRAPH = """
input_stream: "image"
node {
  calculator: "PoseDetectionCpu"
  input_stream: "IMAGE:image"
  output_stream: "DETECTIONS:people"
}
node {
  calculator: "SplitDetectionVectorCalculator"
  input_stream: "people"
  output_stream: "person"
  options { [mediapipe.SplitVectorCalculatorOptions.ext] { ranges: { begin: 0 end: 1 } element_only: true } }
}
node {
  calculator: "ImagePropertiesCalculator"
  input_stream: "IMAGE:image"
  output_stream: "SIZE:image_size"
}
node {
  calculator: "PoseDetectionToRoi"
  input_stream: "DETECTION:person"
  input_stream: "IMAGE_SIZE:image_size"
  output_stream: "ROI:region"
}
node {
  calculator: "PoseLandmarkByRoiCpu"
  input_side_packet: "MODEL_COMPLEXITY:model_complexity"
  input_side_packet: "ENABLE_SEGMENTATION:enable_segmentation"
  input_stream: "IMAGE:image"
  input_stream: "ROI:region"
  output_stream: "LANDMARKS:landmarks"
  output_stream: "WORLD_LANDMARKS:world_landmarks"
  output_stream: "SEGMENTATION_MASK:mask"
}
executor { type: "ApplicationThreadExecutor" }
"""
OUTPUTS = ("people", "landmarks", "world_landmarks", "mask")
FULL_MODEL = 1
"""``pose_landmark_full.tflite``, the largest of the three that is inside the wheel."""
WITH_MASK = True
WARM_UP_SIDE_PX = 256
HIP_CENTER, FULL_BODY = 0, 1
"""Indices of the detector's alignment key points (``pose_detection_to_roi.pbtxt``)."""


def enter_package_past_its_init() -> Path:
    """Make ``mediapipe.*`` importable without running ``mediapipe/__init__.py``; return the package's parent folder."""
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("mediapipe is not installed", name="mediapipe")
    if "mediapipe" not in sys.modules:
        sys.modules["mediapipe"] = importlib.util.module_from_spec(spec)
    return Path(spec.submodule_search_locations[0]).parent


class PoseModel:
    """The pose model, loaded once or several times.

    Thread-safe: as many pictures at a time as ``graphs``, each independent of the ones before; who comes beyond that
    waits for one to be free.
    """

    def __init__(self, graphs: int = 1) -> None:
        self._free: LifoQueue[_PoseGraph] = LifoQueue()  # the one used last has its memory in the caches
        for _ in range(graphs):
            self._free.put(_PoseGraph())

    def find(self, rgb: NDArray[np.uint8]) -> Pose | None:
        """The pose of the most prominent person in ``rgb`` (height, width, 3), or ``None`` if there is nobody."""
        graph = self._free.get()
        try:
            return graph.find(rgb)
        except Exception:
            graph = graph.replacement()
            raise
        finally:
            self._free.put(graph)

    def close(self) -> None:
        """Free the graphs; nothing may be looked at any more."""
        with suppress(Empty):
            while True:
                self._free.get_nowait().close()


class _PoseGraph:
    """One loaded graph, for one picture at a time."""

    def __init__(self) -> None:
        root = enter_package_past_its_init()
        from google.protobuf import text_format  # noqa: PLC0415 - after the package is entered
        from mediapipe.calculators.core import split_vector_calculator_pb2  # noqa: F401, PLC0415 - registers the option
        from mediapipe.framework import calculator_pb2  # noqa: PLC0415
        from mediapipe.framework.formats import detection_pb2, landmark_pb2  # noqa: F401, PLC0415 - register messages
        from mediapipe.python import packet_creator, packet_getter  # noqa: PLC0415
        from mediapipe.python._framework_bindings import calculator_graph, image_frame, resource_util  # noqa: PLC0415

        self._create, self._get = packet_creator, packet_getter
        self._rgb = image_frame.ImageFormat.SRGB
        self._packets: dict[str, Any] = {}
        self._timestamp = 0
        resource_util.set_resource_dir(str(root))
        config = text_format.Parse(GRAPH, calculator_pb2.CalculatorGraphConfig())
        self._graph = calculator_graph.CalculatorGraph(graph_config=config)
        for name in OUTPUTS:
            self._graph.observe_output_stream(name, self._packets.__setitem__)
        self._graph.start_run(
            {
                "model_complexity": packet_creator.create_int(FULL_MODEL),
                "enable_segmentation": packet_creator.create_bool(WITH_MASK),
            }
        )
        self.find(np.zeros((WARM_UP_SIDE_PX, WARM_UP_SIDE_PX, 3), dtype=np.uint8))  # the first picture takes longer

    def find(self, rgb: NDArray[np.uint8]) -> Pose | None:
        self._packets.clear()
        self._timestamp += 1
        frame = self._create.create_image_frame(image_format=self._rgb, data=np.ascontiguousarray(rgb))
        self._graph.add_packet_to_input_stream("image", frame.at(self._timestamp))
        self._graph.wait_until_idle()
        if "landmarks" not in self._packets or "mask" not in self._packets:
            return None
        return self._read(width=rgb.shape[1], height=rgb.shape[0])

    def _read(self, *, width: int, height: int) -> Pose:
        landmarks = self._get.get_proto(self._packets["landmarks"]).landmark
        world = self._get.get_proto(self._packets["world_landmarks"]).landmark
        mask = self._get.get_image(self._packets["mask"]).numpy_view()
        return Pose(
            landmarks=np.array([(point.x * width, point.y * height, point.visibility) for point in landmarks]),
            world=np.array([(point.x, point.y, point.z) for point in world]),
            mask=np.array(mask, dtype=np.float32),
            people=tuple(
                self._person(detection, width, height)
                for detection in self._get.get_proto_list(self._packets["people"])
            ),
        )

    @staticmethod
    def _person(detection: Any, width: int, height: int) -> PersonBox:
        points = detection.location_data.relative_keypoints
        center = np.array([points[HIP_CENTER].x * width, points[HIP_CENTER].y * height])
        edge = np.array([points[FULL_BODY].x * width, points[FULL_BODY].y * height])
        return PersonBox(reach_px=float(np.hypot(*(edge - center))))

    def replacement(self) -> "_PoseGraph":
        """A new graph: one that failed once refuses every picture from then on."""
        self.close()
        return _PoseGraph()

    def close(self) -> None:
        with suppress(Exception):  # a graph that failed says so again
            self._graph.close()
