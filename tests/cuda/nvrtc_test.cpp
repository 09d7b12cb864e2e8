// SPDX-License-Identifier: Apache-2.0
// Compiles kernels with fanin/device.cuh at run time, by NVRTC, and checks the PTX: each operation is rounded once,
// subnormal numbers are kept, and a distribution has the size that the host passes. Runs the kernels if there is a
// device whose driver loads modules; an emulator of the CUDA runtime has no such driver.
#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>
#include <gtest/gtest.h>
#include <nvrtc.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "fanin/device.cuh"
#include "fanin/fanin.hpp"

namespace fanin {
namespace {

constexpr const char* source = R"(
#include "fanin/device.cuh"

using Distribution = fanin::device::Distribution<ELEMENT>;
static_assert(sizeof(Distribution) == SIZE);

extern "C" __global__ void draw_all(Distribution distribution, unsigned long long seed, unsigned long long subsequence,
                                    unsigned long long count, ELEMENT* out) {
  fanin::device::for_each(distribution, seed, subsequence, 0, count,
                          [=](unsigned long long index, ELEMENT value) { out[index] = value; });
}

extern "C" __global__ void draw_each(Distribution distribution, unsigned long long seed, unsigned long long subsequence,
                                     unsigned long long count, ELEMENT* out) {
  const unsigned long long index = blockIdx.x * blockDim.x + threadIdx.x;
  if (index < count) out[index] = fanin::device::value(distribution, seed, subsequence, index);
}
)";

// An element type and its name.
template <class T>
struct Element;
#define ELEMENT(T)                          \
  template <>                               \
  struct Element<T> {                       \
    static constexpr const char* name = #T; \
  }
ELEMENT(float);
ELEMENT(double);
ELEMENT(__half);
ELEMENT(__nv_bfloat16);
ELEMENT(__nv_fp8_e4m3);
ELEMENT(__nv_fp8_e5m2);

constexpr const char* with_cuda = "-I" CUDA_INCLUDE;

// The kernels in PTX; empty, with a failure, if they do not compile.
template <class T>
std::string compiled(std::vector<std::string> options) {
  options.insert(options.end(), {"--std=c++17", "-I" FANIN_INCLUDE, std::string("-DELEMENT=") + Element<T>::name,
                                 "-DSIZE=" + std::to_string(sizeof(device::Distribution<T>))});
  std::vector<const char*> arguments;
  for (const std::string& option : options) arguments.push_back(option.c_str());
  nvrtcProgram program{};
  EXPECT_EQ(nvrtcCreateProgram(&program, source, "draw.cu", 0, nullptr, nullptr), NVRTC_SUCCESS);
  std::string ptx;
  std::size_t size = 0;
  if (nvrtcCompileProgram(program, static_cast<int>(arguments.size()), arguments.data()) == NVRTC_SUCCESS) {
    EXPECT_EQ(nvrtcGetPTXSize(program, &size), NVRTC_SUCCESS);
    ptx.resize(size);
    EXPECT_EQ(nvrtcGetPTX(program, ptx.data()), NVRTC_SUCCESS);
  } else {
    EXPECT_EQ(nvrtcGetProgramLogSize(program, &size), NVRTC_SUCCESS);
    std::string log(size, ' ');
    EXPECT_EQ(nvrtcGetProgramLog(program, log.data()), NVRTC_SUCCESS);
    ADD_FAILURE() << log;
  }
  EXPECT_EQ(nvrtcDestroyProgram(&program), NVRTC_SUCCESS);
  return ptx;
}

// The instructions on floating-point numbers whose name begins with this.
std::size_t count(const std::string& ptx, const std::string& name) {
  std::istringstream lines(ptx);
  std::size_t found = 0;
  for (std::string line; std::getline(lines, line);) {
    found += line.find(name) != std::string::npos && line.find(".f") != std::string::npos;
  }
  return found;
}

template <class T>
class Nvrtc : public testing::Test {};
using Elements = testing::Types<float, double, __half, __nv_bfloat16, __nv_fp8_e4m3, __nv_fp8_e5m2>;
TYPED_TEST_SUITE(Nvrtc, Elements);

TYPED_TEST(Nvrtc, ContractsNothing) {
  const std::string with = compiled<TypeParam>({with_cuda, "-fmad=true"});
  const std::string without = compiled<TypeParam>({with_cuda, "-fmad=false"});
  ASSERT_NE(count(with, "mul.rn"), 0u);
  EXPECT_EQ(count(with, "fma"), count(without, "fma"));
}

TYPED_TEST(Nvrtc, KeepsSubnormalNumbersOfValues) {
  const std::string ptx = compiled<TypeParam>({with_cuda, "--use_fast_math"});
  for (const char* arithmetic : {"mul.", "add.", "sub.", "fma.", "neg.", "cvt.", "div.", "sqrt."}) {
    EXPECT_EQ(count(ptx, std::string(arithmetic) + "ftz"), 0u) << arithmetic;
    EXPECT_EQ(count(ptx, std::string(arithmetic) + "rn.ftz"), 0u) << arithmetic;
    EXPECT_EQ(count(ptx, std::string(arithmetic) + "approx"), 0u) << arithmetic;
  }
}

TEST(Nvrtc, NeedsNoToolkitForFloatAndDouble) {
  EXPECT_NE(compiled<float>({}), "");
  EXPECT_NE(compiled<double>({"-default-device"}), "");
}

// ---------------------------------------------------------------- on a device

template <class Function>
bool driver_has(const char* name, Function** function) {
  void* address = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  const cudaError_t error = cudaGetDriverEntryPointByVersion(name, &address, 12000, cudaEnableDefault, &result);
#else
  const cudaError_t error = cudaGetDriverEntryPoint(name, &address, cudaEnableDefault, &result);
#endif
  cudaGetLastError();
  *function = reinterpret_cast<Function*>(address);
  return error == cudaSuccess && result == cudaDriverEntryPointSuccess && address != nullptr;
}

TYPED_TEST(Nvrtc, DrawsAFillOnADevice) {
  using T = TypeParam;
  decltype(cuModuleLoadData)* load = nullptr;
  decltype(cuModuleGetFunction)* get_function = nullptr;
  decltype(cuLaunchKernel)* launch = nullptr;
  decltype(cuModuleUnload)* unload = nullptr;
  if (available().cuda_devices == 0) GTEST_SKIP() << "no CUDA device: " << available().reason;
  if (!driver_has("cuModuleLoadData", &load) || !driver_has("cuModuleGetFunction", &get_function) ||
      !driver_has("cuLaunchKernel", &launch) || !driver_has("cuModuleUnload", &unload)) {
    GTEST_SKIP() << "the driver loads no modules";
  }
  const std::uint64_t size = 5003;
  const HeNormal initializer(7);
  const FillParams params =
      initializer.params({5003}, device::detail::dtype_of(typename device::Distribution<T>::Format{}));
  std::vector<T> expected(size);
  fill({expected.data(), params.dtype, size * sizeof(T), host}, params);

  T* memory = nullptr;
  ASSERT_EQ(cudaMalloc(&memory, size * sizeof(T)), cudaSuccess);  // also makes the context that the driver uses
  for (const char* flag : {"-fmad=true", "--use_fast_math"}) {
    const std::string ptx = compiled<T>({with_cuda, flag});
    CUmodule module{};
    ASSERT_EQ(load(&module, ptx.c_str()), CUDA_SUCCESS);
    for (const char* name : {"draw_all", "draw_each"}) {
      CUfunction function{};
      ASSERT_EQ(get_function(&function, module, name), CUDA_SUCCESS);
      device::Distribution<T> distribution = device::distribution_of<T>(params);
      std::uint64_t seed = params.seed;
      std::uint64_t subsequence = params.subsequence;
      std::uint64_t elements = size;
      void* arguments[] = {&distribution, &seed, &subsequence, &elements, &memory};
      ASSERT_EQ(cudaMemset(memory, 0, size * sizeof(T)), cudaSuccess);
      ASSERT_EQ(launch(function, (size + 127) / 128, 1, 1, 128, 1, 1, 0, nullptr, arguments, nullptr), CUDA_SUCCESS);
      std::vector<T> got(size);
      ASSERT_EQ(cudaMemcpy(got.data(), memory, size * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
      EXPECT_EQ(std::memcmp(got.data(), expected.data(), size * sizeof(T)), 0) << name << ' ' << flag;
    }
    EXPECT_EQ(unload(module), CUDA_SUCCESS);
  }
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
}

}  // namespace
}  // namespace fanin
