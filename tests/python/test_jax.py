# SPDX-License-Identifier: Apache-2.0
"""fanin.jax. How many devices the host is to be is asked for before JAX starts: each case is a process of its own."""
import importlib.util
import os
import pathlib
import shutil
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


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
def test_devices(devices):
    some = [] if devices == 8 else ["-k", "sharding or bits"]
    output_of([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", HERE / "jax_cases.py", *some], devices)


def test_processes():
    """Of a program of several processes each makes the parts of its own devices."""
    port = 20_000 + os.getpid() % 10_000
    command = [sys.executable, HERE / "jax_process.py", str(port)]
    processes = [subprocess.Popen([*command, str(number)], env=environment(2), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True) for number in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err


ABI = """
#include <cstddef>
#include "xla/ffi/api/c_api.h"
#include "xla_ffi.h"
namespace ours = fanin::python::xla;
#define SAME_PLACE(x, mine, X, its) \\
  static_assert(offsetof(ours::x, mine) == offsetof(X, its) && sizeof(ours::x::mine) == sizeof(X::its))
SAME_PLACE(Extension, type, XLA_FFI_Extension_Base, type);
SAME_PLACE(Extension, next, XLA_FFI_Extension_Base, next);
SAME_PLACE(Version, major, XLA_FFI_Api_Version, major_version);
SAME_PLACE(Version, minor, XLA_FFI_Api_Version, minor_version);
SAME_PLACE(Metadata, version, XLA_FFI_Metadata, api_version);
SAME_PLACE(Metadata, traits, XLA_FFI_Metadata, traits);
SAME_PLACE(MetadataExtension, metadata, XLA_FFI_Metadata_Extension, metadata);
SAME_PLACE(Buffer, dtype, XLA_FFI_Buffer, dtype);
SAME_PLACE(Buffer, data, XLA_FFI_Buffer, data);
SAME_PLACE(Buffer, rank, XLA_FFI_Buffer, rank);
SAME_PLACE(Buffer, dims, XLA_FFI_Buffer, dims);
SAME_PLACE(Buffers, size, XLA_FFI_Args, size);
SAME_PLACE(Buffers, types, XLA_FFI_Args, types);
SAME_PLACE(Buffers, buffers, XLA_FFI_Args, args);
SAME_PLACE(Buffers, buffers, XLA_FFI_Rets, rets);
SAME_PLACE(Text, data, XLA_FFI_ByteSpan, ptr);
SAME_PLACE(Text, size, XLA_FFI_ByteSpan, len);
SAME_PLACE(Scalar, value, XLA_FFI_Scalar, value);
SAME_PLACE(Array, size, XLA_FFI_Array, size);
SAME_PLACE(Array, data, XLA_FFI_Array, data);
SAME_PLACE(Attributes, types, XLA_FFI_Attrs, types);
SAME_PLACE(Attributes, names, XLA_FFI_Attrs, names);
SAME_PLACE(Attributes, values, XLA_FFI_Attrs, attrs);
SAME_PLACE(ErrorCreateArguments, message, XLA_FFI_Error_Create_Args, message);
SAME_PLACE(ErrorCreateArguments, code, XLA_FFI_Error_Create_Args, errc);
SAME_PLACE(Api, version, XLA_FFI_Api, api_version);
SAME_PLACE(Api, create_error, XLA_FFI_Api, XLA_FFI_Error_Create);
SAME_PLACE(Api, get_stream, XLA_FFI_Api, XLA_FFI_Stream_Get);
SAME_PLACE(StreamGetArguments, context, XLA_FFI_Stream_Get_Args, ctx);
SAME_PLACE(StreamGetArguments, stream, XLA_FFI_Stream_Get_Args, stream);
SAME_PLACE(CallFrame, api, XLA_FFI_CallFrame, api);
SAME_PLACE(CallFrame, context, XLA_FFI_CallFrame, ctx);
SAME_PLACE(CallFrame, stage, XLA_FFI_CallFrame, stage);
SAME_PLACE(CallFrame, operands, XLA_FFI_CallFrame, args);
SAME_PLACE(CallFrame, results, XLA_FFI_CallFrame, rets);
SAME_PLACE(CallFrame, attributes, XLA_FFI_CallFrame, attrs);
#define SAME(mine, its) static_assert(static_cast<int>(mine) == static_cast<int>(its))
SAME(ours::major_version, XLA_FFI_API_MAJOR);
static_assert(ours::minor_version <= XLA_FFI_API_MINOR);
SAME(ours::ExtensionType::metadata, XLA_FFI_Extension_Metadata);
SAME(ours::Stage::execute, XLA_FFI_ExecutionStage_EXECUTE);
SAME(ours::AttributeType::array, XLA_FFI_AttrType_ARRAY);
SAME(ours::AttributeType::scalar, XLA_FFI_AttrType_SCALAR);
SAME(ours::AttributeType::string, XLA_FFI_AttrType_STRING);
SAME(ours::error_invalid_argument, XLA_FFI_Error_Code_INVALID_ARGUMENT);
SAME(ours::error_failed_precondition, XLA_FFI_Error_Code_FAILED_PRECONDITION);
SAME(ours::error_resource_exhausted, XLA_FFI_Error_Code_RESOURCE_EXHAUSTED);
SAME(ours::error_internal, XLA_FFI_Error_Code_INTERNAL);
SAME(ours::DataType::s32, XLA_FFI_DataType_S32);
SAME(ours::DataType::s64, XLA_FFI_DataType_S64);
SAME(ours::DataType::u32, XLA_FFI_DataType_U32);
SAME(ours::DataType::f16, XLA_FFI_DataType_F16);
SAME(ours::DataType::f32, XLA_FFI_DataType_F32);
SAME(ours::DataType::f64, XLA_FFI_DataType_F64);
SAME(ours::DataType::bf16, XLA_FFI_DataType_BF16);
SAME(ours::DataType::f8e5m2, XLA_FFI_DataType_F8E5M2);
SAME(ours::DataType::f8e4m3fn, XLA_FFI_DataType_F8E4M3FN);
"""


def test_layout_of_xlas_interface(tmp_path):
    import jax.ffi
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("there is no C++ compiler to ask")
    source = tmp_path / "abi.cpp"
    source.write_text(ABI)
    ours = HERE.parents[1] / "python" / "src"
    output_of([compiler, "-std=c++17", "-fsyntax-only", "-I", ours, "-I", jax.ffi.include_dir(), source], 1)


@pytest.mark.skipif("FANIN_JAX_TESTS" not in os.environ, reason="FANIN_JAX_TESTS does not name JAX's tests/nn_test.py")
@pytest.mark.parametrize("bits", ["0", "1"])
def test_jaxs_own(bits, monkeypatch):
    monkeypatch.setenv("JAX_ENABLE_X64", bits)
    output_of([sys.executable, HERE / "jax_tests.py", os.environ["FANIN_JAX_TESTS"]], 1)
