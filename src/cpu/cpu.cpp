// SPDX-License-Identifier: Apache-2.0
#include "fanin/cpu.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <thread>

#include "base/text.h"
#include "cpu/run.h"
#include "fanin/error.h"

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#include <sys/prctl.h>
#endif

namespace fanin {

namespace {

constexpr std::array<std::string_view, 8> names{"automatic", "portable",    "sse4", "avx2",
                                                "avx512",    "avx512_vbmi", "neon", "sve"};

// SVE has no widening multiplication, so it is faster than NEON only with longer vectors.
bool sve_is_longer_than_neon() {
#if defined(__aarch64__) && defined(__linux__) && defined(PR_SVE_GET_VL)
  return (prctl(PR_SVE_GET_VL) & PR_SVE_VL_LEN_MASK) > 16;
#else
  return false;
#endif
}

std::array<CpuTarget, 7> best_first() {
  std::array order{CpuTarget::sve,  CpuTarget::neon, CpuTarget::avx512_vbmi, CpuTarget::avx512,
                   CpuTarget::avx2, CpuTarget::sse4, CpuTarget::portable};
  if (!sve_is_longer_than_neon()) std::swap(order[0], order[1]);
  return order;
}

// Returns whether the processor has the instructions and the system saves their registers.
bool processor_has(CpuTarget target) {
  switch (target) {
    case CpuTarget::portable:
      return true;
#if defined(__x86_64__)
    case CpuTarget::sse4:
      return __builtin_cpu_supports("sse4.2") != 0;
    case CpuTarget::avx2:  // processors with these have F16C
      return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
             __builtin_cpu_supports("bmi") != 0 && __builtin_cpu_supports("bmi2") != 0;
    case CpuTarget::avx512:
      return processor_has(CpuTarget::avx2) && __builtin_cpu_supports("avx512f") != 0 &&
             __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
             __builtin_cpu_supports("avx512bw") != 0;
    case CpuTarget::avx512_vbmi:
      return processor_has(CpuTarget::avx512) && __builtin_cpu_supports("avx512vbmi") != 0 &&
             __builtin_cpu_supports("avx512vbmi2") != 0 && __builtin_cpu_supports("avx512bitalg") != 0 &&
             __builtin_cpu_supports("avx512vpopcntdq") != 0;
#elif defined(__aarch64__)
    case CpuTarget::neon:
      return true;
#if defined(__linux__)
    case CpuTarget::sve:
      return (getauxval(AT_HWCAP) & HWCAP_SVE) != 0;
#endif
#endif
    default:
      return false;
  }
}

bool usable(CpuTarget target) {
  return processor_has(target) && (target == CpuTarget::portable || cpu::vector_run(target) != nullptr);
}

std::vector<std::string> usable_names() {
  std::vector<std::string> list;
  for (const CpuTarget target : cpu_targets()) list.emplace_back(name_of(target));
  return list;
}

// Refuses a target that is not usable here. `what` says where the target's name comes from.
[[noreturn]] void refuse(const std::string& what, std::string_view received, const std::string& hint = "") {
  throw InvalidArgument(what + " must be " + detail::list_of(usable_names()) + " on this machine. Received: \"" +
                        std::string(received) + "\"" + hint);
}

constexpr const char* variable = "The environment variable FANIN_CPU_TARGET";

// Returns the target that the environment names, or automatic.
CpuTarget from_environment() {
  const char* value = std::getenv("FANIN_CPU_TARGET");
  if (value == nullptr || *value == '\0') return CpuTarget::automatic;
  const auto* const name = std::find(names.begin(), names.end(), value);
  if (name == names.end()) refuse(variable, value, "." + detail::suggestion(value, usable_names()));
  return static_cast<CpuTarget>(name - names.begin());
}

}  // namespace

std::string_view name_of(CpuTarget target) {
  const auto i = static_cast<std::size_t>(target);
  if (i >= names.size()) throw InvalidArgument("CPU target number " + std::to_string(i) + " does not exist");
  return names[i];
}

std::vector<CpuTarget> cpu_targets() {
  std::vector<CpuTarget> targets;
  for (const CpuTarget target : best_first()) {
    if (usable(target)) targets.push_back(target);
  }
  return targets;
}

CpuTarget cpu_target(CpuTarget wanted) {
  const bool asked = wanted != CpuTarget::automatic;
  if (!asked) wanted = from_environment();
  if (wanted == CpuTarget::automatic) {
    const auto order = best_first();
    return *std::find_if(order.begin(), order.end(), usable);
  }
  const std::string_view name = name_of(wanted);
  if (!usable(wanted)) refuse(asked ? "The CPU target" : variable, name);
  return wanted;
}

int available_threads() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace fanin
