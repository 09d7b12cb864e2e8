# SPDX-License-Identifier: Apache-2.0
"""fanin.torch's functions: fanin's bits, PyTorch's distributions, generators, errors and habits."""
import inspect
import math
import warnings

import numpy as np
import pytest
from support import DTYPES

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import fanin  # noqa: E402
import fanin.torch as ours  # noqa: E402

torch.set_num_threads(1)  # threads of PyTorch that wait for each other on a busy machine take minutes
theirs = torch.nn.init
TORCH_DTYPES = [getattr(torch, name) for name in DTYPES if hasattr(torch, name)]
dtypes = pytest.mark.parametrize("dtype", TORCH_DTYPES, ids=str)


def generator(seed=7):
    return torch.Generator().manual_seed(seed)


def seed_of(g):
    """What the documentation says a function takes from a generator."""
    return int(torch.randint(-2**63, 2**63 - 1, (), dtype=torch.int64, generator=g)) % 2**64


def bits(tensor):
    return bytes(tensor.detach().contiguous().view(torch.uint8).numpy())


def drawn(init, shape, dtype, seed):
    """The bits of the array that fanin.fill makes, in memory that is PyTorch's for want of bfloat16 elsewhere."""
    return bits(fanin.fill(torch.empty(shape, dtype=dtype), init, seed=seed, layout="oihw"))


# ---------------------------------------------------------------- bits

SAME = [
    (lambda t, g: ours.uniform_(t, -1.0, 3.0, g), fanin.RandomUniform(-1.0, 3.0)),
    (lambda t, g: ours.normal_(t, 0.5, 2.0, g), fanin.RandomNormal(0.5, 2.0)),
    (lambda t, g: ours.trunc_normal_(t, generator=g), fanin.TruncatedNormal(0.0, 1.0)),
    (lambda t, g: ours.trunc_normal_(t, 0, 0.25, -0.5, 0.5, generator=g), fanin.TruncatedNormal(0.0, 0.25)),
    (lambda t, g: ours.trunc_normal_(t, 0, 0.02, -0.04, 0.04, generator=g), fanin.TruncatedNormal(0.0, 0.02)),
    (lambda t, g: ours.trunc_normal_(t, 0.5, 0.1, 0.3, 0.7, generator=g), fanin.TruncatedNormal(0.5, 0.1)),
    (lambda t, g: ours.trunc_normal_(t, 0, 1, -0.5, 0.5, generator=g), fanin.TruncatedNormal(0, 1, lower=-0.5, upper=0.5)),
    (lambda t, g: ours.trunc_normal_(t, 0, 1, 1, 2, generator=g), fanin.TruncatedNormal(0, 1, lower=1, upper=2)),
    (lambda t, g: ours.trunc_normal_(t, 0.5, 2, -8, -4, generator=g), fanin.TruncatedNormal(0.5, 2, lower=-4.25, upper=-2.25)),
    (lambda t, g: ours.trunc_normal_(t, 0, 4, 8, math.inf, generator=g), fanin.TruncatedNormal(0, 4, lower=2, upper=math.inf)),
    (lambda t, g: ours.xavier_uniform_(t, generator=g), fanin.GlorotUniform()),
    (lambda t, g: ours.xavier_normal_(t, generator=g), fanin.VarianceScaling(1, "fan_avg", "untruncated_normal")),
    (lambda t, g: ours.kaiming_uniform_(t, nonlinearity="linear", generator=g), fanin.LecunUniform()),
    (lambda t, g: ours.kaiming_normal_(t, nonlinearity="linear", generator=g),
     fanin.VarianceScaling(1, "fan_in", "untruncated_normal")),
]
FANS = (16, 16, 2, 2)  # of 64: PyTorch's formulas and Keras's round differently in binary64, but not for these


@dtypes
@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
def test_bits_are_the_librarys(dtype):
    for fill, init in SAME:
        t = torch.zeros(FANS, dtype=dtype)
        assert fill(t, generator()) is t
        assert bits(t) == drawn(init, t.shape, dtype, seed_of(generator())), init
        strided = torch.zeros(32, *FANS[1:], dtype=dtype)[::2]
        assert bits(fill(strided, generator())) == bits(t), init


