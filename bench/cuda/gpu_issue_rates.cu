// SPDX-License-Identifier: Apache-2.0
// Measures what a multiprocessor can issue; the budget of a fill rests on these rates. One block per multiprocessor
// runs chains of one instruction between two readings of the clock, and no other block shares the multiprocessor.
//   rate      1024 threads, eight chains each: a lane's operations per cycle and multiprocessor
//   latency   one warp, one chain: cycles from an operation to the next one that needs its result
#include <cuda_runtime.h>
#include <curand_kernel.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}
#define CUDA_CHECK(call) check(call, #call)

constexpr int chains = 8;
constexpr std::uint32_t table_entries = 256;
constexpr std::uint32_t shared_bytes = table_entries * 4 * 32;

extern __shared__ std::uint32_t shared_words[];

__device__ __forceinline__ std::uint32_t shared_address() {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_words));
}

// Numbers that the compiler does not know. Each thread reads its own copy, so that the compiler cannot know that all
// threads have the same.
struct Numbers {
  std::uint32_t a, b;
  std::uint32_t zero;
};

struct Operation {
  static constexpr double operations = 1;  // per lane and application
  static constexpr bool dependent = true;
  static constexpr int unrolled = 16;
  static constexpr int active_lanes = 32;  // per warp
};

// An operation has a state, which is made from a number. Each application replaces it by one that depends on it. The
// operations are in assembly, so that the compiler cannot shorten them.
template <class T>
struct Register : Operation {
  using State = T;
  static __device__ State make(std::uint32_t n, std::uint32_t) { return static_cast<State>(n); }
  static __device__ std::uint32_t result(State s) { return static_cast<std::uint32_t>(s); }
};

struct Imad : Register<std::uint32_t> {
  static constexpr const char* name = "IMAD (low 32 bits)";
  static __device__ void apply(State& s, const Numbers& n) {
    asm volatile("mad.lo.u32 %0, %0, %1, %2;" : "+r"(s) : "r"(n.a), "r"(n.b));
  }
};
struct ImadWide : Register<std::uint64_t> {
  static constexpr const char* name = "IMAD.WIDE.U32";
  static __device__ State make(std::uint32_t n, std::uint32_t) { return 0x9E3779B97F4A7C15u * (n + 1); }
  static __device__ std::uint32_t result(State s) { return static_cast<std::uint32_t>(s ^ s >> 32); }
  // Uses both halves, so that the compiler does not drop one.
  static __device__ void apply(State& s, const Numbers&) {
    asm volatile("{.reg .u32 low, high;\n\tmov.b64 {low, high}, %0;\n\tmul.wide.u32 %0, low, high;}" : "+l"(s));
  }
};
struct ImadHigh : Register<std::uint32_t> {
  static constexpr const char* name = "IMAD.HI.U32";
  static __device__ void apply(State& s, const Numbers& n) {
    asm volatile("mad.hi.u32 %0, %0, %1, %2;" : "+r"(s) : "r"(n.a), "r"(n.b));
  }
};
struct Lop3 : Register<std::uint32_t> {
  static constexpr const char* name = "LOP3";
  static __device__ void apply(State& s, const Numbers& n) {
    asm volatile("lop3.b32 %0, %0, %1, %2, 0x6a;" : "+r"(s) : "r"(n.a), "r"(n.b));
  }
};
struct Iadd3 : Register<std::uint32_t> {
  static constexpr const char* name = "IADD3";
  static __device__ void apply(State& s, const Numbers& n) {
    asm volatile("{.reg .u32 t;\n\tadd.u32 t, %0, %1;\n\tadd.u32 %0, t, %2;}" : "+r"(s) : "r"(n.a), "r"(n.b));
  }
};
struct Prmt : Register<std::uint32_t> {
  static constexpr const char* name = "PRMT";
  static __device__ void apply(State& s, const Numbers& n) {
    asm volatile("prmt.b32 %0, %0, %1, %2;" : "+r"(s) : "r"(n.a), "r"(n.b));
  }
};
struct Shift : Register<std::uint32_t> {
  static constexpr const char* name = "SHF";
  static __device__ void apply(State& s, const Numbers& n) {
    asm volatile("shf.l.wrap.b32 %0, %0, %1, %2;" : "+r"(s) : "r"(n.a), "r"(n.b));
  }
};
struct I2fp : Register<std::uint32_t> {
  static constexpr const char* name = "I2FP (int to float)";
  static __device__ void apply(State& s, const Numbers&) {
    asm volatile("{.reg .f32 f;\n\tcvt.rn.f32.s32 f, %0;\n\tmov.b32 %0, f;}" : "+r"(s));
  }
};
struct Dp4a : Register<std::uint32_t> {
  static constexpr const char* name = "IDP.4A";
  static __device__ void apply(State& s, const Numbers& n) {
    asm volatile("dp4a.u32.u32 %0, %0, %1, %2;" : "+r"(s) : "r"(n.a), "r"(n.b));
  }
};

