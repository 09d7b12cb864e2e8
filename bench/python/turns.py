# SPDX-License-Identifier: Apache-2.0
"""Timing of calls that run in turn, for the benchmarks of the Python package's faces."""
import statistics
import time


def medians(calls, rounds, uncounted=1):
    """The median of each call's time in seconds, over the rounds that come after some that are not counted."""
    samples = [[] for _ in calls]
    for _ in range(uncounted + rounds):
        for call, taken in zip(calls, samples):
            begin = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begin)
    return [statistics.median(taken[uncounted:]) for taken in samples]
