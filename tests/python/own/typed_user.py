# SPDX-License-Identifier: Apache-2.0
"""What a user writes, for mypy --strict: the package's stubs must have types for all of it."""
import numpy as np

import fanin

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def weights(seed: int) -> dict[str, Array]:
    made: dict[str, Array] = {"embed": np.empty((1000, 64), np.float32), "up": np.empty((64, 256), np.float32)}
    plan = fanin.Plan()
    for name, array in made.items():
        plan.add(array, fanin.HeNormal(seed), name=name)
    plan.fill()
    return made


def main() -> None:
    initializer: fanin.Initializer = fanin.VarianceScaling(2.0, "fan_out", seed=3)
    config: dict[str, object] = initializer.get_config()
    assert fanin.get("he_normal").with_seed(np.int64(3)) == fanin.HeNormal(3) and fanin.get(None) is None
    print(fanin.__version__)
    assert fanin.describe(initializer, (64, 256)).distribution
    assert config
    assert weights(1)["up"].shape == (64, 256)


if __name__ == "__main__":
    main()
