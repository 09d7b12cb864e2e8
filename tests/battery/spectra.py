# SPDX-License-Identifier: Apache-2.0
"""Checks of the spectra of random matrices, which see dependence between any of their rows and columns.

The eigenvalues of X'X, where X has n rows and p <= n columns of independent standard normals, follow these laws:

- the largest, and the smallest if p < n, lie at the edges that Marchenko and Pastur (1967) found, and fluctuate there as
  Tracy and Widom's law of order 1; centred and scaled as Johnstone (2001) and Ma (2012) give it;
- the logarithm of the determinant is a sum of logarithms of independent chi-squares with n, n - 1, ... degrees of freedom;
- tr (X'X)^2 has the mean np(n + p + 1) and the variance 4np(2n^2 + 2p^2 + 5np + 5n + 5p + 5);
- n times the smallest, if p = n, exceeds x with the probability exp(-x/2 - sqrt(x)) in the limit (Edelman, 1988).

The edges are the same for other distributions with the variance 1, up to terms of the order n^(-1/3) of the fluctuation."""
import math

import checks
import numpy as np
from scipy import stats
from scipy.special import digamma, kolmogorov, polygamma

TRACY_WIDOM_MEAN, TRACY_WIDOM_VARIANCE = -1.2065335745, 1.6077810345  # of order 1 (Bornemann, 2010)
# Chiani (2014): a shifted gamma distribution is within 1e-3 of Tracy and Widom's law of order 1.
TRACY_WIDOM = stats.gamma(46.446, loc=-9.84801, scale=0.186054)


def eigenvalues(matrix):
    return np.linalg.eigvalsh(matrix.T @ matrix)


def largest_in_tracy_widom_units(spectrum, n, p):
    a, b = math.sqrt(n - 0.5), math.sqrt(p - 0.5)
    return (spectrum[-1] - (a + b) ** 2) / ((a + b) * (1 / a + 1 / b) ** (1 / 3))


def smallest_in_tracy_widom_units(spectrum, n, p):
    a, b = math.sqrt(n - 0.5), math.sqrt(p - 0.5)
    edge, scale = (a - b) ** 2, (a - b) * (1 / b - 1 / a) ** (1 / 3)
    tau = scale / edge
    return (math.log(edge) + tau ** 3 / 8 - math.log(spectrum[0])) / tau


def at_an_edge(name, positions):
    """The mean of many matrices' extreme eigenvalues, and the one that is furthest from it."""
    mean = checks.by_normal(f"{name}, mean", (np.mean(positions) - TRACY_WIDOM_MEAN)
                            / math.sqrt(TRACY_WIDOM_VARIANCE / len(positions)))
    each = [checks.two_sided(TRACY_WIDOM.cdf(position), TRACY_WIDOM.sf(position)) for position in positions]
    worst = int(np.argmin(each))
    return [mean, checks.Check(f"{name}, furthest", float(positions[worst]), -math.expm1(len(each) * math.log1p(-min(each))))]


def tall(matrices, are_normal=True):
    """Matrices of one shape with more rows than columns."""
    n, p = matrices[0].shape
    spectra = [eigenvalues(matrix) for matrix in matrices]
    found = at_an_edge("largest eigenvalue", [largest_in_tracy_widom_units(spectrum, n, p) for spectrum in spectra])
    found += at_an_edge("smallest eigenvalue", [smallest_in_tracy_widom_units(spectrum, n, p) for spectrum in spectra])
    if are_normal:
        degrees = (n - np.arange(p)) / 2
        logs = np.mean([np.sum(np.log(spectrum)) for spectrum in spectra]) - np.sum(digamma(degrees) + math.log(2))
        found.append(checks.by_normal("log determinant", logs / math.sqrt(np.sum(polygamma(1, degrees)) / len(spectra))))
        squares = np.mean([np.sum(spectrum ** 2) for spectrum in spectra]) - n * p * (n + p + 1.0)
        variance = 4.0 * n * p * (2 * n * n + 2 * p * p + 5 * n * p + 5 * n + 5 * p + 5)
        found.append(checks.by_normal("trace of the square", squares / math.sqrt(variance / len(spectra))))
    return found


def square(matrices):
    """Many square matrices of normals: the distribution of the smallest singular value."""
    smallest = np.sort([len(matrix) * np.linalg.svd(matrix, compute_uv=False)[-1] ** 2 for matrix in matrices])
    law = -np.expm1(-smallest / 2 - np.sqrt(smallest))
    rank, count = np.arange(len(law)), len(law)
    distance = math.sqrt(count) * max(np.max((rank + 1) / count - law), np.max(law - rank / count))
    return [checks.Check("smallest singular value, Kolmogorov-Smirnov", float(distance), float(kolmogorov(distance)))]