struct OfFloat : Register<float> {
  static __device__ State make(std::uint32_t n, std::uint32_t) {
    return 1.0F + static_cast<float>(n & 0xffu) * 0x1p-9F;
  }
  static __device__ std::uint32_t result(State s) { return __float_as_uint(s); }
};
struct Fmul : OfFloat {
  static constexpr const char* name = "FMUL";
  static __device__ void apply(State& s, const Numbers& n) {
    asm volatile("mul.rn.f32 %0, %0, %1;" : "+f"(s) : "f"(__uint_as_float(n.a)));
  }
};
struct Fadd : OfFloat {
  static constexpr const char* name = "FADD";
  static __device__ void apply(State& s, const Numbers& n) {
    asm volatile("add.rn.f32 %0, %0, %1;" : "+f"(s) : "f"(__uint_as_float(n.a)));
  }
};
struct Ffma : OfFloat {
  static constexpr const char* name = "FFMA";
  static __device__ void apply(State& s, const Numbers& n) {
    asm volatile("fma.rn.f32 %0, %0, %1, %2;" : "+f"(s) : "f"(__uint_as_float(n.a)), "f"(__uint_as_float(n.b)));
  }
};
struct Fmnmx : OfFloat {
  static constexpr const char* name = "FMNMX";
  static __device__ void apply(State& s, const Numbers& n) {
    asm volatile("max.f32 %0, %0, %1;" : "+f"(s) : "f"(__uint_as_float(n.a)));
  }
};
struct F2fp : Register<std::uint32_t> {
  static constexpr const char* name = "F2FP (two floats to bfloat16)";
  static __device__ void apply(State& s, const Numbers& n) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    asm volatile("{.reg .f32 f;\n\tmov.b32 f, %0;\n\tcvt.rn.bf16x2.f32 %0, f, %1;}"
                 : "+r"(s)
                 : "f"(__uint_as_float(n.a)));
#else
    s += n.a;  // this architecture has no such instruction
#endif
  }
};

// The two kinds of instructions of a Philox round together: does one slow down the other?
struct ImadWideAndLop3 : Register<std::uint64_t> {
  static constexpr const char* name = "IMAD.WIDE.U32 and LOP3, one after the other";
  static constexpr double operations = 2;
  static __device__ void apply(State& s, const Numbers& n) {
    asm volatile(
        "{.reg .u32 low, high;\n\tmov.b64 {low, high}, %0;\n\tmul.wide.u32 %0, low, %1;\n\t"
        "mov.b64 {low, high}, %0;\n\tlop3.b32 low, high, low, %2, 0x96;\n\tmov.b64 %0, {low, high};}"
        : "+l"(s)
        : "r"(n.a), "r"(n.b));
  }
};

struct Philox : Operation {
  static constexpr const char* name = "Philox4x32-10 (cuRAND's), blocks of 4 words";
  static constexpr int unrolled = 1;  // a block has about 60 instructions: a loop must fit into the cache
  using State = uint4;
  static __device__ State make(std::uint32_t n, std::uint32_t) { return make_uint4(n, n + 1, n + 2, n + 3); }
  static __device__ std::uint32_t result(State s) { return s.x ^ s.y ^ s.z ^ s.w; }
  static __device__ void apply(State& s, const Numbers& n) { s = curand_Philox4x32_10(s, make_uint2(n.a, n.b)); }
};