@dtypes
def test_bits_are_the_programs(program, dtype, tmp_path):
    t = ours.kaiming_normal_(torch.empty(24, 16, dtype=dtype), nonlinearity="linear", generator=generator())
    config = '{"class_name": "VarianceScaling", "config": {"distribution": "untruncated_normal"}}'
    program("fill", "--config", config, "--shape", "24,16", "--dtype", str(dtype)[6:], "--layout", "oihw",
            "--seed", seed_of(generator()), "--out", tmp_path / "w.npy")
    assert (tmp_path / "w.npy").read_bytes().endswith(bits(t)) and t.float().std() > 0.1


def test_any_strides_and_views():
    whole = ours.normal_(torch.empty(6, 5, 4, 3), generator=generator())
    for make in (lambda: torch.zeros(6, 5, 4, 3).to(memory_format=torch.channels_last),
                 lambda: torch.zeros(3, 4, 5, 6).permute(3, 2, 1, 0),
                 lambda: torch.zeros(12, 5, 4, 5)[::2, :, :, 1:4]):
        t = make()
        assert not t.is_contiguous() and torch.equal(ours.normal_(t, generator=generator()), whole)
    negated = torch.zeros(6, 5, 4, 3, dtype=torch.complex64).conj().imag
    assert negated.is_neg() and torch.equal(ours.normal_(negated, generator=generator()), whole)
    assert torch.equal(ours.normal_(torch.empty(()), generator=generator()), whole.flatten()[0])


def test_complex_numbers_are_pairs():
    t = ours.normal_(torch.empty(40, 50, dtype=torch.complex64), 0.0, 3.0, generator())
    parts = ours.normal_(torch.empty(40, 50, 2), 0.0, 3.0 / math.sqrt(2), generator())
    assert torch.equal(torch.view_as_real(t), parts)
    torch.view_as_real(t).zero_()
    assert torch.view_as_real(ours.uniform_(t, 1, 2)).min() >= 1


# ---------------------------------------------------------------- distributions

WITHOUT_FANS = {
    "uniform_": dict(a=-1.0, b=3.0),
    "normal_": dict(mean=0.5, std=2.0),
    "trunc_normal_": dict(mean=0.5, std=2.0, a=-2.0, b=2.5),
}
WITH_FANS = {
    "xavier_uniform_": dict(gain=1.5),
    "xavier_normal_": dict(),
    "kaiming_uniform_": dict(a=math.sqrt(5)),
    "kaiming_normal_": dict(mode="fan_out", nonlinearity="relu"),
}
NARROW = dict(mean=0.0, std=1.0, a=1.0, b=2.5)
SHAPES = [(64, 200), (16, 24, 5, 7), (40, 30, 11)]
CASES = [(name, arguments, shape) for name, arguments in (*WITHOUT_FANS.items(), ("trunc_normal_", NARROW))
         for shape in ((13_007,), *SHAPES)]
CASES += [(name, arguments, shape) for name, arguments in WITH_FANS.items() for shape in SHAPES]
ALARM = 1e-6  # of each comparison: 1e-3 for all of this file, were the seeds not fixed


def largest_distance(a, b):
    """Between the distribution functions of two samples (Kolmogorov and Smirnov)."""
    a, b = np.sort(a), np.sort(b)
    at = np.concatenate([a, b])
    return np.abs(np.searchsorted(a, at, "right") / len(a) - np.searchsorted(b, at, "right") / len(b)).max()


def distance_bound(n):
    return math.sqrt(-math.log(ALARM / 2) / n)


def compare(a, b):
    """Raises AssertionError unless the samples, of equal length, have one distribution."""
    a, b = (x.double().flatten().numpy() for x in (a, b))
    n, spread = len(a), a.std()
    kurtosis = ((a - a.mean()) ** 4).mean() / spread**4
    # Both standard deviations are normal about the true one; 4.9 sigma for ALARM.
    assert abs(spread - b.std()) < 4.9 * spread * math.sqrt((kurtosis - 1) / (2 * n))
    assert largest_distance(a, b) < distance_bound(n)


