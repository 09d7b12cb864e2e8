// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "fanin/export.h"

namespace fanin {

/// The instruction sets that fills of host memory have loops for. All write the same bits; they differ in speed.
enum class CpuTarget : std::uint8_t {
  automatic,    ///< what the environment variable FANIN_CPU_TARGET names, else the best that the processor has
  portable,     ///< one element at a time; any processor
  sse4,         ///< SSE4.2
  avx2,         ///< AVX2 and FMA
  avx512,       ///< AVX-512 F, VL, DQ, BW (Skylake-X on)
  avx512_vbmi,  ///< and VBMI, VBMI2, BITALG, VPOPCNTDQ (Ice Lake and Zen 4 on)
  neon,         ///< aarch64
  sve           ///< aarch64 with SVE of any vector length
};

/// "automatic", "avx2", ...: the names that FANIN_CPU_TARGET takes.
FANIN_API std::string_view name_of(CpuTarget target);

/// Those that this build and this processor have, best first; the last one is portable.
FANIN_API std::vector<CpuTarget> cpu_targets();

/// The one that a fill takes that asks for `wanted`. Throws InvalidArgument if this processor or this build does not
/// have it, and if FANIN_CPU_TARGET decides and names no target or such a one.
FANIN_API CpuTarget cpu_target(CpuTarget wanted = CpuTarget::automatic);

/// How many threads the process may run on: its processor affinity, where the system tells it.
FANIN_API int available_threads();

}  // namespace fanin
