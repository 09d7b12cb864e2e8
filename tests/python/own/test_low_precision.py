# SPDX-License-Identifier: Apache-2.0
"""Low precision: encodings against ml_dtypes and PyTorch, scales, stochastic rounding, and what safetensors reads."""
import json
import struct

import ml_dtypes
import numpy as np
import pytest

import fanin

SMALL = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn")
NORMAL = fanin.RandomNormal(0.0, 1.0, seed=5)


def values_of(dtype):
    """All finite values that are not negative, ascending."""
    patterns = np.arange(1 << (8 * np.dtype(getattr(ml_dtypes, dtype)).itemsize - 1), dtype=np.uint8)
    if dtype.startswith(("float4", "float6")):
        patterns = patterns[:1 << (int(dtype[5]) - 1)]
    values = patterns.view(getattr(ml_dtypes, dtype)).astype(np.float32)
    return values[np.isfinite(values)]


def encoded(values, dtype):
    """The bytes that ml_dtypes gives values clamped to the finite range."""
    largest = values_of(dtype)[-1]
    return np.clip(values, -largest, largest).astype(getattr(ml_dtypes, dtype)).view(np.uint8)


@pytest.mark.parametrize("dtype", SMALL)
def test_every_class_of_values(dtype):
    """Elements, midpoints and the neighbours of both, subnormal ones included, limits and what lies beyond, in both signs."""
    elements = values_of(dtype)
    midpoints = ((elements[1:].astype(np.float64) + elements[:-1]) / 2).astype(np.float32)
    beyond = np.array([elements[-1] * 1.01, elements[-1] * 1.5, 1e30, np.float32(2.0 ** -149), 2.0 ** -126], np.float32)
    exact = np.concatenate([elements, midpoints, beyond])
    values = np.concatenate([exact, np.nextafter(exact, np.float32(np.inf)), np.nextafter(exact, np.float32(0))])
    for value in np.concatenate([values, -values]):
        ours = fanin.draw(fanin.Constant(float(value)), (4,), dtype).view(np.uint8)
        assert (ours == encoded(value, dtype)).all(), (float(value).hex(), ours, encoded(value, dtype))


@pytest.mark.parametrize("dtype", SMALL)
@pytest.mark.parametrize("scale", [1.0, 0.3, 2.0 ** -6])
def test_draws_are_the_float32_draws_rounded(dtype, scale):
    weights = fanin.draw(NORMAL, (1 << 16,))
    ours = fanin.draw(NORMAL, (1 << 16,), dtype, output_scale=scale)
    assert ours.dtype == getattr(ml_dtypes, dtype)
    assert (ours.view(np.uint8) == encoded(weights / np.float32(scale), dtype)).all()
    assert (fanin.draw(NORMAL, (1 << 16,), output_scale=scale) == weights / np.float32(scale)).all()


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"])
def test_torch_float8(dtype):
    torch = pytest.importorskip("torch")
    tensor = torch.empty(64, 512, dtype=getattr(torch, dtype))
    fanin.fill(tensor, NORMAL, output_scale=0.125)
    weights = torch.empty(64, 512)
    fanin.fill(weights, NORMAL)
    assert torch.equal(tensor.view(torch.uint8), (weights / 0.125).to(tensor.dtype).view(torch.uint8))


def test_torch_float4_is_packed_low_half_first():
    torch = pytest.importorskip("torch")
    tensor = torch.empty(16, 32, dtype=torch.float4_e2m1fn_x2)
    scales = torch.tensor(2.0 ** (np.arange(32) % 3).reshape(16, 2), dtype=torch.float32).to(torch.float8_e8m0fnu)
    fanin.fill(tensor, NORMAL, output_scale=scales, rounding="stochastic")
    unpacked = fanin.draw(NORMAL, (16, 64), torch.float4_e2m1fn_x2, output_scale=scales, rounding="stochastic").view(np.uint8)
    assert (tensor.view(torch.uint8).numpy() == (unpacked[:, 0::2] | unpacked[:, 1::2] << 4)).all()
    part = torch.empty(4, 16, dtype=torch.float4_e2m1fn_x2)
    fanin.fill(part, NORMAL, shape=(16, 64), offset=(8, 32), output_scale=scales[8:12, 1:].contiguous(), rounding="stochastic")
    assert torch.equal(part.view(torch.uint8), tensor[8:12, 16:].contiguous().view(torch.uint8))
    with pytest.raises(ValueError, match="Packed arrays must be dense"):
        fanin.fill(tensor[:, ::2], NORMAL)


