// SPDX-License-Identifier: Apache-2.0
// Statistics of tensors in device memory: moments, extremes and a histogram. Needs a CUDA compiler, like
// fanin/thrust.h.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <cub/block/block_reduce.cuh>
#include <string>
#include <type_traits>
#include <vector>

#include "fanin/cuda_devices.h"
#include "fanin/dtype.h"
#include "fanin/error.h"
#include "fanin/moment_sums.h"
#include "fanin/tensor.h"
#include "fanin/thrust.h"
#include "fanin/view.h"

namespace fanin {

/// `bins` equal intervals of [lower, upper]. A value x in the range is counted in interval
/// min(bins - 1, floor((x - lower) * (bins / (upper - lower)))), computed in binary64: up to rounding, an interval
/// contains its lower end, and the last one also its upper end.
struct HistogramRange {
  static constexpr std::uint32_t max_bins = 8192;

  std::uint32_t bins = 0;  ///< 0: no histogram
  double lower = 0;        ///< finite and less than upper, if there are bins
  double upper = 0;
};

/// Statistics of a tensor. Mean and moments are those of the finite elements as a population (divided by their number
/// n, not by n - 1); d is an element's deviation from the mean.
struct Statistics {
  std::uint64_t count = 0;          ///< all elements
  std::uint64_t nans = 0;           ///< NaN elements
  std::uint64_t infinities = 0;     ///< infinite elements of either sign
  std::uint64_t out_of_bounds = 0;  ///< elements not in [lower, upper], including all NaN
  double mean = 0;                  ///< this and the next five are NaN if no element is finite
  double standard_deviation = 0;    ///< sqrt(mean of d^2)
  double skewness = 0;              ///< mean of d^3 / standard_deviation^3; NaN if all elements are equal
  double kurtosis = 0;              ///< mean of d^4 / standard_deviation^4, 3 for a normal; NaN if all are equal
  double min = 0;
  double max = 0;
  std::uint64_t below_histogram = 0;  ///< elements below the histogram's range, including -infinity
  std::uint64_t above_histogram = 0;  ///< elements above it, including +infinity; NaN is neither
  std::vector<std::uint64_t> histogram;
};

namespace detail::device {

// Thread blocks take tiles in turn. On every device, the number of blocks depends only on the number of elements, and
// so does the order of additions.
inline constexpr int threads = 256;
inline constexpr int elements_per_thread = 8;
inline constexpr std::uint64_t tile = std::uint64_t{threads} * elements_per_thread;
inline constexpr std::uint64_t max_blocks = 1024;

struct Tally {
  MomentSums moments;
  std::uint64_t nans, infinities, out_of_bounds;
};

struct Merge {
  __host__ __device__ Tally operator()(const Tally& a, const Tally& b) const {
    return {merged(a.moments, b.moments), a.nans + b.nans, a.infinities + b.infinities,
            a.out_of_bounds + b.out_of_bounds};
  }
};

// What is counted for every element. Counter 0 is for elements below the histogram, counter bins + 1 for those above
// it.
struct Question {
  double lower, upper;
  double histogram_lower, histogram_upper, bins_per_unit;
  std::uint32_t bins;
  double scale;  // a power of two: the sums are those of the elements of float64 times it

