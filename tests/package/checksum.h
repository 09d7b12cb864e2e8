/* SPDX-License-Identifier: Apache-2.0 */
/* Every consumer must compute this checksum: HeNormal, shape (512, 2048), float32, seed 42, subsequence 0. It comes
   from tests/data/contract/oracle.py: 64-bit FNV-1a over the bytes of fill() with kind truncated_normal, mean 0, stddev
   sqrt(2/512)/0.87962566103423978, lower -2, upper 2, start 0, count 512*2048. */
#ifndef FANIN_TESTS_PACKAGE_CHECKSUM_H
#define FANIN_TESTS_PACKAGE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define EXPECTED_CHECKSUM UINT64_C(0xfb5776f34055d9c6)

static uint64_t checksum(const void* data, size_t bytes) {
  const unsigned char* p = (const unsigned char*)data;
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  size_t j;
  for (j = 0; j < bytes; ++j) hash = (hash ^ p[j]) * UINT64_C(0x100000001b3);
  return hash;
}

#endif
