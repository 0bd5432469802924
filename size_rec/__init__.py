"""Size recommendation: one photo and a height in, measures and a size out. Knows nothing of worker/."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
"""Before NumPy is first imported: its matrices here are 48 by 48, and a second BLAS thread would only spin, which
doubled the processor time of a photograph."""
