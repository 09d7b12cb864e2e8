# SPDX-License-Identifier: Apache-2.0
"""Statistics of counts, and the probability that a correct generator gives one at least as extreme.

Every p-value is two-sided where both sides would be wrong: a chi-square that is too small is a finding too."""
import math
from dataclasses import dataclass

import numpy as np
from scipy import integrate, stats
from scipy.special import kolmogorov


@dataclass
class Check:
    name: str
    statistic: float
    p: float


def two_sided(lower, upper):
    return float(min(1.0, 2 * min(lower, upper)))


def by_normal(name, z):
    return Check(name, float(z), float(2 * stats.norm.sf(abs(z))))


def chi_square(name, counts, expected):
    statistic = float(np.sum((counts - expected) ** 2 / expected))
    law = stats.chi2(len(counts) - 1)
    return Check(f"{name}, {len(counts)} cells", statistic, two_sided(law.cdf(statistic), law.sf(statistic)))


def largest_deviation(name, counts, probabilities):
    """The cell whose binomial count is the least probable. The counts' negative dependence makes the bound conservative."""
    total = counts.sum()
    law = stats.binom(total, probabilities)
    each = np.minimum(1, 2 * np.minimum(law.cdf(counts), law.sf(counts - 1)))
    worst = int(np.argmin(each))
    spread = math.sqrt(total * probabilities[worst] * (1 - probabilities[worst]))
    z = (counts[worst] - total * probabilities[worst]) / spread
    return Check(name, float(z), float(-np.expm1(len(counts) * np.log1p(-min(each[worst], 1 - 1e-16)))))


def exact_count(name, count, total, probability):
    law = stats.binom(total, probability)
    return Check(name, float(count), two_sided(law.cdf(count), law.sf(count - 1)))


def merged(counts, probabilities, least):
    """Joins neighbouring cells until each expects at least `least` elements."""
    starts, expected = [0], 0.0
    for j, each in enumerate((probabilities * counts.sum()).tolist()):
        if expected >= least:
            starts.append(j)
            expected = 0.0
        expected += each
    if expected < least and len(starts) > 1:
        starts.pop()
    return np.add.reduceat(counts, starts), np.add.reduceat(probabilities, starts)


def anderson_darling_tail(a):
    """P(A^2 > a) in the limit of many elements. A^2 is the sum of chi-squares of 1 degree with the weights 1/(j (j + 1)),
    whose characteristic function is sqrt(-2 pi i t / cos(pi/2 sqrt(1 + 8 i t))) (Anderson and Darling, 1952). It is inverted
    as Gil-Pelaez (1951) showed; far out the first weight alone counts (Zolotarev, 1961)."""
    if a > 8:
        return math.sqrt(3) * float(stats.chi2(1).sf(2 * a))

    def integrand(t):
        j = np.arange(1, 400)
        weights = 1 / (j * (j + 1.0))
        rest = 1 / 400.0  # the sum of all other weights, which are as good as constant
        angle = 0.5 * np.sum(np.arctan(2 * weights * t)) + t * (rest - a)
        return math.sin(angle) / (t * math.exp(0.25 * np.sum(np.log1p((2 * weights * t) ** 2))))

    value, _ = integrate.quad(integrand, 0, 400, limit=2000, epsabs=1e-9)
    return 0.5 + value / math.pi


def distribution(counts, probabilities, centres):
    """The checks of one-dimensional counts: `counts` in cells of these probabilities, in order, about these centres."""
    total = int(counts.sum())
    checks = []

    # Moments of the elements moved to their cells' centres, whose exact expectation the probabilities give.
    mean = np.sum(probabilities * centres)
    deviation = centres - mean
    for order in range(1, 9):
        power = deviation ** order
        expected = np.sum(probabilities * power)
        variance = np.sum(probabilities * power ** 2) - expected ** 2
        z = np.sum((counts - total * probabilities) * power) / math.sqrt(total * variance)
        checks.append(by_normal(f"moment {order}", z))

    fine_counts, fine = merged(counts, probabilities, 100)
    checks.append(chi_square("chi-square", fine_counts, total * fine))
    checks.append(largest_deviation("largest deviation of a cell", fine_counts, fine))
    middle = np.cumsum(probabilities) - probabilities / 2
    group = np.minimum((middle * 256).astype(int), 255)
    coarse = [np.bincount(group, weights) for weights in (counts, probabilities)]
    filled = coarse[1] > 0
    checks.append(chi_square("chi-square", coarse[0][filled], total * coarse[1][filled]))

    # Both compare the two distribution functions at the ends of cells.
    law = np.cumsum(probabilities)[:-1]
    inside = (law > 0) & (law < 1)
    law = law[inside]
    difference = np.cumsum(counts)[:-1][inside] / total - law
    distance = math.sqrt(total) * float(np.max(np.abs(difference)))
    checks.append(Check("Kolmogorov-Smirnov", distance, float(kolmogorov(distance))))
    steps = np.diff(np.concatenate(([0.0], (law[1:] + law[:-1]) / 2, [1.0])))
    a = total * float(np.sum(difference ** 2 / (law * (1 - law)) * steps))
    checks.append(Check("Anderson-Darling", a, two_sided(1 - anderson_darling_tail(a), anderson_darling_tail(a))))
    return checks


def joint(name, counts, probabilities, scores=None):
    """The checks of tuples of independent elements: `probabilities` are those of the combinations of classes. With scores of
    the 64 classes of a pair's members, also the correlation of the members, and of their squares."""
    total = counts.sum()
    checks = [chi_square(f"{name}: chi-square", counts, total * probabilities),
              largest_deviation(f"{name}: largest deviation of a cell", counts, probabilities)]
    if scores is not None:
        table, expected = counts.reshape(64, 64), probabilities.reshape(64, 64)
        for what, power in (("correlation", 1), ("correlation of squares", 2)):
            first, second = (score ** power for score in scores)
            first, second = first - expected.sum(1) @ first, second - expected.sum(0) @ second
            spread = math.sqrt(total * (expected.sum(1) @ first ** 2) * (expected.sum(0) @ second ** 2))
            checks.append(by_normal(f"{name}: {what}", first @ table @ second / spread))
    return checks
