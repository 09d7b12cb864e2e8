# SPDX-License-Identifier: Apache-2.0
"""fanin.jax on one and on several devices. JAX reads the number of host devices when it starts, so each case is a process."""
import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

if importlib.util.find_spec("jax") is None:
    pytest.skip("JAX is not installed", allow_module_level=True)
HERE = pathlib.Path(__file__).parent


def environment(devices):
    return {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}


def output_of(command, devices):
    done = subprocess.run(command, env=environment(devices), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("devices, tests", [(1, "sharding or bits"), (2, "sharding"), (4, "sharding"), (8, "")])
def test_devices(devices, tests):
    output_of([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-k", tests, HERE / "jax_initializers.py"], devices)


def test_keyed_params():
    output_of([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", HERE / "jax_keyed.py"], 8)


def test_processes():
    """Of a program of several processes each makes the parts of its own devices."""
    port = 20_000 + os.getpid() % 10_000
    command = [sys.executable, HERE / "jax_two_processes.py", str(port)]
    processes = [subprocess.Popen([*command, str(number)], env=environment(2), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True) for number in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
