# SPDX-License-Identifier: Apache-2.0
"""PyTorch's tensors as arrays."""
import numpy as np
import pytest
from support import numpy_dtype

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import fanin  # noqa: E402

INIT = fanin.HeNormal(42)
DTYPES = [d for d in ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2") if hasattr(torch, d)]


def bits(tensor):
    return bytes(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())


def whole(shape, dtype="float32", **options):
    """The same weights, made by NumPy's face."""
    numpy_dtype(dtype)  # may skip
    raw = fanin.draw(INIT, shape, dtype, **{"layout": "oihw", **options}).reshape(-1).view("u1")
    return torch.from_numpy(raw).view(getattr(torch, dtype)).reshape(shape)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_and_strides(dtype):
    t = torch.zeros(40, 30, dtype=getattr(torch, dtype))
    assert fanin.fill(t, INIT, name="w") is t
    assert bits(t) == bits(whole((40, 30), dtype, name="w")) and t.float().count_nonzero() > 1000
    fanin.fill(t[::2, 3:].t(), INIT)
    assert bits(t[::2, 3:].t()) == bits(whole((27, 20), dtype))
    assert fanin.fill(torch.zeros((), dtype=t.dtype), "ones") == 1
    assert fanin.draw(INIT, (3,), "float32").tobytes() == bits(whole((3,)))


def test_the_layout_is_that_of_the_library():
    """An array's library says which axes are its inputs; the caller can say otherwise."""
    t, w = torch.zeros(40, 30), np.zeros((40, 30), np.float32)
    of = {layout: fanin.draw(INIT, (40, 30), layout=layout) for layout in ("hwio", "oihw")}
    assert not np.array_equal(of["hwio"], of["oihw"])
    assert np.array_equal(fanin.fill(t, INIT).numpy(), of["oihw"])
    assert np.array_equal(fanin.fill(t, INIT, layout="hwio").numpy(), of["hwio"])
    assert np.array_equal(fanin.fill(w, INIT), of["hwio"]) and np.array_equal(fanin.fill(w, INIT, layout="oihw"), of["oihw"])
    fanin.fill(t.numpy(), INIT)  # NumPy's view of a tensor is an array of NumPy's
    assert np.array_equal(t.numpy(), of["hwio"])
    plan = fanin.Plan()
    plan.add(t, INIT, name="a")
    plan.add(w, INIT, name="b")
    plan.fill()
    assert np.array_equal(t.numpy(), fanin.draw(INIT, (40, 30), name="a", layout="oihw"))
    assert np.array_equal(w, fanin.draw(INIT, (40, 30), name="b", layout="hwio"))
    plan = fanin.Plan()
    plan.add(t, INIT, layout="hwio")
    plan.fill()
    assert np.array_equal(t.numpy(), of["hwio"])


def test_parameters_that_require_grad():
    p = torch.nn.Parameter(torch.zeros(4, 4))
    before = p._version
    fanin.fill(p, INIT)
    assert p.requires_grad and p.grad_fn is None and p._version == before + 1
    assert bits(p) == bits(whole((4, 4)))


def test_autograd_sees_the_change():
    x = torch.ones(3, requires_grad=True)
    factor = torch.ones(3)
    product = (x * factor).sum()
    fanin.fill(factor, INIT)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()
    product = (x * factor).sum()
    plan = fanin.Plan()
    plan.add(factor, INIT)
    plan.fill()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


def test_inference_tensors():
    with torch.inference_mode():
        t = torch.zeros(5)
    fanin.fill(t, INIT)
    assert bits(t) == bits(whole((5,)))


def test_plan_keeps_the_storage():
    p = torch.nn.Parameter(torch.zeros(100_000))
    old = p.detach()
    plan = fanin.Plan()
    plan.add(p, INIT)
    p.data = torch.zeros(100_000)
    plan.fill()
    assert bits(old) == bits(whole((100_000,))) and not p.any()


def test_dtype_of_draw():
    assert fanin.draw(INIT, (3,), torch.float16).dtype == "float16"
    with pytest.raises(ValueError, match="int32"):
        fanin.draw(INIT, (3,), torch.int32)


def fake():
    from torch._subclasses.fake_tensor import FakeTensorMode
    with FakeTensorMode():
        return torch.zeros(3)


@pytest.mark.parametrize("make, message", [
    (fake, "FakeTensorMode"),
    (lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]), r"nested.*unbind"),
    (lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], layout=torch.jagged), r"nested.*unbind"),
    (lambda: torch.zeros(3, dtype=torch.int64), "int64"),
    (lambda: torch.zeros(3, dtype=torch.complex64), "complex64"),
    (lambda: torch.zeros(3, device="meta"), "meta"),
    (lambda: torch.zeros(3, 3).to_sparse(), "layout torch.sparse_coo"),
    (lambda: torch.zeros(1).expand(3), "share memory"),
    (lambda: torch.zeros(3, dtype=torch.complex64).conj().imag, "resolve_neg"),
])
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        fanin.fill(make(), INIT)
    with pytest.raises(ValueError, match=message if "share" not in message else "dense"):
        fanin.Plan().add(make(), INIT)