@dtypes
@pytest.mark.parametrize("name, arguments, shape", CASES, ids=lambda x: x if isinstance(x, str) else None)
def test_distribution_is_pytorchs(name, arguments, shape, dtype):
    a = getattr(ours, name)(torch.empty(shape, dtype=dtype), **arguments, generator=generator(1))
    drawn_in = torch.float32 if dtype.itemsize == 1 else dtype  # PyTorch draws no float8
    b = getattr(theirs, name)(torch.empty(shape, dtype=drawn_in), **arguments, generator=generator(2)).to(dtype)
    if name == "uniform_":  # rounded, PyTorch's reaches the interval's end, which fanin's never does
        b = b.double().clamp(max=a.double().max())
    compare(a, b)


def test_comparison_can_fail():
    t = torch.randn(64, 200, generator=generator())
    compare(t, torch.randn(64, 200, generator=generator(2)))
    for wrong in (t * 1.05, t + 0.1, t.clamp(-1.7, 1.7), t.sign() * t.abs().sqrt()):
        with pytest.raises(AssertionError):
            compare(wrong, torch.randn(64, 200, generator=generator(2)))


@dtypes
@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
def test_truncation_bounds_hold(dtype):
    """In the real numbers, for windows of each sampler, whose bounds the dtype mostly cannot represent."""
    random = np.random.default_rng(5)
    filled = 0
    for _ in range(60):
        mean, std = random.normal(0, 3), 10 ** random.uniform(-2, 1)
        middle, width = random.uniform(-6, 6), 10 ** random.uniform(-3, 1)
        for a, b in [(mean - 2 * std, mean + 2 * std), (mean + std * (middle - width), mean + std * (middle + width))]:
            t = torch.empty(4000, dtype=dtype)
            try:
                ours.trunc_normal_(t, mean, std, a, b)
            except ValueError as error:
                assert "No value of" in str(error)
                continue
            assert a <= t.double().min() and t.double().max() <= b
            filled += 1
    assert filled > (60 if dtype.itemsize > 1 else 30)


@dtypes
def test_two_standard_deviations_however_they_are_rounded(dtype):
    """They have the sampler that TruncatedNormal has for them, and its values but for those that would be outside."""
    random = np.random.default_rng(6)
    windows = [(random.normal(), 10 ** random.uniform(-3, 1)) for _ in range(20)]
    windows += [(0.0, n * (1 - 2**-30)) for n in (0.25, 0.5, 1, 1.5)]  # in float32 that is n
    clamped = 0
    for mean, std in windows:
        a, b = mean - 2 * std, mean + 2 * std
        try:
            t = ours.trunc_normal_(torch.empty(50_000, dtype=dtype), mean, std, a, b, generator=generator())
        except ValueError:
            assert dtype.itemsize == 1
            continue
        expected = fanin.fill(torch.empty_like(t), fanin.TruncatedNormal(mean, std), seed=seed_of(generator())).double()
        outside = (expected < a) | (expected > b)
        clamped += int(outside.sum())
        assert torch.equal(t.double()[~outside], expected[~outside])
        assert a <= t.double().min() and t.double().max() <= b
    assert (clamped > 0) == (dtype.itemsize < 4)


