"""A simulator of the OpenAI images API (``POST /v1/images/edits``) that can be told to misbehave.

In a test: ``with running_simulator() as simulator: ... simulator.base_url ...``. As a process:
``python -m sandbox.openai_sim --latency 20-60``. A prompt asks for a fault with ``[[sim:NAME]]``; the names and
meanings are in ``faults.py`` and at ``GET /_sim/faults``.
"""

from sandbox.openai_sim.client import SimulatorClient
from sandbox.openai_sim.latency import Latency
from sandbox.openai_sim.server import running_simulator
from sandbox.openai_sim.state import SimulatorOptions

__all__ = ["Latency", "SimulatorClient", "SimulatorOptions", "running_simulator"]
