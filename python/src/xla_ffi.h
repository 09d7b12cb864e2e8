// SPDX-License-Identifier: Apache-2.0
// What a custom call's handler sees of XLA's foreign function interface: the layout of version 0 of its C interface
// (https://openxla.org/xla/custom_call, xla/ffi/api/c_api.h), as far as it is used here. A minor version only adds to
// the ends of structures and enumerations. tests/python/own/test_xla_layout.py compares the layout with the header that
// comes with jaxlib.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fanin::python::xla {

// The version of the handlers here. Runtimes refuse handlers that are newer than themselves; 0.1 has all that these
// need.
constexpr int major_version = 0;
constexpr int minor_version = 1;

enum class ExtensionType : int { metadata = 1 };

struct Extension {
  std::size_t struct_size;
  ExtensionType type;
  Extension* next;
};

struct Version {
  std::size_t struct_size;
  Extension* extensions;
  int major;
  int minor;
};

struct Metadata {
  std::size_t struct_size;
  Version version;
  std::uint32_t traits;
  // Further fields are for handlers with a state.
};

// An extension of a call that asks for the version of the handler, and must not be executed.
struct MetadataExtension {
  Extension base;
  Metadata* metadata;
};

enum class DataType : int {
  s32 = 4,
  s64 = 5,
  u32 = 8,
  f16 = 10,
  f32 = 11,
  f64 = 12,
  bf16 = 16,
  f8e5m2 = 19,
  f8e4m3fn = 20,
  f8e5m2fnuz = 24,
  f8e4m3fnuz = 25
};

struct Buffer {
  std::size_t struct_size;
  Extension* extensions;
  DataType dtype;
  void* data;
  std::int64_t rank;
  std::int64_t* dims;
};

// Operands or results. The only type is 1, a buffer.
struct Buffers {
  std::size_t struct_size;
  Extension* extensions;
  std::int64_t size;
  int* types;
  Buffer** buffers;
};

enum class AttributeType : int { array = 1, scalar = 3, string = 4 };

struct Text {
  const char* data;
  std::size_t size;
};

struct Scalar {
  DataType dtype;
  void* value;
};

struct Array {
  DataType dtype;
  std::size_t size;
  void* data;
};

struct Attributes {
  std::size_t struct_size;
  Extension* extensions;
  std::int64_t size;
  AttributeType* types;
  Text** names;
  void** values;  // a Text, a Scalar or an Array
};

struct Error;  // of XLA, which takes ownership of a returned one
struct Context;

struct ErrorCreateArguments {
  std::size_t struct_size;
  Extension* extensions;
  const char* message;
  int code;
};

constexpr int error_invalid_argument = 3;
constexpr int error_resource_exhausted = 8;
constexpr int error_failed_precondition = 9;
constexpr int error_internal = 13;

struct StreamGetArguments {
  std::size_t struct_size;
  Extension* extensions;
  Context* context;
  void* stream;  // set by the call; a cudaStream_t
};

struct Api {
  std::size_t struct_size;
  Extension* extensions;
  Version version;
  const void* internal;
  Error* (*create_error)(ErrorCreateArguments*);
  void (*unused[3])();  // Error_GetMessage, Error_Destroy, Handler_Register
  Error* (*get_stream)(StreamGetArguments*);
};

enum class Stage : int { execute = 3 };

struct CallFrame {
  std::size_t struct_size;
  Extension* extensions;
  const Api* api;
  Context* context;
  Stage stage;
  Buffers operands;
  Buffers results;
  Attributes attributes;
};

}  // namespace fanin::python::xla