def test_narrow_windows():
    whole, single = (ours.trunc_normal_(torch.empty(300, 700, dtype=dtype), **NARROW, generator=generator())
                     for dtype in (torch.float64, torch.float32))
    assert (whole - single).abs().max() < 2**-20
    for dtype in (torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
        t = ours.trunc_normal_(torch.empty(300, 700, dtype=dtype), **NARROW, generator=generator())
        assert bits(t) == bits(single.to(dtype))  # bounds that every dtype has
    strided = torch.zeros(700, 600).t()[::2]
    assert torch.equal(ours.trunc_normal_(strided, **NARROW, generator=generator()), single)
    with pytest.warns(UserWarning, match="mean is more than 2 std"):
        far = ours.trunc_normal_(torch.empty(10_000), 0, 0.01, 1, 2)
    assert 1 <= far.min() and 0.9e-4 < far.double().mean() - 1 < 1.1e-4  # an exponential tail: std * std / a
    with pytest.raises(ValueError, match="No value of bfloat16"):
        ours.trunc_normal_(torch.empty(5, dtype=torch.bfloat16), 0, 1, 1.001, 1.002)


@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
@pytest.mark.parametrize("mean, std, a, b, value", [
    (1e17, 1, -2, 2, 2),        # the bounds are one number of standard deviations
    (-1e17, 1, -2, 2, -2),
    (30_000_001, 1, -2, 2, 2),  # they are two, but of float32's steps, and the mean is rounded
    (1e300, 1, -2, 2, 2),       # beyond float32
    (0, 1e-30, 1, 2, 1),
    (0, 1e-300, 1, 2, 1),
    (0, 1e-300, -1, 1, 0),
    (1.25, 1e-300, -1, 2, 1.25),
    (0, 1, 1.5, 1.5, 1.5),
    (7, 1e-3, -math.inf, 0, 0),
    (-7, 1e-3, 0, math.inf, 0),
])
@dtypes
def test_windows_of_one_value(mean, std, a, b, value, dtype):
    g = generator()
    t = ours.trunc_normal_(torch.empty(1000, dtype=dtype), mean, std, a, b, generator=g)
    assert (t.double() - value).abs().max() < 1e-290
    assert not torch.equal(g.get_state(), generator().get_state())  # what comes after does not depend on that


@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_windows_in_which_the_density_does_not_change(dtype):
    """Also where the window is lost between two numbers of standard deviations, or the stddev is infinite in float32."""
    for mean, std, a, b in [(-1e8, 1e8, 0, 1), (-1e8, 1e8, 1, 1.25), (0, 1e39, -1, 1), (0, 1e60, -1, 1), (1e40, 1e41, 1, 2)]:
        t = ours.trunc_normal_(torch.empty(10_000, dtype=dtype), mean, std, a, b, generator=generator()).double()
        assert a <= t.min() and t.max() <= b
        assert distance_to_uniform(t.numpy(), a, b) < distance_bound(len(t)), (mean, std)


def distance_to_uniform(values, a, b):
    n, at = len(values), (np.sort(values) - a) / (b - a)
    return max((np.arange(1, n + 1) / n - at).max(), (at - np.arange(n) / n).max())


# ---------------------------------------------------------------- generators

def test_generators():
    torch.manual_seed(3)
    a, b = ours.normal_(torch.empty(50)), ours.kaiming_normal_(torch.empty(5, 10))
    torch.manual_seed(3)
    assert torch.equal(a, ours.normal_(torch.empty(50)))
    torch.rand(1)
    assert not torch.equal(b, ours.kaiming_normal_(torch.empty(5, 10)))  # something else was drawn in between
    assert (a != ours.normal_(torch.empty(50))).all()

    g = generator()
    before = torch.get_rng_state()
    state = g.get_state()
    first, second = (ours.uniform_(torch.empty(50), generator=g) for _ in range(2))
    assert (first != second).all() and torch.equal(torch.get_rng_state(), before)
    g.set_state(state)
    assert torch.equal(first, ours.uniform_(torch.empty(50), generator=g))
    assert torch.equal(second, ours.uniform_(torch.empty(50), generator=g))
    with torch.random.fork_rng():
        inside = ours.normal_(torch.empty(50))
    assert torch.equal(inside, ours.normal_(torch.empty(50)))


def test_what_is_not_filled_draws_nothing():
    g = generator()
    state = g.get_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours.kaiming_normal_(torch.empty(0, 3), generator=g)
    meta = torch.empty(3, 4, device="meta")
    for name in ("uniform_", "normal_", "trunc_normal_", "xavier_normal_", "kaiming_uniform_"):
        assert getattr(ours, name)(meta, generator=g) is meta
    ours.normal_(torch.empty(3, 0), generator=g)
    for wrong in (dict(std=-1), dict(mean="a")):
        with pytest.raises((RuntimeError, TypeError)):
            ours.normal_(torch.empty(3), **wrong, generator=g)
    with pytest.raises(ValueError):
        ours.xavier_normal_(torch.empty(3), generator=g)
    assert torch.equal(g.get_state(), state)


# ---------------------------------------------------------------- PyTorch's habits

@pytest.mark.parametrize("name", [n for n in theirs.__all__ if n.endswith("_") or n == "calculate_gain"])
def test_signatures(name):
    expected, got = (inspect.signature(getattr(module, name)).parameters.values() for module in (theirs, ours))
    assert [(p.name, p.default, p.kind) for p in got] == [(p.name, p.default, p.kind) for p in expected]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 3), (40, 30), (30, 40), (16, 3, 5, 5), (0, 4)])
