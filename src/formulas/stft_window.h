// SPDX-License-Identifier: Apache-2.0
// The windows of SciPy that have no parameters, by name.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace fanin::detail {

// Throws InvalidArgument, with the names that there are, for an unknown name.
void check_window(std::string_view name);

// The values of scipy.signal.get_window(name, length, fftbins=periodic), length >= 1, in binary64 with one rounding an
// operation and correctly rounded functions. Throws InvalidArgument for an unknown name, and in a build without MPFR
// for a window that needs a function.
std::vector<double> window_values(std::string_view name, std::int64_t length, bool periodic);

}  // namespace fanin::detail
