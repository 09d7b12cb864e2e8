# SPDX-License-Identifier: Apache-2.0
"""Fills of many Python threads: right, and not one after the other."""
import concurrent.futures
import contextlib
import importlib
import signal
import threading
import time

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


@contextlib.contextmanager
def interrupted_by(wait):
    """A signal, whose handler raises, comes to this thread when wait() has returned in another one."""
    def raise_interrupt(number, frame):
        raise KeyboardInterrupt

    def interrupt(thread):
        wait()
        signal.pthread_kill(thread, signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, raise_interrupt)
    watch = threading.Thread(target=interrupt, args=(threading.get_ident(),))
    try:
        with pytest.raises(KeyboardInterrupt):
            watch.start()
            yield
            watch.join()
    finally:
        watch.join()
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", ["dense", "strided", "formula", "plan", "torch", "fanin.torch"])
def test_a_signal_ends_a_long_fill(kind):
    """The elements before some point have their new values, and the others their old ones. The bytes are float8."""
    float8 = pytest.importorskip("ml_dtypes").float8_e5m2
    count = (2 if kind == "formula" else 6) << 24  # a look for signals every 2^25 elements of a thread
    init = fanin.Formula("i[0] - i[0] + 1") if kind == "formula" else fanin.RandomUniform(1, 2, 1)
    memory = np.zeros((count, 2) if kind == "strided" else (count,), np.uint8)
    bytes_of_fill = memory[:, 0] if kind == "strided" else memory
    target = bytes_of_fill.view(float8)
    plan = fanin.Plan()
    if "torch" in kind:
        torch = pytest.importorskip("torch")
        target = torch.from_numpy(memory).view(torch.float8_e5m2)
    if kind == "plan":
        for number, part in enumerate(np.split(target, 3)):
            plan.add(part, init, subsequence=number)

    def wait():
        while bytes_of_fill[0] == 0:
            pass

    with interrupted_by(wait):
        if kind == "plan":
            plan.fill(threads=1)
        elif kind == "fanin.torch":
            importlib.import_module("fanin.torch").uniform_(target, 1, 2)
        else:
            fanin.fill(target, init, threads=1)
    written = int(np.count_nonzero(bytes_of_fill))
    assert 0 < written < count
    assert bytes_of_fill[:written].all() and not bytes_of_fill[written:].any()
    if "torch" in kind:
        assert target._version > 0  # autograd knows
    if kind != "formula":  # which takes a second
        fanin.fill(target, init)
        assert bytes_of_fill.all()


def test_a_signal_ends_an_orthogonal_fill():
    values = np.zeros((2500, 2500), np.float32)
    with interrupted_by(lambda: time.sleep(0.05)):
        fanin.fill(values, fanin.Orthogonal(seed=1), threads=1)
    assert not values.any()


def test_long_fills_in_parts_have_the_bits_of_one():
    shape = ((5 << 24) + 3,)
    values = fanin.draw("he_normal", shape, "float16", seed=1, name="w", threads=1)
    for first in (0, (1 << 24) - 2, (3 << 24) + 1, shape[0] - 5):
        assert same_bits(values[first:first + 5], fanin.draw("he_normal", shape, "float16", seed=1, name="w", offset=(first,),
                                                             extent=(5,)))


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