// Look-ups of random entries. The table is one cycle through all entries: each entry is the address of the next one.
// The copies of an entry lie side by side.
template <int copies>
struct LookUp : Register<std::uint32_t> {
  static constexpr const char* name = copies == 1    ? "LDS, random entries of 1 KiB, 1 copy"
                                      : copies == 2  ? "LDS, random entries of 1 KiB, 2 copies"
                                      : copies == 4  ? "LDS, random entries of 1 KiB, 4 copies"
                                      : copies == 8  ? "LDS, random entries of 1 KiB, 8 copies"
                                      : copies == 16 ? "LDS, random entries of 1 KiB, 16 copies"
                                                     : "LDS, random entries of 1 KiB, 32 copies";
  static __device__ State make(std::uint32_t n, std::uint32_t) {
    for (std::uint32_t j = threadIdx.x; j < table_entries * copies; j += blockDim.x) {
      // A linear congruential generator with one cycle. Lanes begin at different entries.
      const std::uint32_t next = (j / copies * 141u + 89u) % table_entries;
      shared_words[j] = shared_address() + (next * copies + j % copies) * 4;
    }
    n = (n ^ n >> 16) * 0x85ebca6bu;
    n = (n ^ n >> 13) * 0xc2b2ae35u;
    const std::uint32_t entry = (n ^ n >> 16) % table_entries;
    return shared_address() + (entry * copies + threadIdx.x % copies) * 4;
  }
  static __device__ void apply(State& s, const Numbers&) {
    asm volatile("ld.shared.u32 %0, [%0];" : "+r"(s)::"memory");
  }
};

// 16 consecutive bytes per lane. One or two logic instructions follow each access; they take a fraction of its time.
template <bool store>
struct Wide16 : Register<std::uint32_t> {
  static constexpr const char* name = store ? "STS.128, consecutive" : "LDS.128, consecutive";
  static constexpr bool dependent = !store;
  static __device__ State make(std::uint32_t, std::uint32_t chain) {
    const std::uint32_t slots = blockDim.x;
    shared_words[4 * threadIdx.x] = shared_address() + threadIdx.x * 16;
    for (int j = 1; j < 4; ++j) shared_words[4 * threadIdx.x + j] = 0;
    return shared_address() + (threadIdx.x + chain) % slots * 16;
  }
  static __device__ void apply(State& s, const Numbers& n) {
    if (store) {
      asm volatile("st.shared.v4.u32 [%0], {%1, %2, %1, %2};" ::"r"(s), "r"(n.a), "r"(n.b) : "memory");
      s ^= n.zero;  // the compiler would merge two stores to one address
    } else {
      std::uint32_t x, y, z, w;
      asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(x), "=r"(y), "=r"(z), "=r"(w) : "r"(s) : "memory");
      s = x ^ y ^ z ^ w;
    }
  }
};

// `lanes` of each warp add to one word, which all warps share. The result is used, as for a place in a queue.
// Operations are counted per warp.
template <int lanes>
struct Atomic : Register<std::uint32_t> {
  static constexpr const char* name = lanes == 1    ? "ATOMS.ADD, 1 lane on one address (by warp)"
                                      : lanes == 2  ? "ATOMS.ADD, 2 lanes on one address (by warp)"
                                      : lanes == 4  ? "ATOMS.ADD, 4 lanes on one address (by warp)"
                                      : lanes == 8  ? "ATOMS.ADD, 8 lanes on one address (by warp)"
                                      : lanes == 16 ? "ATOMS.ADD, 16 lanes on one address (by warp)"
                                                    : "ATOMS.ADD, 32 lanes on one address (by warp)";
  static constexpr double operations = 1.0 / 32;
  static constexpr int active_lanes = lanes;
  // If the compiler knew that all lanes add to one address, it would merge the additions.
  static __device__ void apply(State& s, const Numbers& n) {
    asm volatile("atom.shared.add.u32 %0, [%1], %0;" : "+r"(s) : "r"(shared_address() + n.zero) : "memory");
  }
};

