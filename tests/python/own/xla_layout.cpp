// SPDX-License-Identifier: Apache-2.0
// Compares python/src/xla_ffi.h with XLA's own header, which jaxlib contains. test_xla_layout.py compiles this file;
// there is nothing to run.
#include "xla/ffi/api/c_api.h"

#include <cstddef>

#include "xla_ffi.h"

namespace ours = fanin::python::xla;

// A field of ours lies where the field of XLA's structure lies.
#define SAME_PLACE(x, mine, X, its) \
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

// Structures that fanin makes and XLA reads state their size.
static_assert(sizeof(ours::ErrorCreateArguments) == sizeof(XLA_FFI_Error_Create_Args));
static_assert(sizeof(ours::StreamGetArguments) == sizeof(XLA_FFI_Stream_Get_Args));
// Structures that lie within others, or in arrays.
static_assert(sizeof(ours::Extension) == sizeof(XLA_FFI_Extension_Base));
static_assert(sizeof(ours::Version) == sizeof(XLA_FFI_Api_Version));
static_assert(sizeof(ours::Buffers) == sizeof(XLA_FFI_Args) && sizeof(ours::Buffers) == sizeof(XLA_FFI_Rets));
static_assert(sizeof(ours::Attributes) == sizeof(XLA_FFI_Attrs));
static_assert(sizeof(ours::CallFrame) <= sizeof(XLA_FFI_CallFrame) && sizeof(ours::Api) <= sizeof(XLA_FFI_Api));

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
