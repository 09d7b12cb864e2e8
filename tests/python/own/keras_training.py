# SPDX-License-Identifier: Apache-2.0
"""The network of test_torch_training.py in Keras: 30 hidden layers of ReLU without normalisation train from fanin's He normal
as from Keras's, and with a standard deviation off by the square root of 2 they do not.

test_keras_backends.py runs it on the back ends that compile; the handwritten digits are those of examples/trainer.
"""
import os

import keras
import numpy as np
from support import DIGITS

import fanin.keras

LAYERS, WIDTH, EPOCHS, BATCH, SEEDS = 30, 64, 8, 64, range(3)


def network(initializer):
    """initializer gives the layer of a number its initializer."""
    layers = [keras.layers.Dense(WIDTH, "relu", kernel_initializer=initializer(number)) for number in range(LAYERS)]
    return keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(10, kernel_initializer=initializer(LAYERS))])


def digits():
    rows = np.loadtxt(DIGITS, delimiter=",", dtype=np.float32)
    pixels = rows[:, :64]
    return (pixels - pixels.mean()) / pixels.std(), rows[:, 64].astype(np.int32)


def accuracies_of(make, trained):
    """Of the networks of all seeds, on the 360 digits that they have not seen. trained is compiled once for all of them."""
    pixels, classes = digits()
    accuracies = []
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        order = np.random.default_rng(seed).permutation(len(pixels))
        training, test = order[360:], order[:360]
        trained.set_weights(network(lambda number: make(1000 * seed + number)).get_weights())
        for variable in trained.optimizer.variables:
            if "learning_rate" not in variable.path:
                variable.assign(np.zeros(variable.shape, variable.dtype))
        trained.fit(pixels[training], classes[training], batch_size=BATCH, epochs=EPOCHS, verbose=0)
        accuracies.append(float((trained.predict(pixels[test], batch_size=360, verbose=0).argmax(1) == classes[test]).mean()))
    return accuracies


def scaled(factor):
    return lambda seed: fanin.keras.VarianceScaling(2 * factor**2, seed=seed)


def test_deep_network():
    trained = network(fanin.keras.HeNormal)
    trained.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    trained.optimizer.build(trained.trainable_variables)
    ours = accuracies_of(fanin.keras.HeNormal, trained)
    theirs = accuracies_of(keras.initializers.HeNormal, trained)
    small = accuracies_of(scaled(0.5**0.5), trained)
    large = accuracies_of(scaled(2**0.5), trained)
    report = f"{os.environ['KERAS_BACKEND']}: fanin {ours}, Keras {theirs}, smaller {small}, larger {large}"
    print(report)
    assert min(ours) > 0.6 and np.mean(ours) > 0.75, report
    assert abs(np.mean(ours) - np.mean(theirs)) < 0.1, report
    assert max(np.mean(small), np.mean(large)) < np.mean(ours) - 0.2, report
