// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "fanin/export.h"

namespace fanin {

/// Instruction sets for fills of host memory. All write the same bits and differ only in speed.
enum class CpuTarget : std::uint8_t {
  automatic,    ///< the one that FANIN_CPU_TARGET (environment) names, else the fastest usable one
  portable,     ///< one element at a time; any processor
  sse4,         ///< SSE4.2
  avx2,         ///< AVX2 and FMA
  avx512,       ///< AVX-512 F, VL, DQ, BW (since Skylake-X)
  avx512_vbmi,  ///< with VBMI, VBMI2, BITALG, VPOPCNTDQ too (since Ice Lake and Zen 4)
  neon,         ///< aarch64
  sve           ///< aarch64 with SVE of any vector length
};

/// The name that FANIN_CPU_TARGET takes: "automatic", "avx2", ... Throws InvalidArgument for a number outside the
/// enumeration.
FANIN_API std::string_view name_of(CpuTarget target);

/// The targets that this build and this processor support, fastest first; the last one is portable.
FANIN_API std::vector<CpuTarget> cpu_targets();

/// The target of a fill that asks for `wanted`. Throws InvalidArgument if this build or this processor does not support
/// it, or if `wanted` is automatic and FANIN_CPU_TARGET names no supported target.
FANIN_API CpuTarget cpu_target(CpuTarget wanted = CpuTarget::automatic);

/// The number of threads that the process may run on, at least 1: on Linux its processor affinity.
FANIN_API int available_threads();

}  // namespace fanin
