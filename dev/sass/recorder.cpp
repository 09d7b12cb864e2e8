// SPDX-License-Identifier: Apache-2.0
// A CUDA runtime that runs nothing: it gives out memory and writes down what is launched, with what parameters and what
// is in that memory, for dev/sass. It stands in for libcudart when the workload is linked.
//   COUNT_RECORD      the file to write to
//   COUNT_MEMORY      0: without the memory
//   COUNT_PARAMETERS  a file: on each line a kernel's symbol and the sizes of its parameters
//   COUNT_DEVICE      multiprocessors, blocks that fit on one, major, minor
#include <cuda_runtime.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr std::size_t arena_bytes = std::size_t{1} << 32;

struct State {
  std::map<const void*, std::string> names;
  std::map<std::string, std::vector<std::size_t>> sizes;
  int device[4] = {1, 1, 9, 0};
  char* arena = nullptr;
  std::size_t used = 0;
  std::FILE* out = nullptr;
  bool with_memory = true;
  dim3 grid, block;
  std::size_t shared = 0;
  cudaStream_t stream = nullptr;

  State() {
    arena = static_cast<char*>(mmap(reinterpret_cast<void*>(std::uintptr_t{0x7e0000000000}), arena_bytes,
                                    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (const char* text = std::getenv("COUNT_DEVICE")) {
      std::istringstream in(text);
      for (int& number : device) in >> number;
    }
    if (const char* path = std::getenv("COUNT_RECORD")) out = std::fopen(path, "wb");
    if (const char* text = std::getenv("COUNT_MEMORY")) with_memory = std::strcmp(text, "0") != 0;
    if (const char* path = std::getenv("COUNT_PARAMETERS")) {
      std::ifstream in(path);
      for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        std::string name;
        words >> name;
        for (std::size_t size; words >> size;) sizes[name].push_back(size);
      }
    }
  }
};

// Never destroyed: kernels are registered before main and memory may be released after it.
State& state() {
  static State& s = *new State;
  return s;
}

void put(std::uint64_t number) { std::fwrite(&number, sizeof number, 1, state().out); }
void put(const void* data, std::size_t size) {
  put(size);
  std::fwrite(data, 1, size, state().out);
}

cudaError_t launch(const void* function, dim3 grid, dim3 block, void** arguments, std::size_t shared) {
  State& s = state();
  const std::string& name = s.names.at(function);
  std::vector<char> parameters;
  if (s.sizes.count(name) == 0 || s.out == nullptr) return cudaErrorInvalidDeviceFunction;
  for (std::size_t i = 0; i < s.sizes[name].size(); ++i) {
    const auto* bytes = static_cast<const char*>(arguments[i]);
    parameters.insert(parameters.end(), bytes, bytes + s.sizes[name][i]);
  }
  put(name.data(), name.size());
  for (const unsigned n : {grid.x, grid.y, grid.z, block.x, block.y, block.z}) put(n);
  put(shared);
  put(parameters.data(), parameters.size());
  put(reinterpret_cast<std::uintptr_t>(s.arena));
  put(s.arena, s.with_memory ? s.used : 0);
  std::fflush(s.out);
  return cudaSuccess;
}

cudaError_t take(void** pointer, std::size_t size) {
  State& s = state();
  *pointer = s.arena + s.used;
  s.used += (size + 511) / 512 * 512;
  return s.used <= arena_bytes ? cudaSuccess : cudaErrorMemoryAllocation;
}

}  // namespace

