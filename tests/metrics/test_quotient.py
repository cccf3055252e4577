"""A quotient of counts is 0 where there is nothing to count."""

from __future__ import annotations

import warnings

import numpy as np

from ammrg.metrics.quotient import quotient


def test_a_quotient_is_zero_without_a_denominator() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = quotient(np.array([[1.0, 0.0], [3.0, 2.0]]), np.array([[2.0, 0.0], [0.0, 8.0]]))
    np.testing.assert_array_equal(found, [[0.5, 0.0], [0.0, 0.25]])
