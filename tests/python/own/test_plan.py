# SPDX-License-Identifier: Apache-2.0
import gc
import weakref

import numpy as np
import pytest
from support import numpy_dtype, same_bits

import fanin


def test_equals_single_fills(dtype):
    type_ = numpy_dtype(dtype)
    arrays = {f"layer.{j}": np.zeros((j + 1, 3, 50), type_) for j in range(20)}
    plan = fanin.Plan()
    init = fanin.HeNormal(42)
    for number, (name, w) in enumerate(arrays.items()):
        assert plan.add(w, init, name=name) == number
    part = np.zeros((4, 5), type_)
    copies = [np.zeros((1, 3, 50), np.float64), np.zeros((1, 3, 50), np.float16)]
    plan.add(part, "glorot_uniform", seed=9, shape=(8, 8), offset=(2, 3), layout="oihw")
    for copy in copies:
        plan.add_copy(0, copy)
    assert len(plan) == 23 and "23" in repr(plan)
    for _ in range(2):
        plan.fill(threads=2)
        for name, w in arrays.items():
            assert same_bits(w, fanin.draw(init, w.shape, dtype, name=name))
            w[...] = 0
        assert same_bits(part, fanin.draw("glorot_uniform", (8, 8), dtype, seed=9, offset=(2, 3), extent=(4, 5)))
        for copy in copies:
            assert same_bits(copy, fanin.draw(init, copy.shape, copy.dtype, name="layer.0"))


def test_keeps_memory_and_gives_it_back():
    plan = fanin.Plan()
    kept, buffer = np.zeros(1000, np.float32), bytearray(4000)
    view = kept[:]
    alive = weakref.ref(view)
    plan.add(view, fanin.HeNormal(1))
    plan.add(memoryview(buffer).cast("f"), fanin.HeNormal(2))
    del view
    gc.collect()
    assert alive() is not None
    with pytest.raises(BufferError):
        buffer.append(0)
    plan.fill()
    assert same_bits(kept, fanin.draw("he_normal", (1000,), seed=1))
    assert bytes(buffer) == fanin.draw("he_normal", (1000,), seed=2).tobytes()
    del plan
    gc.collect()
    assert alive() is None
    buffer.append(0)


class Holding(np.ndarray):
    """An array that knows its plan."""


@pytest.mark.parametrize("kind", ["array", "buffer", "dlpack"])
def test_a_cycle_of_an_array_and_its_plan_is_garbage(kind):
    class Exporter:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **keywords):
            return self.array.__dlpack__(**keywords)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    alive = []
    for _ in range(20):
        plan = fanin.Plan()
        memory = np.zeros(1000, np.float32)
        array = memory.view(Holding) if kind != "dlpack" else Exporter(memory)
        array.plan = plan
        plan.add(memoryview(array) if kind == "buffer" else array, fanin.HeNormal(1))
        plan.fill()
        assert memory.any()
        alive += [weakref.ref(plan), weakref.ref(array)]
    del plan, array
    gc.collect()
    assert not any(one() for one in alive)


def test_a_plan_that_is_used_is_no_garbage():
    array = np.zeros(100, np.float32).view(Holding)
    array.plan = fanin.Plan()
    array.plan.add(array, fanin.HeNormal(1))
    gc.collect()
    array.plan.fill()
    assert same_bits(np.asarray(array), fanin.draw("he_normal", (100,), seed=1))


def test_counts_calls_of_a_sequence():
    init = fanin.HeNormal(fanin.Seed.sequence(3))
    arrays = np.zeros((3, 10), np.float32)
    plan = fanin.Plan()
    for w in arrays:
        plan.add(w, init)
    assert init.calls == 3
    plan.fill()
    for call, w in enumerate(arrays):
        assert same_bits(w, fanin.draw("he_normal", (10,), seed=3, subsequence=call))


def test_refusals():
    plan = fanin.Plan()
    init = fanin.HeNormal(42)
    w = np.zeros((4, 6), np.float32)
    other = np.zeros((4, 6), np.float32)
    plan.add(w, init, name="a")
    for error, message, call in [
        (ValueError, "same draws", lambda: plan.add(other, init, name="a")),
        (ValueError, "overlaps", lambda: plan.add(w, init, name="b")),
        (ValueError, "dense and row-major", lambda: plan.add(other.T, init, name="b")),
        (ValueError, "read-only", lambda: plan.add(np.broadcast_to(other, (2, 4, 6)), init, name="b")),
        (ValueError, "no entry 7", lambda: plan.add_copy(7, other)),
        (TypeError, "entry must be an integer", lambda: plan.add_copy("a", other)),
        (TypeError, "list", lambda: plan.add([1.0], init)),
        (ValueError, "threads=-1", lambda: plan.fill(threads=-1)),
        (ValueError, "seed in device memory", lambda: plan.fill(device_seed=4096)),
        (TypeError, "stream", lambda: plan.fill(stream="s")),
        (ValueError, "no machine has", lambda: plan.fill(stream={2**32: 0})),
        (ValueError, "uint8", lambda: plan.upload(other)),
    ]:
        with pytest.raises(error, match=message):
            call()
    assert len(plan) == 1 and not w.any() and not other.any()
    if fanin.available().cuda_devices == 0:
        with pytest.raises(fanin.DeviceError, match="cuda:0"):
            plan.workspace_size(0)
    fanin.Plan().fill()


def test_a_copy_has_as_many_elements():
    plan, other = fanin.Plan(), np.full((5, 5), 7, np.float32)
    entry = plan.add(np.zeros((4, 4), np.float32), fanin.HeNormal(1), name="x")
    with pytest.raises(ValueError, match="as many elements as the entry, which has 16. Received: an array of 25"):
        plan.add_copy(entry, other)
    assert len(plan) == 1
    with pytest.raises(ValueError, match="no entry 5"):
        plan.add_copy(5, other)


def test_a_storage_that_was_resized():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for resize in (lambda tensor: tensor.resize_(1_000_000), lambda tensor: tensor.untyped_storage().resize_(0)):
        tensor, other, plan = torch.zeros(1000), torch.zeros(3), fanin.Plan()
        plan.add(tensor, fanin.HeNormal(1), name="x")
        plan.add(other, fanin.Ones())
        resize(tensor)
        with pytest.raises(ValueError, match=r"shape \[1000\] in the plan has other memory than when it was added"):
            plan.fill()
        assert other.sum() == 0
