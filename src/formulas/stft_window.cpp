// SPDX-License-Identifier: Apache-2.0
#include "formulas/stft_window.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "base/text.h"
#include "fanin/error.h"
#include "formulas/expression.h"

namespace fanin::detail {

namespace {

// A window of `points` points: the value of point n, where m = points - 1 and t = 2 pi n / m. The formulas are those of
// scipy/signal/windows/_windows.py, with the parameters that names alone have there.
struct Window {
  std::string_view names;  // the first is SciPy's function
  std::string_view value;
};

constexpr std::array<Window, 17> windows{{
    {"barthann brthan bth", "0.62 - 0.48 * abs(n / m - 0.5) + 0.38 * cos(2 * pi * abs(n / m - 0.5))"},
    {"bartlett bart brt", "min(2 * n / m, 2 - 2 * n / m)"},
    {"blackman black blk", "0.42 - 0.5 * cos(t) + 0.08 * cos(2 * t)"},
    {"blackmanharris blackharr bkh", "0.35875 - 0.48829 * cos(t) + 0.14128 * cos(2 * t) - 0.01168 * cos(3 * t)"},
    {"bohman bman bmn",
     "if((n == 0) + (n == m), 0, (1 - abs(2 * n / m - 1)) * cos(pi * abs(2 * n / m - 1)) "
     "+ sin(pi * abs(2 * n / m - 1)) / pi)"},
    {"boxcar box ones rect rectangular", "1"},
    {"cosine halfcosine", "sin(pi / points * (n + 0.5))"},
    {"exponential poisson", "exp(-abs(n - m / 2))"},
    {"flattop flat flt",
     "0.21557895 - 0.41663158 * cos(t) + 0.277263158 * cos(2 * t) - 0.083578947 * cos(3 * t) + 0.006947368 * cos(4 * "
     "t)"},
    {"hamming hamm ham", "0.54 - 0.46 * cos(t)"},
    {"hann han", "0.5 - 0.5 * cos(t)"},
    {"lanczos sinc", "if(2 * n == m, 1, sin(pi * (2 * n / m - 1)) / (pi * (2 * n / m - 1)))"},
    {"nuttall nutl nut", "0.3635819 - 0.4891775 * cos(t) + 0.1365995 * cos(2 * t) - 0.0106411 * cos(3 * t)"},
    {"parzen parz par",
     "if(abs(n - m / 2) <= m / 4, 1 - 6 * (abs(n - m / 2) / (points / 2))^2 + 6 * (abs(n - m / 2) / (points / 2))^3, "
     "2 * (1 - abs(n - m / 2) / (points / 2))^3)"},
    // nbar = 4 and sll = 30 dB, normalized; the factors are SciPy's F_1 to F_3.
    {"taylor taylorwin",
     "(1 + 2 * (0.2926560110171551 * cos(2 * pi * (n - m / 2) / points) "
     "- 0.015783750641053145 * cos(4 * pi * (n - m / 2) / points) "
     "+ 0.0021810393128200383 * cos(6 * pi * (n - m / 2) / points))) "
     "/ (1 + 2 * (0.2926560110171551 - 0.015783750641053145 + 0.0021810393128200383))"},
    {"triang triangle tri",
     "if(m == 2 * floor(m / 2), 2 * min(n + 1, points - n) / (points + 1), (2 * min(n, m - n) + 1) / points)"},
    {"tukey tuk", "if(min(n, m - n) <= floor(0.25 * m), 0.5 * (1 + cos(pi * (4 * min(n, m - n) / m - 1))), 1)"},
}};

bool has_name(const Window& window, std::string_view name) {
  const std::string all = " " + std::string(window.names) + " ";
  return !name.empty() && all.find(" " + std::string(name) + " ") != std::string::npos;
}

const Window& window_named(std::string_view name) {
  const auto* const found =
      std::find_if(windows.begin(), windows.end(), [&](const Window& one) { return has_name(one, name); });
  if (found != windows.end()) return *found;
  std::vector<std::string> names;
  std::transform(windows.begin(), windows.end(), std::back_inserter(names),
                 [](const Window& one) { return std::string(one.names.substr(0, one.names.find(' '))); });
  throw InvalidArgument("There is no `window` \"" + std::string(name) + "\", only " + list_of(names) +
                        ", or give its values." + suggestion(name, names));
}

// A name as SciPy 1.16 takes it: "hann", or "hann_periodic" and "hann_symmetric", which do not ask for `periodic`.
struct NamedWindow {
  std::string_view name;
  std::optional<bool> periodic;
};

NamedWindow without_suffix(std::string_view name) {
  for (const auto& [suffix, periodic] : {std::pair<std::string_view, bool>{"_periodic", true}, {"_symmetric", false}}) {
    const std::size_t length = name.size() - std::min(name.size(), suffix.size());
    if (name.substr(length) == suffix) return {name.substr(0, length), periodic};
  }
  return {name, std::nullopt};
}

// Formulas have no abs(x): it is max(x, -x).
std::string without_abs(std::string text) {
  for (std::size_t at = text.find("abs("); at != std::string::npos; at = text.find("abs(", at)) {
    const std::size_t end = text.find(')', at);
    const std::string inner = text.substr(at + 4, end - at - 4);
    text.replace(at, end + 1 - at, "max(" + inner + ", -(" + inner + "))");
  }
  return text;
}

}  // namespace

void check_window(std::string_view name) { window_named(without_suffix(name).name); }

std::vector<double> window_values(std::string_view name, std::int64_t length, bool periodic) {
  const NamedWindow named = without_suffix(name);
  const Window& window = window_named(named.name);
  if (length == 1) return {1};
  constexpr std::int64_t most_points = 1 << 24;
  if (length > most_points) {
    throw InvalidArgument("A named window has at most " + std::to_string(most_points) +
                          " points. Received: " + std::to_string(length));
  }
  const double m = static_cast<double>(length) - (named.periodic.value_or(periodic) ? 0 : 1);
  const Expression turn("2 * pi * n / m", Functions::all);
  const Expression value(without_abs(std::string(window.value)), Functions::all);
  Scope scope;
  scope.set("m", m);
  scope.set("points", m + 1);
  std::vector<double> values;
  for (std::int64_t n = 0; n < length; ++n) {
    scope.set("n", static_cast<double>(n));
    scope.set("t", turn.value(scope));
    values.push_back(value.value(scope));
  }
  return values;
}

}  // namespace fanin::detail