def test_orthogonal(shape, dtype):
    tensor = torch.empty(shape, dtype=dtype)
    assert ours.orthogonal_(tensor, 0.5, torch.Generator().manual_seed(1)) is tensor
    seed = int(torch.randint(-2**63, 2**63 - 1, (), dtype=torch.int64, generator=torch.Generator().manual_seed(1))) % 2**64
    expected = torch.empty(shape, dtype=dtype)
    fanin.fill(expected, fanin.Orthogonal(0.5, seed), layout="oihw")
    assert torch.equal(tensor, expected)
    turned = torch.empty(shape[::-1], dtype=dtype).permute(*range(len(shape))[::-1])
    assert torch.equal(ours.orthogonal_(turned, 0.5, torch.Generator().manual_seed(1)), expected)
    if tensor.numel():
        q = tensor.flatten(1).double() / 0.5
        q = q if q.shape[0] >= q.shape[1] else q.T
        assert (q.T @ q - torch.eye(q.shape[1])).abs().max() < (0.02 if dtype == torch.bfloat16 else 1e-6)


@dtypes
def test_sparse(dtype):
    t = torch.empty(40, 30, dtype=dtype)
    assert ours.sparse_(t, 0.35, 0.5, generator()) is t
    assert bits(t) == drawn(fanin.Sparse(0.35, 0.5), (40, 30), dtype, seed_of(generator()))
    zeros = (t.float() == 0).sum(0)
    assert (zeros == 14).all() if t.element_size() > 1 else (zeros >= 14).all()  # some normals round to zero
    for wrong in (dict(sparsity=1.5), dict(sparsity=0.5, std=-1)):
        with pytest.raises((ValueError, RuntimeError)):
            ours.sparse_(t, **wrong)
    with pytest.raises(ValueError, match="2 dimensions"):
        ours.sparse_(torch.empty(3), 0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.complex64])
def test_eye_and_dirac_are_pytorchs(dtype):
    for shape in [(3, 5), (5, 3), (0, 3)]:
        assert torch.equal(ours.eye_(torch.empty(shape, dtype=dtype)), theirs.eye_(torch.empty(shape, dtype=dtype)))
        assert torch.equal(ours.eye_(torch.empty(shape[::-1], dtype=dtype).T), theirs.eye_(torch.empty(shape, dtype=dtype)))
    for shape, groups in [((6, 4, 3), 1), ((6, 3, 4, 5), 2), ((4, 8, 2, 3, 3), 4), ((0, 3, 3), 1)]:
        t = torch.empty(shape, dtype=dtype)
        assert ours.dirac_(t, groups) is t
        assert torch.equal(t, theirs.dirac_(torch.empty(shape, dtype=dtype), groups))
    weight = torch.nn.Parameter(torch.empty(3, 3))
    assert ours.eye_(weight) is weight and weight.requires_grad and weight.grad_fn is None
    meta = torch.empty(3, 3, 3, device="meta")
    assert ours.dirac_(meta) is meta
    for wrong in (lambda m: m.eye_(torch.empty(3)), lambda m: m.dirac_(torch.empty(3, 3)),
                  lambda m: m.dirac_(torch.empty(3, 3, 3), 2)):
        for module in (ours, theirs):
            with pytest.raises(ValueError):
                wrong(module)


def test_orthogonal_refuses():
    for function in (ours.orthogonal_, theirs.orthogonal_):
        with pytest.raises(ValueError, match="2 or more dimensions"):
            function(torch.empty(3))


INT, COMPLEX = torch.int32, torch.complex64


