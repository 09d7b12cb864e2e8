// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include "fanin/fanin.h"
#include "fanin/fanin.hpp"

struct fanin_initializer {
  fanin::Initializer value;
};

namespace {

static_assert(static_cast<int>(fanin::DType::float8_e5m2) == FANIN_FLOAT8_E5M2);
static_assert(static_cast<int>(fanin::Layout::oihw) == FANIN_OIHW);
static_assert(static_cast<int>(fanin::ConfigForm::tf2) == FANIN_TF2);

// A fixed array, so that storing a message cannot fail.
thread_local std::array<char, 1024> last_error{};

fanin_status fail(fanin_status status, const char* what) {
  std::snprintf(last_error.data(), last_error.size(), "%s", what);
  return status;
}

constexpr size_t most_dimensions = 255;

// Runs f and returns a status for its exceptions.
template <class F>
fanin_status guarded(const F& f) noexcept {
  try {
    f();
    return FANIN_OK;
  } catch (const fanin::InvalidArgument& error) {
    return fail(FANIN_INVALID_ARGUMENT, error.what());
  } catch (const fanin::DeviceError& error) {
    return fail(FANIN_DEVICE_ERROR, error.what());
  } catch (const std::bad_alloc&) {
    return fail(FANIN_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return fail(FANIN_INTERNAL_ERROR, error.what());
  } catch (...) {
    return fail(FANIN_INTERNAL_ERROR, "unknown exception");
  }
}

template <class T>
T& given(T* pointer, const char* name) {
  if (pointer == nullptr) throw fanin::InvalidArgument(std::string("The argument `") + name + "` must not be null");
  return *pointer;
}

fanin::Shape shape_of(const int64_t* extents, size_t rank, const char* name) {
  if (rank == 0) return {};
  if (rank > most_dimensions) {
    throw fanin::InvalidArgument("A tensor can have at most 255 dimensions here. Received: rank=" +
                                 std::to_string(rank));
  }
  return {&given(extents, name), extents + rank};
}

fanin::TensorOptions tensor_options_of(const fanin_fill_args& args) {
  fanin::TensorOptions options;
  if (args.name != nullptr) options.name = args.name;
  if (args.name == nullptr || args.subsequence != 0) options.subsequence = args.subsequence;
  if (args.block_offset != nullptr || args.block_extent != nullptr) {
    options.block = {shape_of(args.block_offset, args.rank, "block_offset"),
                     shape_of(args.block_extent, args.rank, "block_extent")};
  }
  if (args.layout != FANIN_HWIO && args.layout != FANIN_OIHW) {
    throw fanin::InvalidArgument("The layout must be FANIN_HWIO or FANIN_OIHW");
  }
  options.layout = static_cast<fanin::Layout>(args.layout);
  return options;
}

fanin::RunOptions run_options_of(const fanin_fill_args& args) {
  fanin::RunOptions options;
  options.stream = static_cast<fanin::CudaStream>(args.stream);
  options.device_seed = args.device_seed;
  options.threads = args.threads;
  return options;
}

// The caller's arguments, with defaults for the members that the header of an older version did not have.
fanin_fill_args complete(const fanin_fill_args& args) {
  constexpr std::array<size_t, 9> sizes{offsetof(fanin_fill_args, block_offset),
                                        offsetof(fanin_fill_args, block_extent),
                                        offsetof(fanin_fill_args, name),
                                        offsetof(fanin_fill_args, subsequence),
                                        offsetof(fanin_fill_args, stream),
                                        offsetof(fanin_fill_args, threads),
                                        offsetof(fanin_fill_args, layout),
                                        offsetof(fanin_fill_args, device_seed),
                                        sizeof(fanin_fill_args)};
  if (std::find(sizes.begin(), sizes.end(), args.struct_size) == sizes.end()) {
    throw fanin::InvalidArgument("fanin_fill_args of this library has " + std::to_string(sizeof(fanin_fill_args)) +
                                 " bytes, or fewer if its last members are left out; begin with FANIN_FILL_INIT. "
                                 "Received: struct_size=" +
                                 std::to_string(args.struct_size));
  }
  fanin_fill_args all = FANIN_FILL_INIT;
  std::memcpy(&all, &args, args.struct_size);
  return all;
}

}  // namespace

fanin_status fanin_make(const char* name, uint64_t seed, fanin_initializer** initializer) {
  return guarded([&] {
    given(initializer, "initializer") = nullptr;
    *initializer = new fanin_initializer{fanin::make(&given(name, "name"), seed)};
  });
}

fanin_status fanin_deserialize(const char* json, fanin_initializer** initializer) {
  return guarded([&] {
    given(initializer, "initializer") = nullptr;
    *initializer = new fanin_initializer{fanin::deserialize(&given(json, "json"))};
  });
}

fanin_status fanin_serialize(const fanin_initializer* initializer, int32_t form, char* buffer, size_t capacity,
                             size_t* length) {
  return guarded([&] {
    if (form != FANIN_KERAS3 && form != FANIN_TF2) {
      throw fanin::InvalidArgument("The form must be FANIN_KERAS3 or FANIN_TF2");
    }
    const std::string json =
        fanin::serialize(given(initializer, "initializer").value, static_cast<fanin::ConfigForm>(form));
    given(length, "length") = json.size() + 1;
    if (capacity == 0) return;
    if (capacity < json.size() + 1) {
      throw fanin::InvalidArgument("The buffer needs " + std::to_string(json.size() + 1) +
                                   " bytes. Received: capacity=" + std::to_string(capacity));
    }
    std::memcpy(&given(buffer, "buffer"), json.c_str(), json.size() + 1);
  });
}

fanin_status fanin_seed(const fanin_initializer* initializer, uint64_t* seed) {
  return guarded([&] { given(seed, "seed") = given(initializer, "initializer").value.seed().value(); });
}

void fanin_free(fanin_initializer* initializer) { delete initializer; }

fanin_status fanin_fill(const fanin_initializer* initializer, const fanin_fill_args* args) {
  return guarded([&] {
    const fanin_fill_args a = complete(given(args, "args"));
    if (a.dtype < 0 || a.dtype > 255) {  // does not fit into a DType; fill refuses other wrong numbers
      throw fanin::InvalidArgument("dtype number " + std::to_string(a.dtype) + " does not exist");
    }
    const auto dtype = static_cast<fanin::DType>(a.dtype);
    const fanin::View view{a.address, dtype, a.capacity, fanin::Device{a.cuda_device}};
    given(initializer, "initializer")
        .value.fill(view, shape_of(a.shape, a.rank, "shape"), tensor_options_of(a), run_options_of(a));
  });
}

uint64_t fanin_subsequence(const char* name) { return fanin::subsequence_of(name == nullptr ? "" : name); }

int32_t fanin_cuda_devices(void) {
  try {
    return fanin::available().cuda_devices;
  } catch (...) {
    return 0;
  }
}

fanin_status fanin_preload(int32_t device) {
  return guarded([&] { fanin::preload(device); });
}

const char* fanin_last_error(void) { return last_error.data(); }

const char* fanin_version(void) { return FANIN_VERSION; }

int32_t fanin_contract_version(void) { return FANIN_CONTRACT_VERSION; }
