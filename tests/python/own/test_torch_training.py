# SPDX-License-Identifier: Apache-2.0
"""A ReLU network of 30 hidden layers without normalisation trains from fanin's He normal as from PyTorch's.

Its standard deviation is what the test is about: off by a factor of the square root of 2 either way, the signal grows or
shrinks by 2^15 on its way, and the same training goes nowhere. Five seeds each, on the handwritten digits of
examples/trainer; all is deterministic on one thread of one machine, so the bounds below leave room for others.
"""
import math

import pytest
from support import DIGITS

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import fanin.torch  # noqa: E402

LAYERS, WIDTH, EPOCHS, BATCH, SEEDS = 30, 64, 8, 64, range(5)


def network(fill, factor):
    sizes = [64] + [WIDTH] * LAYERS + [10]
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        linear = torch.nn.Linear(inputs, outputs)
        fill(linear.weight, nonlinearity="relu")
        with torch.no_grad():
            linear.weight.mul_(factor)
            linear.bias.zero_()
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def accuracies_of(fill, factor, digits):
    """Of the networks of all seeds, on the 360 digits that they have not seen."""
    pixels, classes = digits
    accuracies = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        order = torch.randperm(len(pixels))
        training, test = order[360:], order[:360]
        model = network(fill, factor)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(EPOCHS):
            for batch in training[torch.randperm(len(training))].split(BATCH):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(pixels[batch]), classes[batch]).backward()
                optimizer.step()
        with torch.no_grad():
            accuracies.append((model(pixels[test]).argmax(1) == classes[test]).float().mean().item())
    return accuracies



@pytest.fixture(scope="module")
def digits():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # a dying signal is slow otherwise
    rows = torch.tensor([[float(field) for field in line.split(",")] for line in DIGITS.read_text().split()])
    pixels = rows[:, :64]
    yield (pixels - pixels.mean()) / pixels.std(), rows[:, 64].long()
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


def mean(values):
    return sum(values) / len(values)


def test_deep_network(digits):
    ours = accuracies_of(fanin.torch.kaiming_normal_, 1, digits)
    theirs = accuracies_of(torch.nn.init.kaiming_normal_, 1, digits)
    small = accuracies_of(fanin.torch.kaiming_normal_, 1 / math.sqrt(2), digits)
    large = accuracies_of(fanin.torch.kaiming_normal_, math.sqrt(2), digits)
    report = f"fanin {ours}, PyTorch {theirs}, smaller {small}, larger {large}"
    print(report)
    assert min(ours) > 0.6 and mean(ours) > 0.75, report
    assert abs(mean(ours) - mean(theirs)) < 0.1, report
    assert max(small + large) < min(ours) and max(mean(small), mean(large)) < mean(ours) - 0.2, report
