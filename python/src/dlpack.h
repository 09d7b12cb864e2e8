// SPDX-License-Identifier: Apache-2.0
// The structures of DLPack 1.1 that its Python protocol hands over (https://dmlc.github.io/dlpack/latest/c_api.html).
#pragma once

#include <cstdint>

namespace fanin::python::dlpack {

struct Device {
  std::int32_t type;
  std::int32_t id;
};

constexpr std::int32_t cpu = 1;
constexpr std::int32_t cuda = 2;
constexpr std::int32_t cuda_host = 3;
constexpr std::int32_t cuda_managed = 13;

struct DataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};

constexpr std::uint8_t code_int = 0;
constexpr std::uint8_t code_uint = 1;
constexpr std::uint8_t code_float = 2;
constexpr std::uint8_t code_bfloat = 4;
constexpr std::uint8_t code_float8_e4m3fn = 10;
constexpr std::uint8_t code_float8_e5m2 = 12;

struct Tensor {
  void* data;
  Device device;
  std::int32_t rank;
  DataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements; null: dense and row-major
  std::uint64_t byte_offset;
};

// "dltensor"
struct Managed {
  Tensor tensor;
  void* context;
  void (*deleter)(Managed*);
};

// "dltensor_versioned"
struct ManagedVersioned {
  std::uint32_t major, minor;
  void* context;
  void (*deleter)(ManagedVersioned*);
  std::uint64_t flags;
  Tensor tensor;
};

constexpr std::uint64_t flag_read_only = 1;
constexpr std::uint64_t flag_copied = 2;

}  // namespace fanin::python::dlpack
