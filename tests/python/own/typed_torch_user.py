# SPDX-License-Identifier: Apache-2.0
"""What a user of fanin.torch writes, for mypy --strict: no function may have the type Any."""
from typing import assert_type

import torch

import fanin.torch


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 4)


def main() -> None:
    model = fanin.torch.init_model_(Model(), 1, {"*": "zeros"})
    assert_type(model, Model)
    assert_type(fanin.torch.materialize_(model, 1, init=lambda module: module.layer.reset_parameters()), Model)
    with fanin.torch.keyed(model, 1) as same:
        assert_type(same, Model)
    weight = model.layer.weight
    assert_type(fanin.torch.normal_(weight, 0.0, std=1.0), torch.Tensor)
    assert_type(fanin.torch.kaiming_normal_(weight, nonlinearity="relu"), torch.Tensor)
    assert_type(fanin.torch.xavier_uniform(weight), torch.Tensor)
    assert_type(fanin.torch.spec_of(model), str)
    fanin.torch.normal_(weight, sdt=1.0)  # type: ignore[call-arg]


if __name__ == "__main__":
    main()