  __host__ __device__ std::uint32_t counter(double x) const {
    if (x < histogram_lower) return 0;
    if (x > histogram_upper) return bins + 1;
    const auto bin = static_cast<std::uint32_t>((x - histogram_lower) * bins_per_unit);
    return 1 + (bin < bins ? bin : bins - 1);
  }
};

// Computes one block's tally and its part of the histogram, in shared memory. 32-bit counters suffice: a block gets
// 2^32 elements only if the tensor has 2^42.
template <class T>
__global__ void __launch_bounds__(threads) tally(const T* __restrict__ data, std::uint64_t count, Question question,
                                                 Tally* tallies, unsigned long long* counters) {
  using Reduce = cub::BlockReduce<Tally, threads>;
  __shared__ typename Reduce::TempStorage scratch;
  extern __shared__ std::uint32_t own_counters[];
  const std::uint32_t counter_count = question.bins == 0 ? 0 : question.bins + 2;
  for (std::uint32_t j = threadIdx.x; j < counter_count; j += threads) own_counters[j] = 0;
  __syncthreads();

  PowerSums sums;
  Tally own{};
  for (std::uint64_t first = blockIdx.x * tile + threadIdx.x; first < count; first += gridDim.x * tile) {
    T element[elements_per_thread];
#pragma unroll
    for (int j = 0; j < elements_per_thread; ++j) {
      const std::uint64_t at = first + std::uint64_t{threads} * j;
      if (at < count) element[j] = data[at];
    }
#pragma unroll
    for (int j = 0; j < elements_per_thread; ++j) {
      if (first + std::uint64_t{threads} * j >= count) break;
      double x;
      if constexpr (std::is_same_v<T, double>) {
        x = element[j];
      } else {
        // Keeps subnormals under every flag of the compiler: PTX has another instruction, with .ftz, that does not.
        asm("cvt.f64.f32 %0, %1;" : "=d"(x) : "f"(static_cast<float>(element[j])));
      }
      if (!(x >= question.lower && x <= question.upper)) ++own.out_of_bounds;
      if (x != x) {
        ++own.nans;
        continue;
      }
      if (fabs(x) <= DBL_MAX) {
        sums.add(std::is_same_v<T, double> ? x * question.scale : x);
      } else {
        ++own.infinities;
      }
      if (counter_count != 0) atomicAdd(&own_counters[question.counter(x)], 1U);
    }
  }
  own.moments = sums.moments();
  const Tally all = Reduce(scratch).Reduce(own, Merge{});
  if (threadIdx.x == 0) tallies[blockIdx.x] = all;
  __syncthreads();
  for (std::uint32_t j = threadIdx.x; j < counter_count; j += threads) {
    if (own_counters[j] != 0) atomicAdd(&counters[j], static_cast<unsigned long long>(own_counters[j]));
  }
}

inline void refuse(bool wrong, const std::string& what) {
  if (wrong) throw InvalidArgument(what);
}

inline Question checked(double lower, double upper, const HistogramRange& range) {
  refuse(!(lower <= upper), "The bounds must be numbers with lower <= upper. Received: lower=" + std::to_string(lower) +
                                ", upper=" + std::to_string(upper));
  if (range.bins == 0) return {lower, upper, 0, 0, 0, 0, 1};
  refuse(range.bins > HistogramRange::max_bins, "A histogram has at most " + std::to_string(HistogramRange::max_bins) +
                                                    " bins. Received: bins=" + std::to_string(range.bins) +
                                                    ". Take fewer, or a narrower range");
  const double bins_per_unit = range.bins / (range.upper - range.lower);
  refuse(!(range.upper > range.lower && bins_per_unit > 0 && bins_per_unit <= DBL_MAX),
         "A histogram's range must be finite numbers with lower < upper. Received: lower=" +
             std::to_string(range.lower) + ", upper=" + std::to_string(range.upper));
  return {lower, upper, range.lower, range.upper, bins_per_unit, range.bins, 1};
}

// Runs the kernel, merges the tallies of all blocks in order, and reads the counters.
template <class T>
Tally tallied(const View& tensor, std::uint64_t count, const Question& question, CudaStream stream,
              std::vector<std::uint64_t>& counters) {
  const DeviceMemory input = use_on_device(tensor);
  const auto blocks = static_cast<std::size_t>(std::min((count + tile - 1) / tile, max_blocks));
  const std::size_t tally_bytes = blocks * sizeof(Tally);
  const std::size_t counter_bytes = counters.size() * 8;
  static_assert(sizeof(Tally) % 8 == 0 && sizeof(unsigned long long) == 8);
  Tensor memory({static_cast<std::int64_t>((tally_bytes + counter_bytes) / 8)}, DType::float64, tensor.device);
  std::vector<unsigned char> bytes(memory.bytes());

  auto* on_device = static_cast<unsigned char*>(memory.data());
  check(cudaMemsetAsync(on_device + tally_bytes, 0, counter_bytes, stream), "Cannot clear the histogram");
  const auto* data = static_cast<const T*>(input.address);
  Question asked = question;
  auto* tallies_there = reinterpret_cast<Tally*>(on_device);
  auto* counters_there = reinterpret_cast<unsigned long long*>(on_device + tally_bytes);
  void* arguments[] = {&data, &count, &asked, &tallies_there, &counters_there};
  // cudaGetLastError after <<<>>> would also report an earlier error of the caller's.
  check(cudaLaunchKernel(tally<T>, dim3(static_cast<unsigned>(blocks)), dim3(threads), arguments,
                         counters.size() * sizeof(std::uint32_t), stream),
        "Cannot launch the statistics");
  check(cudaMemcpyAsync(bytes.data(), on_device, bytes.size(), cudaMemcpyDeviceToHost, stream),
        "Cannot copy the statistics");
  check(cudaStreamSynchronize(stream), "Cannot compute the statistics");

  std::vector<Tally> tallies(blocks);
  std::memcpy(tallies.data(), bytes.data(), tally_bytes);
  if (counter_bytes != 0) std::memcpy(counters.data(), bytes.data() + tally_bytes, counter_bytes);
  Tally all{};
  for (const Tally& one : tallies) all = Merge{}(all, one);
  return all;
}

using Tallied = Tally (*)(const View&, std::uint64_t, const Question&, CudaStream, std::vector<std::uint64_t>&);

// A template, like everything that names a kernel, so that a program contains only the kernels that it uses.
template <int = 0>
Tallied tallied_for(DType dtype) {
  switch (dtype) {
    case DType::float32:
      break;
    case DType::float64:
      return tallied<double>;
    case DType::float16:
      return tallied<__half>;
    case DType::bfloat16:
      return tallied<__nv_bfloat16>;
    case DType::float8_e4m3fn:
      return tallied<__nv_fp8_e4m3>;
    case DType::float8_e5m2:
      return tallied<__nv_fp8_e5m2>;
    default:  // check_readable refuses them
      break;
  }
  return tallied<float>;
}

inline void check_readable(const View& tensor) {
  const std::size_t size = size_of(tensor.dtype);
  refuse(is_low_precision(tensor.dtype), "Statistics are of the dtypes that CUDA has, up to float8_e5m2. Received: " +
                                             std::string(name_of(tensor.dtype)));
  refuse(
      tensor.device.is_host(),
      "Statistics are taken of memory on a device. Received: a view of memory on the host. Copy it to the device, for "
      "example into a thrust::device_vector");
  refuse(reinterpret_cast<std::uintptr_t>(tensor.address) % size != 0,
         "The address must be a multiple of the element's size, " + std::to_string(size) + " bytes");
  refuse(tensor.address == nullptr, "The address is null, but there are elements to read");
}

inline Statistics statistics_of(const View& tensor, Tallied compute, double lower, double upper,
                                const HistogramRange& histogram, CudaStream stream) {
  Question question = checked(lower, upper, histogram);
  std::vector<std::uint64_t> counters(histogram.bins == 0 ? 0 : histogram.bins + 2);
  Tally all{};
  Statistics result;
  result.count = tensor.capacity / size_of(tensor.dtype);
  if (result.count != 0) {
    check_readable(tensor);
    all = compute(tensor, result.count, question, stream, counters);
  }
  const double min = all.moments.min;
  const double max = all.moments.max;
  // Fourth powers of very large and very small elements of float64 leave its range.
  const double largest = std::max(std::abs(min), std::abs(max));
  if (all.moments.count != 0 && largest != 0 && !(largest > 0x1p-200 && largest < 0x1p200)) {
    question.scale = std::ldexp(1.0, std::min(-std::ilogb(largest), 1000));
    all = compute(tensor, result.count, question, stream, counters);
  }
  const MomentSums& moments = all.moments;
  const auto n = static_cast<double>(moments.count);  // 0 / 0 gives NaN if none is finite
  const double variance = moments.m2 / n;
  result.nans = all.nans;
  result.infinities = all.infinities;
  result.out_of_bounds = all.out_of_bounds;
  result.mean = moments.count == 0 ? variance : moments.mean / question.scale;
  result.standard_deviation = std::sqrt(variance) / question.scale;
  result.skewness = moments.m3 / n / (variance * std::sqrt(variance));
  result.kurtosis = moments.m4 / n / (variance * variance);
  result.min = moments.count == 0 ? variance : min;
  result.max = moments.count == 0 ? variance : max;
  if (!counters.empty()) {
    result.below_histogram = counters.front();
    result.above_histogram = counters.back();
    result.histogram.assign(counters.begin() + 1, counters.end() - 1);
  }
  return result;
}

}  // namespace detail::device

/// Computes the statistics of all whole elements of a view in one pass, or in two for float64 whose largest magnitude
/// is not between 2^-200 and 2^200. The view names a CUDA device and memory that it can read: device, managed or pinned
/// memory. Each thread block sums powers of deviations in binary64 and counts the histogram in shared memory. CUB
/// reduces each block, and the host merges the results of at most 1024 blocks.
///
/// Bounds and range are in the elements' units. out_of_bounds counts elements outside [lower, upper]; the histogram has
/// its own range. Repeated runs of one program on one kind of device give the same bits, because the order of additions
/// depends only on the number of elements and counts are integers. Another compiler, or other flags, may change the
/// moments' last bits, but no count, minimum or maximum.
///
/// Runs on `stream`, after earlier work there, and synchronises it; cannot be captured. Allocates and frees less than
/// 200 KiB of device memory, which may synchronise the device. Throws InvalidArgument for invalid bounds or histograms
/// and for host memory, DeviceError, and std::bad_alloc.
template <int = 0>
Statistics statistics(const View& tensor, double lower = -HUGE_VAL, double upper = HUGE_VAL,
                      const HistogramRange& histogram = {}, CudaStream stream = nullptr) {
  return detail::device::statistics_of(tensor, detail::device::tallied_for(tensor.dtype), lower, upper, histogram,
                                       stream);
}

/// The same for an array that view() accepts; its elements may be const.
template <class Array, class Pointer = detail::device::Pointer<const Array>>
Statistics statistics(const Array& array, double lower = -HUGE_VAL, double upper = HUGE_VAL,
                      const HistogramRange& histogram = {}, CudaStream stream = nullptr) {
  using Element = std::remove_const_t<std::remove_pointer_t<Pointer>>;
  return detail::device::statistics_of(detail::device::view_of(thrust::raw_pointer_cast(array.data()), array.size()),
                                       detail::device::tallied<Element>, lower, upper, histogram, stream);
}

}  // namespace fanin
