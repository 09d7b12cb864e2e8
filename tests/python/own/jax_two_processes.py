# SPDX-License-Identifier: Apache-2.0
"""One of the two processes of a multi-process JAX program, which test_jax_devices.py starts: jax_two_processes.py PORT NUMBER"""
import sys

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import fanin
import fanin.jax

port, number = map(int, sys.argv[1:])
jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=number)
assert len(jax.devices()) == 4 and len(jax.local_devices()) == 2
mesh = jax.make_mesh((2, 2), ("x", "y"))
expected = fanin.draw("he_normal", (8, 12), seed=42)
for spec in [("x", "y"), ("y", "x"), (("y", "x"),), (None, "x"), ()]:
    sharding = NamedSharding(mesh, PartitionSpec(*spec))
    fill = jax.jit(lambda key: fanin.jax.he_normal()(key, (8, 12)), out_shardings=sharding)
    array = fill(jax.random.key(42))
    assert len(array.addressable_shards) == 2
    for part in array.addressable_shards:
        assert (np.asarray(part.data) == expected[part.index]).all(), spec