@pytest.mark.parametrize("name, make, arguments", [
    ("normal_", lambda: torch.empty(3), dict(std=-1)),
    ("normal_", lambda: torch.empty(3), dict(std=math.nan)),
    ("normal_", lambda: torch.empty(3), dict(mean="0")),
    ("normal_", lambda: torch.empty(3, dtype=INT), {}),
    ("normal_", lambda: torch.empty(3, dtype=torch.bool), {}),
    ("normal_", lambda: torch.empty(1).expand(3), {}),
    ("uniform_", lambda: torch.empty(3), dict(a=2, b=1)),
    ("uniform_", lambda: torch.empty(3), dict(b=math.inf)),
    ("uniform_", lambda: torch.empty(3), dict(a=math.nan)),
    ("uniform_", lambda: torch.empty(3, dtype=INT), {}),
    ("trunc_normal_", lambda: torch.empty(3), dict(std=0)),
    ("trunc_normal_", lambda: torch.empty(3), dict(a=1, b=0)),
    ("trunc_normal_", lambda: torch.empty(3, dtype=INT), {}),
    ("trunc_normal_", lambda: torch.empty(3, dtype=COMPLEX), {}),
    ("xavier_uniform_", lambda: torch.empty(3), {}),
    ("xavier_normal_", lambda: torch.empty(()), {}),
    ("xavier_normal_", lambda: torch.empty(0, 0), {}),
    ("kaiming_normal_", lambda: torch.empty(3), {}),
    ("kaiming_normal_", lambda: torch.empty(3, 3), dict(mode="fan")),
    ("kaiming_normal_", lambda: torch.empty(3, 3), dict(nonlinearity="gelu")),
    ("kaiming_uniform_", lambda: torch.empty(3, 3), dict(a=True)),
    ("kaiming_uniform_", lambda: torch.empty(3, 3, dtype=INT), {}),
    ("eye_", lambda: torch.empty(3), {}),
])
def test_errors_are_pytorchs(name, make, arguments):
    raised = []
    for module in (theirs, ours):
        with pytest.raises(Exception) as caught:
            getattr(module, name)(make(), **arguments)
        raised.append((caught.type, str(caught.value)))
    assert raised[0] == raised[1]


def test_errors_of_our_own():
    with pytest.raises(ValueError, match="must be finite"):
        ours.normal_(torch.empty(3), math.inf)
    with pytest.raises(RuntimeError, match="must have the correct device|device type|valid device|generator"):
        ours.normal_(torch.empty(3), generator=torch.Generator("meta"))


def test_warnings():
    for name in ("kaiming_uniform_", "kaiming_normal_"):
        with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op") as caught:
            getattr(ours, name)(torch.empty(0, 1))
        assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="mean is more than 2 std from") as caught:
        ours.trunc_normal_(torch.empty(3), 5, 1, -2, 2)
    assert caught[0].filename == __file__
    with pytest.warns(FutureWarning, match="`nn.init.normal` is now deprecated in favor of `nn.init.normal_`."):
        ours.normal(torch.empty(3))
    missing = [name for name in dir(torch.nn.init) if hasattr(torch.nn.init, name + "_") and not hasattr(ours, name)]
    assert missing == []


def test_integers_and_constants():
    t = torch.empty(3, 4, dtype=torch.int64)
    assert (ours.constant_(t, 3) == 3).all() and (ours.ones_(t) == 1).all() and not ours.zeros_(t).any()
    assert torch.equal(ours.eye_(t), torch.eye(3, 4, dtype=torch.int64))


def test_autograd():
    p = torch.nn.Parameter(torch.zeros(4, 4))
    for name in ("uniform_", "normal_", "trunc_normal_", "kaiming_normal_", "xavier_uniform_"):
        version = p._version
        assert getattr(ours, name)(p) is p and p.requires_grad and p.grad_fn is None and p._version > version
    factor = torch.ones(3)
    product = (torch.ones(3, requires_grad=True) * factor).sum()
    ours.trunc_normal_(factor, **NARROW)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()
    with torch.inference_mode():
        assert ours.normal_(torch.zeros(5)).all()


