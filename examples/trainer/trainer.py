#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program of trainer.cu in NumPy: the same network, samples, order and numbers, from the same weights.

    trainer.py --fanin PROGRAM [--epochs N] [--seed N] [--layers N] [--width N] [--data FILE]

PROGRAM is the program fanin, which makes the weights. The output is trainer's, line for line, except for the last digits of
the losses: NumPy sums in another order.
"""
import argparse
import os
import pathlib
import subprocess
import tempfile
import zlib

import numpy as np

PIXELS, CLASSES, TRAINING_SAMPLES, BATCH = 64, 10, 1437, 32
LEARNING_RATE, MOMENTUM = np.float32(0.05), np.float32(0.9)


def read_samples(path):
    """Images from 0 to 1 and labels, shuffled, always in the same way."""
    rows = np.loadtxt(path, delimiter=",", dtype=np.int64)
    state = 1
    for i in range(len(rows) - 1, 0, -1):  # Fisher-Yates, with Knuth's linear congruential generator
        state = (state * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        j = (state >> 33) % (i + 1)
        rows[[i, j]] = rows[[j, i]]
    return rows[:, :PIXELS].astype(np.float32) / 16, rows[:, PIXELS]


def filled(fanin, initializer, shape, seed, name):
    """A tensor as `fanin fill` fills it in host memory: bit for bit what a Plan puts into device memory."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "tensor.npy")
        subprocess.run([fanin, "fill", "--init", initializer, "--shape", ",".join(map(str, shape)), "--seed", str(seed),
                        "--name", name, "--out", out], check=True, stdout=subprocess.DEVNULL)
        return np.load(out)


class Network:
    def __init__(self, widths, seed, fanin):
        self.weights, self.biases = [], []
        for l, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
            self.weights.append(filled(fanin, "he_normal", [inputs, outputs], seed, f"layer.{l}.weight"))
            self.biases.append(filled(fanin, "zeros", [outputs], seed, f"layer.{l}.bias"))
        self.parameters = self.weights + self.biases
        self.velocities = [np.zeros_like(p) for p in self.parameters]

    def forward(self, images, labels):
        """Each sample's loss, whether the greatest logit is the label's, and the gradient of the mean loss."""
        self.inputs = [images]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1]):
            self.inputs.append(np.maximum(self.inputs[-1] @ weight + bias, 0))
        logits = self.inputs[-1] @ self.weights[-1] + self.biases[-1]
        hits = logits.argmax(axis=1) == labels
        logits -= logits.max(axis=1, keepdims=True)
        e = np.exp(logits)
        total = e.sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        losses = np.log(total[:, 0]) - logits[rows, labels]
        gradient = e / total
        gradient[rows, labels] -= 1
        return losses, hits, gradient / np.float32(len(labels))

    def backward(self, gradient):
        """Gradients in the order of the parameters. Call forward first."""
        weight_gradients, bias_gradients = [], []
        for weight, layer_input in zip(self.weights[::-1], self.inputs[::-1]):
            weight_gradients.insert(0, layer_input.T @ gradient)
            bias_gradients.insert(0, gradient.sum(axis=0))
            gradient = gradient @ weight.T * (layer_input > 0)
        return weight_gradients + bias_gradients

    def descend(self, gradients):
        for parameter, velocity, gradient in zip(self.parameters, self.velocities, gradients):
            velocity *= MOMENTUM
            velocity -= LEARNING_RATE * gradient
            parameter += velocity

    def print(self):
        for l, pair in enumerate(zip(self.weights, self.biases)):
            for kind, values in zip(("weight", "bias"), pair):
                print(f"layer.{l}.{kind} {list(values.shape)} crc32 {zlib.crc32(values.tobytes()):08x}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fanin", default="fanin")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--data", default=pathlib.Path(__file__).parent / "digits.csv")
    options = parser.parse_args()

    images, labels = read_samples(options.data)
    network = Network([PIXELS] + [options.width] * options.layers + [CLASSES], options.seed, options.fanin)
    network.print()
    for epoch in range(1, options.epochs + 1):
        loss_sum = 0.0
        for begin in range(0, TRAINING_SAMPLES, BATCH):
            batch = slice(begin, min(begin + BATCH, TRAINING_SAMPLES))
            losses, _, gradient = network.forward(images[batch], labels[batch])
            loss_sum += losses.sum(dtype=np.float64)
            network.descend(network.backward(gradient))
        _, hits, _ = network.forward(images[TRAINING_SAMPLES:], labels[TRAINING_SAMPLES:])
        print(f"epoch {epoch} loss {loss_sum / TRAINING_SAMPLES:.6f} test accuracy {hits.mean():.4f}")


if __name__ == "__main__":
    main()
