# SPDX-License-Identifier: Apache-2.0
"""What the tests share: paths, element types, comparisons of bits, and of distributions."""
import math
import pathlib

import numpy as np
import pytest

TESTS = pathlib.Path(__file__).parents[1]
PROJECT = TESTS.parent
CONTRACT = TESTS / "data" / "contract"
KERAS = TESTS / "data" / "keras"
DIGITS = PROJECT / "examples" / "trainer" / "digits.csv"
DTYPES = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")

ALARM = 1e-7  # probability that one comparison of distributions fails by chance; a run makes some hundreds


def numpy_dtype(name):
    """The NumPy dtype of that name. Skips the test if the dtype needs ml_dtypes and ml_dtypes is not installed."""
    if name.startswith(("bfloat16", "float8")):
        return np.dtype(getattr(pytest.importorskip("ml_dtypes"), name))
    return np.dtype(name)


def same_bits(a, b):
    """Whether two arrays have the same shape, element size and bytes."""
    return a.shape == b.shape and a.itemsize == b.itemsize and a.tobytes() == b.tobytes()


def kolmogorov_distance(a, b):
    """The largest difference between the empirical distribution functions of two samples."""
    a, b = np.sort(a), np.sort(b)
    at = np.concatenate([a, b])
    return np.abs(np.searchsorted(a, at, "right") / len(a) - np.searchsorted(b, at, "right") / len(b)).max()


def check_distribution(values, mean, stddev, low, high, live, coarse=False):
    """Asserts that the values have these moments and bounds, and the distribution of the live sample.

    coarse: the dtype has 8 bits, and rounding changes the moments, so the live sample's moments are compared with.
    """
    n = values.size
    kurtosis = ((values - values.mean()) ** 4).mean() / values.std() ** 4
    assert abs(values.mean() - (live.mean() if coarse else mean)) < 6 * stddev * math.sqrt((2 if coarse else 1) / n)
    if coarse:
        assert abs(values.std() - live.std()) < 6 * stddev * math.sqrt((kurtosis - 1) / (2 * n))
    else:
        assert abs(values.std() - stddev) < 6 * stddev * math.sqrt((kurtosis - 1) / (4 * n))
    assert values.min() >= low and values.max() <= high
    assert kolmogorov_distance(values, live) < math.sqrt(-math.log(ALARM / 2) / n)
