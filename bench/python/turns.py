# SPDX-License-Identifier: Apache-2.0
"""Times calls that alternate, for the benchmarks of fanin.torch, fanin.keras and fanin.jax."""
import statistics
import time


def medians(calls, rounds, uncounted=1):
    """The median of each call's time in seconds, over `rounds` rounds after the uncounted ones."""
    samples = [[] for _ in calls]
    for _ in range(uncounted + rounds):
        for call, taken in zip(calls, samples):
            begin = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begin)
    return [statistics.median(taken[uncounted:]) for taken in samples]
