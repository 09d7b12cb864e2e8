// SPDX-License-Identifier: Apache-2.0
// There is no include guard, because this header is included once in each namespace.
float product_and_sum(float a, float b, float c);
float product(float a, float b);
float there_and_back(float a, float b);  // (a + b) - b
float quotient(float a, float b);
bool is_nan(float a);
