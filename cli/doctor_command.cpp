// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cli/commands.h"
#include "cli/distribution_json.h"
#include "cli/table.h"
#include "fanin/fanin.hpp"
#include "fanin/version.h"

namespace fanin::cli {

namespace {

constexpr std::int64_t case_elements = 4099;  // prime, so that every loop has a rest
constexpr std::size_t dtype_count = 6;

constexpr std::array<DType, dtype_count> case_dtypes{DType::float32,  DType::float64,       DType::float16,
                                                     DType::bfloat16, DType::float8_e4m3fn, DType::float8_e5m2};

// The FNV-1a hashes of what a sampler writes in each of case_dtypes. tests/cli/doctor_test.py computes them with the
// contract's oracle.
struct Sampler {
  std::string_view name;
  Initializer (*initializer)();
  std::array<std::uint64_t, dtype_count> hashes;
};

const std::array<Sampler, 5> samplers{{
    {"truncated_normal",
     [] { return Initializer(TruncatedNormal(0, 1, 42)); },
     {0x9633ee162cc61de5, 0xeb9d0b2f9ef69b52, 0x78c9631a8aef7144, 0x32878c7c96594ff4, 0x25b5ab2f2eabfe9e,
      0xeca837b10923ce02}},
    {"normal",
     [] { return Initializer(RandomNormal(0, 1, 42)); },
     {0x44a5c496ca689153, 0x37f551c1ba1102ca, 0x19d1616082c76a00, 0x461d29493c6b5daf, 0xc64db8fb7a06b571,
      0x879c6132e021c91c}},
    {"box",
     [] { return Initializer(TruncatedNormal(0, 1, 42, 1, 2)); },
     {0xf877e0206235d5ba, 0xcf96168e5fe456a5, 0x7423a1a04eb9aead, 0x9ba0038dcd10986c, 0x552e27694b7889fc,
      0xd1efeee74d332600}},
    {"tail",
     [] { return Initializer(TruncatedNormal(0, 1, 42, 3, 10)); },
     {0x60d1841354496c2c, 0xe75f9c9c0eb10746, 0xe9ea228091316d83, 0x55d8bc5c5b313476, 0x14cabc03102bde08,
      0xdb9c926609723b92}},
    {"uniform",
     [] { return Initializer(RandomUniform(-1, 1, 42)); },
     {0x891bfca1a55b18ac, 0x96dd99ce1493a033, 0xcff187665e49edd2, 0xa90f2165d5ca2e17, 0xe1b55c8bff9271aa,
      0x3620058a31cd38ce}},
}};

// A back end, or an instruction set of the host, and what its fills were.
struct Tried {
  std::string name;
  std::size_t fills = 0;
  std::vector<std::string> wrong;  // "normal float16"
  std::string failure;             // an exception's message, which ends the test
};

Tried tried(const std::string& name, Device device, CpuTarget target) {
  Tried result{name, 0, {}, {}};
  TensorOptions options;
  options.name = "doctor";
  RunOptions run;
  run.cpu_target = target;
  try {
    for (const Sampler& sampler : samplers) {
      const Initializer initializer = sampler.initializer();
      for (std::size_t j = 0; j < dtype_count; ++j) {
        Tensor tensor({case_elements}, case_dtypes[j], device);
        initializer.fill(tensor.view(), {case_elements}, options, run);
        const Tensor found = tensor.to(host);
        const std::string_view bytes(static_cast<const char*>(found.data()), found.bytes());
        ++result.fills;
        if (subsequence_of(bytes) != sampler.hashes[j]) {
          result.wrong.push_back(std::string(sampler.name) + " " + std::string(name_of(case_dtypes[j])));
        }
      }
    }
  } catch (const std::exception& error) {
    result.failure = error.what();
  }
  return result;
}

// Bytes a second of f(memory, bytes), the fastest of a few calls.
template <class F>
double rate(const F& f) {
  constexpr std::size_t bytes = std::size_t{64} << 20;
  constexpr int calls = 6;
  Tensor memory({bytes / sizeof(float)}, DType::float32);
  double best = std::numeric_limits<double>::infinity();
  for (int call = 0; call < calls; ++call) {
    const auto start = std::chrono::steady_clock::now();
    f(memory);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return static_cast<double>(bytes) / best;
}

// The first value of "key : value" in a file, or "".
std::string value_in(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const std::size_t colon = line.find(':');
    return colon == std::string::npos ? "" : line.substr(line.find_first_not_of(' ', colon + 1));
  }
  return {};
}

// "always", "madvise" or "never", or "" where the system does not say.
std::string huge_pages() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string line;
  std::getline(file, line);
  const std::size_t begin = line.find('[');
  return begin == std::string::npos ? "" : line.substr(begin + 1, line.find(']') - begin - 1);
}

std::string gigabytes(double bytes_per_second) {
  constexpr double giga = 1e9;
  return short_number(bytes_per_second / giga) + " GB/s";
}

struct Report {
  std::vector<CpuTarget> targets;
  std::string used;  // the target of fills; "" if FANIN_CPU_TARGET names none
  Availability cuda;
  std::vector<Tried> self_test;
  double memset_rate = 0;
  double fill_rate = 0;  // 0 if something is wrong
  std::vector<std::string> problems;
  std::vector<std::string> notes;
};

Report examine() {
  Report report{cpu_targets(), {}, available(), {}, 0, 0, {}, {}};
  try {
    report.used = name_of(cpu_target());
  } catch (const InvalidArgument& error) {
    report.problems.emplace_back(error.what());
  }
  for (const CpuTarget target : report.targets) {
    report.self_test.push_back(tried(std::string(name_of(target)), host, target));
  }
  for (int device = 0; device < report.cuda.cuda_devices; ++device) {
    report.self_test.push_back(tried(to_string(cuda(device)), cuda(device), CpuTarget::portable));
  }
  for (const Tried& one : report.self_test) {
    if (!one.failure.empty()) report.problems.push_back(one.name + " failed: " + one.failure);
    if (one.wrong.empty()) continue;
    report.problems.push_back(one.name + " wrote other values than the contract says in " +
                              std::to_string(one.wrong.size()) + " of " + std::to_string(one.fills) +
                              " fills, the first " + one.wrong[0] + ". Do not use its weights, and report this output");
  }
  if (!report.cuda.cuda_built) {
    report.notes.emplace_back("this build fills host memory only. A build with the CUDA toolkit fills device memory");
  } else if (report.cuda.cuda_devices == 0) {
    report.notes.push_back("no CUDA device is usable: " + report.cuda.reason);
  }
  const int processors = static_cast<int>(std::thread::hardware_concurrency());
  if (available_threads() < processors) {
    report.notes.push_back("this process may run on " + std::to_string(available_threads()) + " of " +
                           std::to_string(processors) + " processors, so fills use no more threads");
  }
  report.memset_rate = rate([](Tensor& memory) { std::memset(memory.data(), 1, memory.bytes()); });
  if (report.problems.empty()) {
    report.fill_rate = rate([](Tensor& memory) { HeNormal(1).fill(memory.view(), memory.shape()); });
  }
  return report;
}

void print_json(const Report& report) {
  Json object{{"version", FANIN_VERSION},
              {"contract", FANIN_CONTRACT_VERSION},
              {"processor", value_in("/proc/cpuinfo", "model name")},
              {"threads", available_threads()},
              {"cpu_target", report.used},
              {"huge_pages", huge_pages()},
              {"cuda_built", report.cuda.cuda_built},
              {"cuda_devices", report.cuda.cuda_devices},
              {"cuda_reason", report.cuda.reason},
              {"memset_bytes_per_second", report.memset_rate},
              {"fill_bytes_per_second", report.fill_rate},
              {"problems", report.problems},
              {"notes", report.notes}};
  for (const Tried& one : report.self_test) {
    object["self_test"][one.name] = {{"fills", one.fills}, {"wrong", one.wrong}, {"failure", one.failure}};
  }
  for (const Sampler& sampler : samplers) {
    for (std::size_t j = 0; j < dtype_count; ++j) {
      object["hashes"][std::string(sampler.name)][std::string(name_of(case_dtypes[j]))] = sampler.hashes[j];
    }
  }
  std::cout << object.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
}

void print_text(const Report& report) {
  const auto list = [](const auto& items, const auto& text) {
    std::string all;
    for (const auto& item : items) all += (all.empty() ? "" : ", ") + text(item);
    return all;
  };
  const auto target_text = [&](CpuTarget target) {
    return std::string(name_of(target)) + (name_of(target) == report.used ? " (used)" : "");
  };
  const auto test_text = [](const Tried& one) {
    return one.name + (!one.failure.empty() ? " failed" : one.wrong.empty() ? " right" : " WRONG");
  };
  const std::string processor = value_in("/proc/cpuinfo", "model name");
  const std::string pages = huge_pages();
  const int threads = available_threads(), devices = report.cuda.cuda_devices;
  std::cout << "fanin " << FANIN_VERSION << ", value contract " << FANIN_CONTRACT_VERSION << "\n\n"
            << "processor    " << (processor.empty() ? "unknown" : processor) << ", " << threads
            << (threads == 1 ? " thread\n" : " threads\n") << "targets      " << list(report.targets, target_text)
            << '\n';
  if (!pages.empty()) std::cout << "huge pages   " << pages << '\n';
  std::cout << "CUDA         "
            << (devices > 0              ? std::to_string(devices) + (devices == 1 ? " device" : " devices")
                : report.cuda.cuda_built ? "built in, no usable device"
                                         : "not built in")
            << '\n'
            << "self-test    " << list(report.self_test, test_text) << "; " << samplers.size() * dtype_count
            << " fills each, of all dtypes and samplers\n"
            << "memory       memset " << gigabytes(report.memset_rate);
  if (report.fill_rate > 0) {
    std::cout << "; HeNormal float32 " << gigabytes(report.fill_rate) << ", "
              << short_number(report.fill_rate / report.memset_rate) << " of that";
  }
  std::cout << "\n\n";
  for (const std::string& note : report.notes) std::cout << "note: " << note << ".\n";
  for (const std::string& problem : report.problems) std::cout << "wrong: " << problem << ".\n";
  if (report.problems.empty()) std::cout << "Nothing is wrong.\n";
}

}  // namespace

void add_doctor_command(Parser& program) {
  Command command = program.add_command(
      "doctor", "Says what this machine has and tests every back end; exit status 0: all right, 1: something is wrong");
  auto as_json = std::make_shared<bool>(false);
  command.flag("--json", *as_json, "One JSON object instead of text");
  command.run([as_json] {
    const Report report = examine();
    *as_json ? print_json(report) : print_text(report);
    return report.problems.empty() ? 0 : 1;
  });
}

}  // namespace fanin::cli
