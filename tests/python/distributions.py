# SPDX-License-Identifier: Apache-2.0
"""Whether values are distributed as they should be, and as a framework's are."""
import math

import numpy as np

ALARM = 1e-7  # of each comparison of distances, some hundreds in a run of the tests; 6 sigma are 2e-9


def distance(a, b):
    """The largest one between the distribution functions of two samples (Kolmogorov and Smirnov)."""
    a, b = np.sort(a), np.sort(b)
    at = np.concatenate([a, b])
    return np.abs(np.searchsorted(a, at, "right") / len(a) - np.searchsorted(b, at, "right") / len(b)).max()


def check(values, mean, stddev, low, high, live, coarse=False):
    """Raises AssertionError unless the values have these moments and bounds, and are distributed as the live ones.

    In 8 bits, coarse, what lies between the bounds has other moments: they are compared with the live values'.
    """
    n = values.size
    kurtosis = ((values - values.mean()) ** 4).mean() / values.std() ** 4
    assert abs(values.mean() - (live.mean() if coarse else mean)) < 6 * stddev * math.sqrt((2 if coarse else 1) / n)
    if coarse:
        assert abs(values.std() - live.std()) < 6 * stddev * math.sqrt((kurtosis - 1) / (2 * n))
    else:
        assert abs(values.std() - stddev) < 6 * stddev * math.sqrt((kurtosis - 1) / (4 * n))
    assert values.min() >= low and values.max() <= high
    assert distance(values, live) < math.sqrt(-math.log(ALARM / 2) / n)
