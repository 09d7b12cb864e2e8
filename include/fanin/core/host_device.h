// SPDX-License-Identifier: Apache-2.0
// Marks the value contract's functions for both compilers: a plain C++ compiler and nvcc.
#pragma once

#if defined(__CUDACC__)
#define FANIN_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define FANIN_HOST_DEVICE inline
#endif