@pytest.mark.parametrize("dtype", SMALL)
def test_mx(dtype):
    weights = fanin.draw(NORMAL, (64, 96))
    scales = fanin.mx_scales(weights, dtype)
    assert scales.dtype == ml_dtypes.float8_e8m0fnu and scales.shape == (64, 3)
    groups = weights.reshape(64, 3, 32)
    exponents = np.floor(np.log2(np.abs(groups).max(axis=2))) - np.floor(np.log2(values_of(dtype)[-1]))
    assert (scales.astype(np.float32) == np.exp2(exponents)).all()
    elements = fanin.draw(NORMAL, (64, 96), dtype, output_scale=scales)
    assert (elements.reshape(64, 3, 32).view(np.uint8) == encoded(groups / scales.astype(np.float32)[:, :, None], dtype)).all()


def test_nvfp4():
    weights = fanin.draw(NORMAL, (64, 96))
    scales = (np.abs(weights.reshape(64, 6, 16)).max(axis=2) / 6).astype(ml_dtypes.float8_e4m3fn)
    elements = fanin.draw(NORMAL, (64, 96), "float4_e2m1fn", output_scale=scales)
    expected = weights.reshape(64, 6, 16) / scales.astype(np.float32)[:, :, None]
    assert (elements.reshape(64, 6, 16).view(np.uint8) == encoded(expected, "float4_e2m1fn")).all()


@pytest.mark.parametrize("dtype", ("float16", "bfloat16") + SMALL)
def test_stochastic_rounding(dtype):
    """Both neighbours occur, nothing else, and their mean is the value.

    Within 4 standard errors: a correct one fails with probability 6e-5, and the seed is fixed.
    """
    n = 1 << 14
    eps = float(ml_dtypes.finfo(np.dtype(getattr(ml_dtypes, dtype, dtype))).eps)
    drawn = fanin.RandomNormal(1 + 0.3 * eps, 0.05 * eps, seed=3)
    exact = fanin.draw(drawn, (n,)).astype(np.float64)
    ours = fanin.draw(drawn, (n,), dtype, rounding="stochastic").astype(np.float64)
    fraction = (exact - 1) / eps
    assert set(ours) == {1, 1 + eps}
    assert abs(np.sum(ours - exact)) / eps <= 4 * np.sqrt(np.sum(fraction * (1 - fraction)))
    assert (ours == fanin.draw(drawn, (n,), dtype, rounding="stochastic", threads=1).astype(np.float64)).all()


def test_scales_are_read_from_any_array():
    """Read-only, not dense, immutable, or a list: they are read, not written."""
    weights = fanin.draw(NORMAL, (8, 64))
    scales = fanin.mx_scales(weights, "float4_e2m1fn")
    wanted = fanin.draw(NORMAL, (8, 64), "float4_e2m1fn", output_scale=scales).view(np.uint8)
    read_only = [weights.copy(), scales.copy()]
    for array in read_only:
        array.setflags(write=False)
    others = [(np.asfortranarray(weights), np.repeat(scales, 2, 0)[::2]), read_only]
    torch = pytest.importorskip("torch")
    others.append((torch.tensor(weights.T).T, torch.tensor(scales.astype(np.float32).T.copy()).T))
    jnp = pytest.importorskip("jax.numpy")
    others.append((jnp.asarray(weights), jnp.asarray(scales)))
    for values, theirs in others:
        assert (fanin.mx_scales(values, "float4_e2m1fn") == scales).all()
        assert (fanin.draw(NORMAL, (8, 64), "float4_e2m1fn", output_scale=theirs).view(np.uint8) == wanted).all()
    listed = scales.astype(np.float64).tolist()
    assert (fanin.draw(NORMAL, (8, 64), "float4_e2m1fn", output_scale=listed).view(np.uint8) == wanted).all()
    for wrong in ("0.5", [[1.0]], np.ones((8, 3), np.float32)):
        with pytest.raises(ValueError, match="output_scale is a number, or an array of scales"):
            fanin.draw(NORMAL, (8, 64), "float4_e2m1fn", output_scale=wrong)


