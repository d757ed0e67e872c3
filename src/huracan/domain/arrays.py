"""Arrays by the type of their elements; a docstring says their shape."""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

__all__ = ["F64", "I64", "Bool"]
