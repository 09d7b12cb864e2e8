#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares examples/trainer on a CUDA device with its NumPy version: the initial parameters bit for bit (the device's fill
with the host's), the losses of the first epochs within a tolerance, and the final test accuracy.

    trainer_test.py PROGRAM TRAINER [OPTIONS of both]

PROGRAM is fanin, TRAINER the compiled example. Exit code 77: there is no CUDA device.
"""
import pathlib
import re
import subprocess
import sys

try:
    import numpy  # noqa: F401
except ImportError:
    print("skipped: no NumPy for", sys.executable)
    sys.exit(77)

TWIN = pathlib.Path(__file__).resolve().parent.parent.parent / "examples/trainer/trainer.py"
CLOSE_EPOCHS = 3        # later epochs may drift apart, because other rounding errors grow
LOSS_TOLERANCE = 1e-4   # relative; 1e-6 was measured
ACCURACY_TOLERANCE = 0.01


def parsed(output):
    """The lines with parameters, and the loss and accuracy of each epoch."""
    lines = output.splitlines()
    epochs = [re.fullmatch(r"epoch \d+ loss (\S+) test accuracy (\S+)", line) for line in lines]
    return ([line for line, epoch in zip(lines, epochs) if not epoch], [(float(e[1]), float(e[2])) for e in epochs if e])


def main():
    program, trainer, *options = sys.argv[1:]
    device = subprocess.run([trainer, *options], capture_output=True, text=True)
    if device.returncode == 77:
        print("skipped:", device.stderr.strip())
        sys.exit(77)
    if device.returncode != 0:
        sys.exit(f"{trainer} ended with {device.returncode}: {device.stderr.strip()}")
    twin = subprocess.run([sys.executable, "-B", str(TWIN), "--fanin", program, *options], stdout=subprocess.PIPE, text=True,
                          check=True)
    parameters, epochs = parsed(device.stdout)
    twin_parameters, twin_epochs = parsed(twin.stdout)

    failures = []
    if not parameters or parameters != twin_parameters:
        failures.append(f"initial parameters differ:\n  device {parameters}\n  host   {twin_parameters}")
    if not epochs or len(epochs) != len(twin_epochs):
        failures.append(f"{len(epochs)} epochs on the device, {len(twin_epochs)} in NumPy")
    for i, ((loss, _), (expected, _)) in enumerate(zip(epochs[:CLOSE_EPOCHS], twin_epochs)):
        if not abs(loss - expected) <= LOSS_TOLERANCE * expected:
            failures.append(f"epoch {i + 1}: loss {loss} on the device, {expected} in NumPy")
    if epochs and twin_epochs and not abs(epochs[-1][1] - twin_epochs[-1][1]) <= ACCURACY_TOLERANCE:
        failures.append(f"test accuracy {epochs[-1][1]} on the device, {twin_epochs[-1][1]} in NumPy")
    if failures:
        print(device.stdout)
        sys.exit("\n".join(failures))
    print(f"{len(parameters)} parameters have the host's bits; after {len(epochs)} epochs loss {epochs[-1][0]:.6f} "
          f"(NumPy: {twin_epochs[-1][0]:.6f}), test accuracy {epochs[-1][1]:.4f} ({twin_epochs[-1][1]:.4f})")


if __name__ == "__main__":
    main()
