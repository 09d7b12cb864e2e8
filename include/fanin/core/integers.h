// SPDX-License-Identifier: Apache-2.0
// The integers of the value contract. NVRTC, which compiles these headers too, has no standard library.
#pragma once

#if !defined(__CUDACC_RTC__)
#include <cstdint>
#endif

namespace fanin::core {

#if defined(__CUDACC_RTC__)
using int32_t = int;
using int64_t = long long;
using uint8_t = unsigned char;
using uint16_t = unsigned short;
using uint32_t = unsigned int;
using uint64_t = unsigned long long;
#else
using std::int32_t;
using std::int64_t;
using std::uint16_t;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;
#endif

}  // namespace fanin::core
