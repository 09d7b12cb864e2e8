# SPDX-License-Identifier: Apache-2.0
"""fanin.Orthogonal on arrays; tests/api/orthogonal_test.cpp tests the values."""
import numpy as np
import pytest

import fanin

HUGE = 2**27


def defect(matrix):
    q = matrix.astype(np.float64)
    q = q if q.shape[0] >= q.shape[1] else q.T
    return np.abs(q.T @ q - np.eye(q.shape[1])).max()


@pytest.mark.parametrize("shape", [(1, 1), (7, 7), (70, 40), (40, 70), (300, 65), (3, 3, 8, 16)])
def test_columns_or_rows_are_orthonormal(shape):
    made = fanin.draw(fanin.Orthogonal(seed=42), shape)
    assert defect(made.reshape(-1, shape[-1])) < 1e-6
    assert defect(fanin.draw("orthogonal", shape, "float64", seed=42).reshape(-1, shape[-1])) < 1e-14
    torch_like = fanin.draw(fanin.Orthogonal(seed=42), shape, layout="oihw")
    assert defect(torch_like.reshape(shape[0], -1)) < 1e-6
    assert (fanin.draw(fanin.Orthogonal(2.0, seed=42), shape) == 2 * made).all()


def test_2048_columns():
    """LAPACK's geqrf and orgqr have a defect of 6.7e-7 here."""
    assert defect(fanin.draw("orthogonal", (2048, 2048), seed=1)) < 1.5e-6


def test_parts_are_slices():
    init = fanin.Orthogonal(seed=3)
    whole = fanin.draw(init, (60, 33), name="w")
    part = fanin.draw(init, (60, 33), name="w", offset=(10, 5), extent=(7, 20))
    assert (part == whole[10:17, 5:25]).all()
    strided = np.zeros((33, 60), np.float32).T
    fanin.fill(strided, init, name="w")
    assert (strided == whole).all()


def test_configurations():
    init = fanin.Orthogonal(gain=0.5, seed=7)
    assert init.gain == 0.5
    for form in ("keras3", "tf2"):
        config = fanin.serialize(init, form)
        assert config["class_name"] == "Orthogonal" and config["config"] == {"gain": 0.5, "seed": 7}
        assert fanin.deserialize(config) == init
    assert isinstance(fanin.get("OrthogonalInitializer"), fanin.Orthogonal)
    described = fanin.describe(init, (3, 3, 8, 16))
    assert described.distribution == "orthogonal" and described.bounds == (-0.5, 0.5)
    assert described.stddev == pytest.approx(0.5 / 72**0.5)


def test_refusals_write_nothing():
    memory = np.full(4, 9, np.float32)
    for call, says in ((lambda: fanin.fill(memory, "orthogonal", seed=1), "two-dimensional"),
                       (lambda: fanin.fill(memory.reshape(2, 2), fanin.Orthogonal(1e39, 1)), "finite in float32"),
                       (lambda: fanin.fill(memory.reshape(2, 2), "orthogonal", seed=1, shape=(HUGE, HUGE), offset=(0, 0)),
                        "more memory than this machine has")):
        with pytest.raises(ValueError, match=says):
            call()
    with pytest.raises(ValueError):
        fanin.Orthogonal(float("nan"))
    assert (memory == 9).all()
