# SPDX-License-Identifier: Apache-2.0
"""Truncated normals of any window against SciPy's: the core's and fanin.torch's. fanin.jax's have the core's bits."""
import functools
import math

import numpy as np
import pytest

import fanin

stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")

INF = math.inf
WINDOWS = [
    (-2, 2), (-3, 3), (-1.25, 1.25), (-INF, 1), (-0.1, 4), (0, INF), (0, 3),             # with a table
    (-0.01, 0.02), (-0.5, 0.5), (-1.2, 1.2), (0, 1), (-1, 0), (0, 1e-3), (1, 2), (-2, -1), (3, 3.1),  # box
    (0.5, INF), (2, INF), (-INF, -2), (3, 8), (-6, -3), (8, 9), (-9, -8), (30, INF)]     # tail
windows = pytest.mark.parametrize("lower, upper", WINDOWS)
COUNT = 1 << 18
BINS = 64
ALARM = 1e-6  # of each comparison: 3e-4 for all of this file, were the seeds not fixed


@functools.cache
def expected(lower, upper):
    """The distribution, the bounds of its BINS equal parts, the most of Kolmogorov's distance and of chi-square."""
    truth = stats.truncnorm(lower, upper)
    edges = truth.ppf(np.linspace(0, 1, BINS + 1)[1:-1])
    return truth, edges, stats.kstwo(COUNT).isf(ALARM), stats.chi2(BINS - 1).isf(ALARM)


def check(values, lower, upper):
    """Raises AssertionError unless values in standard deviations are distributed so."""
    truth, edges, most_distance, most_chi_square = expected(lower, upper)
    assert values.size == COUNT and lower <= values.min() and values.max() <= upper
    at = truth.cdf(np.sort(values))
    steps = np.arange(COUNT + 1) / COUNT
    assert max((steps[1:] - at).max(), (at - steps[:-1]).max()) < most_distance
    counts = np.bincount(np.searchsorted(edges, values), minlength=BINS)
    assert ((counts - COUNT / BINS) ** 2).sum() / (COUNT / BINS) < most_chi_square


@windows
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_core(lower, upper, dtype):
    values = fanin.draw(fanin.TruncatedNormal(0, 1, 42, lower, upper), (COUNT,), dtype).astype(np.float64)
    check(values, *np.array([lower, upper], dtype).astype(np.float64))


def test_the_comparison_can_fail():
    values = fanin.draw(fanin.TruncatedNormal(0, 1, 42, 1, 2), (COUNT,), "float64")
    check(values, 1, 2)
    for wrong in (1 + (values - 1) ** 1.02, np.where(np.arange(COUNT) % 50, values, 3 - values), np.maximum(values, 1.01),
                  np.random.default_rng(1).uniform(1, 2, COUNT)):
        with pytest.raises(AssertionError):
            check(wrong, 1, 2)


@windows
@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
def test_torch(lower, upper):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    import fanin.torch
    mean, std = 0.25, 0.5
    t = torch.empty(COUNT, dtype=torch.float32)
    a, b = mean + std * lower, mean + std * upper
    fanin.torch.trunc_normal_(t, mean, std, a, b, generator=torch.Generator().manual_seed(1))
    values = t.double().numpy()
    assert a <= values.min() and values.max() <= b
    # Between two steps of float32 it does not matter where a value is: its sum with the mean is coarser than a z near 0.
    step = np.spacing(np.abs(t.numpy())).astype(np.float64)
    values += np.random.default_rng(2).uniform(-0.5, 0.5, COUNT) * step
    check(np.clip((values - mean) / std, lower, upper), lower, upper)