template <class Op, int count>
__global__ void __launch_bounds__(1024)
    run(std::uint64_t* cycles, std::uint32_t* sink, const Numbers* numbers, int rounds) {
  const Numbers n = numbers[threadIdx.x];
  typename Op::State state[count];
  for (int j = 0; j < count; ++j) state[j] = Op::make(n.a + threadIdx.x * 8 + j, j);
  __syncthreads();
  const long long begin = clock64();
  const int own_rounds = threadIdx.x % 32 < Op::active_lanes ? rounds : 0;
#pragma unroll 1
  for (int round = 0; round < own_rounds; ++round) {
#pragma unroll
    for (int k = 0; k < Op::unrolled; ++k) {
#pragma unroll
      for (int j = 0; j < count; ++j) Op::apply(state[j], n);
    }
  }
  __syncthreads();
  const long long end = clock64();
  std::uint32_t all = 0;
  for (int j = 0; j < count; ++j) all ^= Op::result(state[j]);
  sink[blockIdx.x * blockDim.x + threadIdx.x] = all;
  if (threadIdx.x == 0) cycles[blockIdx.x] = static_cast<std::uint64_t>(end - begin);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Result {
  std::string name;
  double rate = 0;     // a lane's operations per cycle and multiprocessor
  double latency = 0;  // cycles; 0: not measured
};

class Rates {
 public:
  Rates(int rounds, int repetitions) : rounds_(rounds), repetitions_(repetitions) {
    CUDA_CHECK(cudaGetDeviceProperties(&device_, 0));
    CUDA_CHECK(cudaMalloc(&cycles_, sizeof(std::uint64_t) * blocks()));
    CUDA_CHECK(cudaMalloc(&sink_, sizeof(std::uint32_t) * 1024 * blocks()));
    const std::vector<Numbers> numbers(1024, Numbers{0x3f7ffff5u, 0xD2511F53u, 0});
    CUDA_CHECK(cudaMalloc(&numbers_, sizeof(Numbers) * numbers.size()));
    CUDA_CHECK(cudaMemcpy(numbers_, numbers.data(), sizeof(Numbers) * numbers.size(), cudaMemcpyHostToDevice));
    CUDA_CHECK(cudaEventCreate(&before_));
    CUDA_CHECK(cudaEventCreate(&after_));
  }

  template <class Op>
  void measure() {
    Result result;
    result.name = Op::name;
    const double applications = static_cast<double>(Op::unrolled) * rounds_;
    result.rate = 1024 * chains * applications * Op::operations / cycles_of<Op, chains>(1024);
    if (Op::dependent) result.latency = cycles_of<Op, 1>(32) / applications;
    results_.push_back(result);
    std::printf("%-46s %10.2f %10.3f %10.2f\n", result.name.c_str(), result.rate, result.rate / 32, result.latency);
    std::fflush(stdout);
  }

  void heading() const {
    std::printf("%s, %d multiprocessors\n%-46s %10s %10s %10s\n", device_.name, device_.multiProcessorCount,
                "per cycle and multiprocessor", "lanes", "warps", "latency");
  }

  void write_json(const std::string& path) const {
    std::ofstream out(path);
    out << "{\"device\": \"" << device_.name << "\", \"multiprocessors\": " << device_.multiProcessorCount
        << ", \"clock_mhz\": " << clock_mhz_ << ",\n\"rates\": [";
    const char* comma = "\n";
    for (const Result& r : results_) {
      out << comma << "{\"name\": \"" << r.name << "\", \"lanes_per_cycle\": " << r.rate
          << ", \"latency\": " << r.latency << "}";
      comma = ",\n";
    }
    out << "\n]}\n";
    out.close();
    if (!out) throw std::runtime_error("cannot write " + path);
  }

  double clock_mhz() const { return clock_mhz_; }

 private:
  unsigned blocks() const { return static_cast<unsigned>(device_.multiProcessorCount); }

  template <class Op, int count>
  double cycles_of(unsigned threads) {
    auto* const kernel = run<Op, count>;
    // With this much shared memory, two blocks do not fit onto one multiprocessor.
    const std::size_t shared = std::max<std::size_t>(shared_bytes, device_.sharedMemPerMultiprocessor / 2 + 1024);
    CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)));
    std::vector<double> all;
    std::vector<std::uint64_t> cycles(blocks());
    for (int j = 0; j < repetitions_ + 1; ++j) {
      CUDA_CHECK(cudaEventRecord(before_));
      kernel<<<blocks(), threads, shared>>>(cycles_, sink_, numbers_, rounds_);
      CUDA_CHECK(cudaGetLastError());
      CUDA_CHECK(cudaEventRecord(after_));
      CUDA_CHECK(cudaMemcpy(cycles.data(), cycles_, sizeof(std::uint64_t) * blocks(), cudaMemcpyDeviceToHost));
      if (j == 0) continue;  // the first launch loads the kernel
      float milliseconds = 0;
      CUDA_CHECK(cudaEventElapsedTime(&milliseconds, before_, after_));
      const std::vector<double> of_blocks(cycles.begin(), cycles.end());
      all.push_back(median(of_blocks));
      // The longest run gives the clock, because there the launch counts least.
      if (milliseconds > longest_) {
        longest_ = milliseconds;
        clock_mhz_ = all.back() / (static_cast<double>(milliseconds) * 1e3);
      }
    }
    return std::max(1.0, median(all));
  }

  int rounds_;
  int repetitions_;
  cudaDeviceProp device_{};
  std::uint64_t* cycles_ = nullptr;
  std::uint32_t* sink_ = nullptr;
  Numbers* numbers_ = nullptr;
  cudaEvent_t before_ = nullptr;
  cudaEvent_t after_ = nullptr;
  float longest_ = 0;
  double clock_mhz_ = 0;
  std::vector<Result> results_;
};

}  // namespace

