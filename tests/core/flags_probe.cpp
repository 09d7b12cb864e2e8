// SPDX-License-Identifier: Apache-2.0
// Plain arithmetic, compiled twice: with the determinism flags behind flags that ask for the opposite, and without
// them.
namespace FANIN_PROBE {

#include "core/flags_probe.h"

float product_and_sum(float a, float b, float c) { return a * b + c; }
float product(float a, float b) { return a * b; }
float there_and_back(float a, float b) { return (a + b) - b; }
float quotient(float a, float b) { return a / b; }
bool is_nan(float a) { return a != a; }

}  // namespace FANIN_PROBE