def test_torch_function():
    seen = []

    class Tagged(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            seen.append((function, sorted(kwargs or {})))
            return super().__torch_function__(function, types, args, kwargs or {})

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            seen.append((function, sorted(kwargs or {})))
            return function(*args, **(kwargs or {}))

    expected = ours.normal_(torch.empty(5), generator=generator())
    tagged = torch.empty(5).as_subclass(Tagged)
    ours.normal_(tagged, generator=generator())
    assert (ours.normal_, ["generator", "mean", "std", "tensor"]) in seen
    assert torch.equal(tagged.as_subclass(torch.Tensor), expected)
    seen.clear()
    with Mode():
        got = ours.normal_(tensor=torch.empty(5), generator=generator())
    assert any(function is ours.normal_ for function, _ in seen) and torch.equal(got, expected)
    with torch.device("meta"):  # a mode too
        assert torch.equal(ours.normal_(torch.empty(5, device="cpu"), generator=generator()), expected)


def test_tensors_without_strides_or_memory():
    with pytest.raises(TypeError, match="layout torch.sparse_coo"):
        ours.normal_(torch.zeros(3, 3).to_sparse())
    with torch._subclasses.FakeTensorMode():
        fake = torch.empty(3, 3)
    assert ours.normal_(fake) is fake and ours.trunc_normal_(fake) is fake
    for layout in (torch.jagged, torch.strided):
        for fill in (ours.normal_, ours.xavier_uniform_, ours.orthogonal_):
            with pytest.raises(TypeError, match="a nested tensor. Fill its values"):
                fill(torch.nested.nested_tensor([torch.zeros(2, 3), torch.zeros(3, 3)], layout=layout))
    for given in ([1.0], np.zeros(3), None):
        with pytest.raises(TypeError, match="normal_ fills a torch.Tensor. Received: .*, of type"):
            ours.normal_(given)
    with pytest.raises(TypeError, match="torch.func transforms"):
        torch.func.vmap(ours.normal_, randomness="different")(torch.zeros(2, 3))


# ---------------------------------------------------------------- CUDA

cuda = pytest.mark.skipif(not torch.cuda.is_available() or not fanin.available().cuda_devices,
                          reason="needs a CUDA device, and CUDA in PyTorch and in fanin")


@cuda
@dtypes
@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
def test_cuda_has_the_hosts_bits(dtype):
    for fill, _ in SAME:
        on_host, on_device = torch.zeros(FANS, dtype=dtype), torch.zeros(FANS, dtype=dtype, device="cuda")
        fill(on_host, generator())
        fill(on_device, generator())  # a generator of the CPU
        assert bits(on_host) == bits(on_device.cpu())
    transposed = torch.zeros(8, 6, device="cuda", dtype=dtype).t()
    expected = ours.normal_(torch.zeros(6, 8, dtype=dtype), generator=generator())
    assert bits(ours.normal_(transposed, generator=generator()).cpu()) == bits(expected)


@cuda
def test_cuda_generators_do_not_wait():
    fanin.preload(0)
    g = torch.Generator("cuda").manual_seed(5)
    expected = int(torch.randint(-2**63, 2**63 - 1, (), device="cuda", dtype=torch.int64, generator=g)) % 2**64
    t = torch.zeros(100, 70, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        ours.normal_(t, generator=g.manual_seed(5))
        torch.cuda.manual_seed(9)
        a = ours.kaiming_normal_(torch.empty_like(t))
        torch.manual_seed(9)
        b = ours.kaiming_normal_(torch.empty_like(t))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(
        t.cpu(), fanin.fill(torch.empty(100, 70), fanin.RandomNormal(0, 1, expected)))
    assert torch.equal(a, b)


@cuda
def test_cuda_graphs_draw_anew():
    fanin.preload(0)
    t = torch.zeros(1000, device="cuda")
    for fill in (ours.normal_, lambda t: ours.trunc_normal_(t, **NARROW)):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            fill(t)
        graph.replay()
        first = t.clone()
        graph.replay()
        assert first.std() > 0.3 and (t != first).float().mean() > 0.99


@pytest.mark.parametrize("dtype, beyond", [(torch.float8_e4m3fn, 449), (torch.float8_e5m2, 57345), (torch.float16, 65505)])
def test_windows_beyond_a_dtype(dtype, beyond):
    for a, b in [(beyond, 2 * beyond), (-2 * beyond, -beyond)]:
        with pytest.raises(ValueError, match="No value of"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours.trunc_normal_(torch.empty(3, dtype=dtype), 0, 1, a, b)