int main(int argc, char** argv) {
  bool quick = false;
  std::string json;
  for (int j = 1; j < argc; ++j) {
    const std::string name = argv[j];
    if (name == "--quick") {
      quick = true;
    } else if (name == "--json" && j + 1 < argc) {
      json = argv[++j];
    } else {
      std::fprintf(stderr, "usage: gpu_issue_rates [--quick] [--json FILE]\n");
      return 2;
    }
  }
  try {
    Rates rates(quick ? 1 : 2000, quick ? 1 : 7);
    rates.heading();
    rates.measure<Imad>();
    rates.measure<ImadWide>();
    rates.measure<ImadHigh>();
    rates.measure<Lop3>();
    rates.measure<ImadWideAndLop3>();
    rates.measure<Iadd3>();
    rates.measure<Shift>();
    rates.measure<Prmt>();
    rates.measure<I2fp>();
    rates.measure<Dp4a>();
    rates.measure<Fmul>();
    rates.measure<Fadd>();
    rates.measure<Ffma>();
    rates.measure<Fmnmx>();
    rates.measure<F2fp>();
    rates.measure<LookUp<1>>();
    rates.measure<LookUp<2>>();
    rates.measure<LookUp<4>>();
    rates.measure<LookUp<8>>();
    rates.measure<LookUp<16>>();
    rates.measure<LookUp<32>>();
    rates.measure<Wide16<true>>();
    rates.measure<Wide16<false>>();
    rates.measure<Atomic<1>>();
    rates.measure<Atomic<2>>();
    rates.measure<Atomic<4>>();
    rates.measure<Atomic<8>>();
    rates.measure<Atomic<16>>();
    rates.measure<Atomic<32>>();
    rates.measure<Philox>();
    std::printf("multiprocessor clock while measuring: %.0f MHz\n", rates.clock_mhz());
    if (!json.empty()) rates.write_json(json);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gpu_issue_rates: %s\n", error.what());
    return 1;
  }
  return 0;
}