@pytest.mark.skipif(not torch.cuda.is_available() or not fanin.available().cuda_devices, reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", DTYPES)
def test_cuda(dtype):
    expected = bits(whole((100, 70), dtype))
    t = torch.zeros(100, 70, dtype=getattr(torch, dtype), device="cuda")
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):  # the current one
        torch.cuda._sleep(50_000_000)
        t.zero_()
        fanin.fill(t, INIT)
        copy = t.clone()
    stream.synchronize()
    assert bits(copy) == bits(t) == expected
    t.zero_()
    torch.cuda.synchronize()
    fanin.fill(t, INIT, stream=stream)
    stream.synchronize()
    assert bits(t) == expected
    seed = torch.tensor([42], dtype=torch.int64, device="cuda")
    fanin.fill(t.zero_(), "he_normal", seed=1, device_seed=seed)
    assert bits(t) == expected
    plan = fanin.Plan()
    plan.add(t.zero_(), INIT)
    plan.add_copy(0, torch.zeros(100, 70, device="cuda"))
    size = plan.workspace_size(0)
    if size:
        plan.upload(torch.empty(size, dtype=torch.uint8, device="cuda"))
    plan.fill()
    assert bits(t) == expected
    with pytest.raises(ValueError, match="dense and row-major"):
        fanin.fill(t.t(), INIT)


def lying_about_data_ptr(cls, function, types, arguments=(), keywords=None):
    if getattr(function, "__name__", "") == "data_ptr":
        return 16
    return super(cls, cls).__torch_function__(function, types, arguments, keywords or {})


@pytest.mark.parametrize("name, value", [
    ("data_ptr", lambda self: 16), ("stride", lambda self: (10**9, 1)), ("element_size", lambda self: 2**40),
    ("dtype", property(lambda self: torch.float64)), ("device", property(lambda self: "cpu")),
    ("__torch_function__", classmethod(lying_about_data_ptr))])
def test_what_a_subclass_says_of_its_memory_does_not_count(name, value):
    memory = torch.zeros(4, 6)
    fanin.fill(memory.as_subclass(type("Liar", (torch.Tensor,), {name: value})), "ones")
    assert bool((memory == 1).all())


def test_a_subclass_with_another_shape_is_refused():
    memory = torch.zeros(4, 6)
    liar = memory.as_subclass(type("Liar", (torch.Tensor,), {"shape": property(lambda self: torch.Size([10**6, 10**3]))}))
    with pytest.raises(ValueError, match=r"the shape of its memory, \[4, 6\].*1000000"):
        fanin.fill(liar, "ones")
    assert not memory.any()


@pytest.mark.parametrize("transform", [
    lambda f: torch.func.vmap(f, randomness="different"), lambda f: torch.func.grad(lambda w: f(w).sum()), torch.func.functionalize,
    lambda f: lambda w: torch.func.jvp(f, (w,), (w,))])
def test_wrappers_of_torch_func(transform):
    """They have no address, which neither PyTorch's message nor that of a null pointer says."""
    for fill in (lambda w: fanin.fill(w, INIT), lambda w: fanin.Plan().add(w, INIT)):
        with pytest.raises(ValueError, match="without an address: its storage was freed, or torch.func"):
            transform(lambda w, fill=fill: fill(w.clone()))(torch.zeros(3, 3))
