# SPDX-License-Identifier: Apache-2.0
"""Fills of many Python threads: right, and not one after the other."""
import concurrent.futures
import threading

import numpy as np
import pytest
from support import same_bits

import fanin


def in_threads(count, call):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


@pytest.mark.parametrize("shape, step", [((700, 1001), 1), ((700, 1001), 2), ((3, 4), 1)])
def test_filling_at_once(shape, step):
    init = fanin.HeNormal(42)
    expected = [fanin.draw(init, shape, subsequence=j) for j in range(8)]

    def fill(j):
        for _ in range(5):
            w = np.zeros(shape[:-1] + (shape[-1] * step,), np.float32)[..., ::step]
            fanin.fill(w, init, subsequence=j)
            assert same_bits(w.copy(), expected[j])

    in_threads(8, fill)


@pytest.mark.parametrize("kind", ["dense", "strided", "plan"])
def test_python_runs_while_memory_is_filled(kind):
    w = np.zeros((1 << 24, 2), np.float32)  # some 10 ms at least
    w = w[:, 1] if kind == "strided" else w.reshape(-1)
    plan = fanin.Plan()
    if kind == "plan":
        plan.add(w, fanin.HeNormal(1))
    filling, steps, during = threading.Event(), 0, 0
    done = threading.Event()

    def work():
        filling.set()
        if kind == "plan":
            plan.fill(threads=1)
        else:
            fanin.fill(w, fanin.HeNormal(1), threads=1)
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    filling.wait()
    while not done.is_set():
        steps += 1
        during += w[0] == 0 or w[-1] == 0  # not yet filled to the end: seen from outside, while the call runs
    worker.join()
    assert w[0] != 0 and w[-1] != 0
    assert steps > 10 and during > 10


def test_one_sequence_for_all_threads():
    init = fanin.HeNormal(fanin.Seed.sequence(1))
    drawn = in_threads(8, lambda j: [init((3,)).tobytes() for _ in range(50)])
    expected = {fanin.draw("he_normal", (3,), seed=1, subsequence=call).tobytes() for call in range(400)}
    assert {w for list_ in drawn for w in list_} == expected


def test_a_plan_that_is_filled_and_added_to():
    plan = fanin.Plan()
    arrays = np.zeros((400, 3000), np.float32)

    def use(j):
        for k in range(50):
            plan.add(arrays[50 * j + k], fanin.HeNormal(1), subsequence=50 * j + k)
            if k % 10 == 9:
                with lock:  # nobody else writes into the same memory
                    plan.fill()

    lock = threading.Lock()
    in_threads(8, use)
    assert len(plan) == 400
    plan.fill()
    for j, w in enumerate(arrays):
        assert same_bits(w, fanin.draw("he_normal", (3000,), seed=1, subsequence=j))
