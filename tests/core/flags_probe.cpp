// SPDX-License-Identifier: Apache-2.0
// Plain arithmetic that is compiled twice with flags that ask for inexact arithmetic: once the determinism flags follow
// them, once not.
namespace FANIN_PROBE {

#include "core/flags_probe.h"

float product_and_sum(float a, float b, float c) { return a * b + c; }
float product(float a, float b) { return a * b; }
float there_and_back(float a, float b) { return (a + b) - b; }
float quotient(float a, float b) { return a / b; }
bool is_nan(float a) { return a != a; }

}  // namespace FANIN_PROBE
