"""The quotient of two counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def quotient(numerator: Floats, denominator: Floats) -> Floats:
    """The quotient of arrays of one shape, and 0 where the denominator is 0, as scikit-learn's ``zero_division=0``."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
