"""The arrays that the pipeline's mathematics work on; docstrings give their shapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Mask = NDArray[np.bool_]

Places = NDArray[np.int_]