extern "C" {

void** __cudaRegisterFatBinary(void*) {
  static void* handle;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 1; }
void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*,
                            int*) {
  state().names[host] = name;
}
void __cudaRegisterVar(void**, char*, char*, const char*, int, std::size_t, int, int) {}
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared, cudaStream_t stream) {
  state().grid = grid;
  state().block = block;
  state().shared = shared;
  state().stream = stream;
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared, void* stream) {
  *grid = state().grid;
  *block = state().block;
  *shared = state().shared;
  *static_cast<cudaStream_t*>(stream) = state().stream;
  return cudaSuccess;
}
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, std::size_t shared,
                               cudaStream_t) {
  return launch(kernel, grid, block, arguments, shared);
}
cudaError_t __cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, std::size_t shared,
                                    cudaStream_t) {
  return launch(kernel, grid, block, arguments, shared);
}
cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, std::size_t shared,
                             cudaStream_t) {
  return launch(function, grid, block, arguments, shared);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  return launch(function, config->gridDim, config->blockDim, arguments, config->dynamicSmemBytes);
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaInitDevice(int, unsigned, unsigned) { return cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::memset(properties, 0, sizeof *properties);
  const int* d = state().device;
  std::strcpy(properties->name, "counted");
  properties->multiProcessorCount = d[0];
  properties->major = d[2];
  properties->minor = d[3];
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  properties->sharedMemPerBlockOptin = properties->sharedMemPerMultiprocessor = 227 * 1024;
  properties->totalGlobalMem = arena_bytes;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  const int* d = state().device;
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = d[0];
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = d[2];
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = d[3];
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = 48 * 1024;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = (d[2] == 8 ? 163 : 227) * 1024;
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = (d[2] == 8 ? 164 : 228) * 1024;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = 2048;
      break;
    case cudaDevAttrWarpSize:
      *value = 32;
      break;
    case cudaDevAttrMemoryPoolsSupported:
      *value = 1;
      break;
    case cudaDevAttrPageableMemoryAccess:
      *value = 0;
      break;
    default:
      std::fprintf(stderr, "recorder.cpp: device attribute %d is not known\n", static_cast<int>(attribute));
      return cudaErrorInvalidValue;
  }
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return cudaSuccess; }
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  std::memset(attributes, 0, sizeof *attributes);
  attributes->maxThreadsPerBlock = 1024;
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int, std::size_t) {
  *blocks = state().device[1];
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int, std::size_t,
                                                                   unsigned) {
  *blocks = state().device[1];
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** pointer, std::size_t size) { return take(pointer, size); }
cudaError_t cudaMallocAsync(void** pointer, std::size_t size, cudaStream_t) { return take(pointer, size); }
cudaError_t cudaMallocHost(void** pointer, std::size_t size) { return take(pointer, size); }
cudaError_t cudaHostAlloc(void** pointer, std::size_t size, unsigned) { return take(pointer, size); }
cudaError_t cudaFree(void*) { return cudaSuccess; }
cudaError_t cudaFreeAsync(void*, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaFreeHost(void*) { return cudaSuccess; }
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t size, cudaMemcpyKind) {
  std::memcpy(to, from, size);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t size, cudaMemcpyKind, cudaStream_t) {
  std::memcpy(to, from, size);
  return cudaSuccess;
}
cudaError_t cudaMemset(void* to, int value, std::size_t size) {
  std::memset(to, value, size);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t size, cudaStream_t) {
  std::memset(to, value, size);
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamGetDevice(cudaStream_t, int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  std::memset(attributes, 0, sizeof *attributes);
  const auto offset = static_cast<const char*>(pointer) - state().arena;
  const bool ours = offset >= 0 && static_cast<std::size_t>(offset) < arena_bytes;
  attributes->type = ours ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
  attributes->device = 0;
  attributes->devicePointer = ours ? const_cast<void*>(pointer) : nullptr;
  return cudaSuccess;
}
// There is no driver: the library must do with the runtime.
cudaError_t cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  *function = nullptr;
  if (result != nullptr) *result = cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}
cudaError_t cudaGetDriverEntryPoint(const char*, void** function, unsigned long long,
                                    cudaDriverEntryPointQueryResult* result) {
  return cudaGetDriverEntryPointByVersion(nullptr, function, 0, 0, result);
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return cudaSuccess; }
cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t function, void* data) {
  function(data);
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaPeekAtLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess ? "no error" : "an error of recorder.cpp";
}
const char* cudaGetErrorName(cudaError_t error) { return cudaGetErrorString(error); }
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

}  // extern "C"