def test_numpy_arrays_of_any_strides():
    whole = np.zeros((10, 9), ml_dtypes.float4_e2m1fn)
    fanin.fill(whole[::2, ::-1], NORMAL)
    assert (whole[::2, ::-1].view(np.uint8) == fanin.draw(NORMAL, (5, 9), "float4_e2m1fn").view(np.uint8)).all()
    assert not whole[1::2].view(np.uint8).any()


def test_safetensors_reads_f4(tmp_path):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors")
    tensor = torch.empty(8, 16, dtype=torch.float4_e2m1fn_x2)
    fanin.fill(tensor, NORMAL)
    header = json.dumps({"w": {"dtype": "F4", "shape": [8, 32], "data_offsets": [0, 128]}}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + tensor.view(torch.uint8).numpy().tobytes())
    with safetensors.safe_open(path, framework="pt") as file:
        assert torch.equal(file.get_tensor("w").view(torch.uint8), tensor.view(torch.uint8))


def test_refusals():
    for scale in (0.0, -1.0, float("nan"), float("inf"), 1e60):
        with pytest.raises(ValueError, match="positive and finite"):
            fanin.draw(NORMAL, (32,), "float8_e4m3fn", output_scale=scale)
    with pytest.raises(ValueError, match="one for each 32"):
        fanin.draw(NORMAL, (4, 64), "float8_e4m3fn", output_scale=np.ones((4, 3), np.float32))
    with pytest.raises(ValueError, match="rounding="):
        fanin.draw(NORMAL, (4,), "float16", rounding="up")
    with pytest.raises(ValueError, match="narrower than float32"):
        fanin.draw(NORMAL, (4,), rounding="stochastic")
    with pytest.raises(ValueError, match="power of two"):
        fanin.draw(NORMAL, (4,), "float8_e8m0fnu")
    with pytest.raises(ValueError, match="not finite"):
        fanin.mx_scales(np.full((1, 32), np.inf, np.float32), "float4_e2m1fn")
    assert (fanin.draw(fanin.Constant(0.25), (3,), "float8_e8m0fnu").astype(np.float32) == 0.25).all()


def test_program(program, tmp_path):
    scales = fanin.mx_scales(fanin.draw("he_normal", (6, 64), seed=42, name="w"), "float4_e2m1fn")
    (tmp_path / "scales").write_bytes(scales.tobytes())
    program("fill", "--init", "he_normal", "--shape", "6,64", "--dtype", "float4_e2m1fn", "--seed", 42, "--name", "w",
            "--output-scale", tmp_path / "scales", "--rounding", "stochastic", "--device", "cpu", "--out", tmp_path / "w.bin")
    elements = fanin.draw("he_normal", (6, 64), "float4_e2m1fn", seed=42, name="w", output_scale=scales,
                          rounding="stochastic").view(np.uint8).ravel()
    assert (tmp_path / "w.bin").read_bytes() == (elements[0::2] | elements[1::2] << 4).tobytes()
    program("fill", "--init", "he_normal", "--shape", "6,64", "--dtype", "float8_e4m3fnuz", "--seed", 42, "--name", "w",
            "--output-scale", 0.25, "--device", "cpu", "--out", tmp_path / "w.npy")
    expected = fanin.draw("he_normal", (6, 64), "float8_e4m3fnuz", seed=42, name="w", output_scale=0.25)
    assert (np.load(tmp_path / "w.npy") == expected.view(np.uint8)).all()
