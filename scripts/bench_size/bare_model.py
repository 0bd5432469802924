"""MediaPipe Pose as its package runs it: the reference for throughput."""

import numpy as np

from size_rec.mediapipe_service import FULL_MODEL, WITH_MASK, enter_package_past_its_init
from size_rec.pose import RgbArray

GRAPH_FILE = "mediapipe/modules/pose_landmark/pose_landmark_cpu.binarypb"
OUTPUTS = ("pose_landmarks", "pose_world_landmarks", "segmentation_mask")
OVER_TIME = ("use_prev_landmarks", "smooth_landmarks", "smooth_segmentation")
SMOOTHED = False
"""Every photograph is on its own; nothing carries over from the one before."""


class BareModel:
    """The graph behind ``mediapipe.solutions.pose.Pose(static_image_mode=True, enable_segmentation=True)``; what that
    class does with the results is left away. The model files are those of the service's own graph."""

    def __init__(self) -> None:
        root = enter_package_past_its_init()
        from mediapipe.python import packet_creator  # noqa: PLC0415 - after the package is entered
        from mediapipe.python._framework_bindings import calculator_graph, image_frame, resource_util  # noqa: PLC0415

        resource_util.set_resource_dir(str(root))
        self._create, self._rgb = packet_creator, image_frame.ImageFormat.SRGB
        self._timestamp = 0
        self._seen: dict[str, object] = {}
        self._graph = calculator_graph.CalculatorGraph(binary_graph_path=str(root / GRAPH_FILE))
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
