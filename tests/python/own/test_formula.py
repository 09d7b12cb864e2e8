# SPDX-License-Identifier: Apache-2.0
"""Formula: values that are computed from an element's coordinates."""
import json
import math
import pickle

import numpy as np
import pytest
from support import CONTRACT

import fanin

CASES = json.loads((CONTRACT / "computed.json").read_text())


def has_functions():
    try:
        fanin.draw(fanin.Formula("log(2)"), ())
        return True
    except ValueError as error:
        assert "MPFR" in str(error)
        return False


needs_functions = pytest.mark.skipif(not has_functions(), reason="this build has no MPFR")


@needs_functions
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_it_has_the_oracles_bits(case):
    formula = fanin.Formula(case["value"], case["constants"], seed=case["seed"])
    for dtype, kind in {"float64": np.uint64, "float32": np.uint32, "float16": np.uint16}.items():
        got = fanin.draw(formula, case["shape"], dtype, subsequence=case["subsequence"])
        assert [int(one, 16) for one in case["patterns"][dtype].split()] == got.ravel().view(kind).tolist(), dtype


def test_blocks_and_strides_have_the_wholes_values():
    formula = fanin.Formula("z + i[0] / (i[1] + 1)", seed=3)
    whole = fanin.draw(formula, (30, 20))
    assert (fanin.draw(formula, (30, 20), offset=(7, 3), extent=(9, 11)) == whole[7:16, 3:14]).all()
    apart = np.zeros((30, 40), np.float32)
    fanin.fill(apart[:, ::2], formula)
    assert (apart[:, ::2] == whole).all() and (apart[:, 1::2] == 0).all()
    plan = fanin.Plan()
    copy = np.empty_like(whole)
    plan.add(copy, formula)
    plan.fill()
    assert (copy == whole).all()


def test_it_is_an_initializer_like_the_others():
    formula = fanin.Formula("n * i[0]", {"n": 2}, seed=5)
    assert formula.value == "n * i[0]" and formula.constants == {"n": 2.0} and formula.seed == 5
    assert repr(formula) == "Formula(value='n * i[0]', constants={'n': 2.0}, seed=5)"
    assert formula == eval(repr(formula), {"Formula": fanin.Formula})
    assert formula != fanin.Formula("n * i[0]", {"n": 3}, seed=5)
    assert formula.get_config() == {"seed": 5, "value": "n * i[0]", "constants": {"n": 2.0}}
    assert fanin.deserialize(fanin.serialize(formula)) == formula
    assert fanin.Formula.from_config({"value": "i[0]"}).constants == {}
    assert pickle.loads(pickle.dumps(formula)) == formula
    assert type(formula.with_seed(6)) is fanin.Formula
    assert fanin.formula is fanin.Formula
    assert formula((3,)).tolist() == [0, 2, 4]
    description = formula.describe((3,))
    assert description.distribution == "computed" and math.isnan(description.mean)
    assert description.bounds == (-math.inf, math.inf)
    assert "value = n * i[0], where n = 2" in str(description)


@pytest.mark.parametrize("value, constants, message", [
    ("i[0", None, r'column 4: Expected "\]"'),
    ("wdth", {"width": 3}, 'Did you mean "width"'),
    ("1 / i[0]", None, r"not finite in float32: inf, with i\[0\]=0"),
    ("i[1]", None, "the tensor has 1 axis"),
    ("n", {"n": math.inf}, "must be finite"),
])
def test_it_says_what_is_wrong(value, constants, message):
    array = np.full(4, 7, np.float32)
    with pytest.raises(ValueError, match=message):
        fanin.fill(array, fanin.Formula(value, constants))
    assert (array == 7).all()


def test_nothing_is_written_if_a_late_value_is_wrong():
    apart = np.full((200_000, 2), 7, np.float32)
    with pytest.raises(ValueError, match=r"i\[0\]=150000"):
        fanin.fill(apart[:, 0], fanin.Formula("1 / (150000 - i[0])"))
    assert (apart == 7).all()


def test_wrong_types_are_refused():
    with pytest.raises(TypeError):
        fanin.Formula(3)
    with pytest.raises(TypeError):
        fanin.Formula("n", {"n": "2"})
    with pytest.raises(TypeError):
        fanin.Formula("n", {1: 2})
