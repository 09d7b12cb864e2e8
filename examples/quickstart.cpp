// SPDX-License-Identifier: Apache-2.0
#include <fanin/fanin.hpp>

#include <algorithm>
#include <cstdio>
#include <vector>

int main() {
  // An initializer is a value; its tensor's scale follows from the shape. HeNormal: sqrt(2 / fan_in).
  const fanin::HeNormal init{42};
  const fanin::Tensor kernel = init({3, 3, 64, 128});

  // Into memory of your own, with the tensor's name, so that each parameter has draws of its own.
  std::vector<float> weights(512 * 2048);
  fanin::TensorOptions options;
  options.name = "h.0.mlp.c_fc.weight";
  init.fill(fanin::view(weights.data(), weights.size()), {512, 2048}, options);

  // Rows 128 to 255 of the same tensor, as another process would: the same bits, and the whole tensor's fan_in.
  std::vector<float> shard(128 * 2048);
  options.block = {{128, 0}, {128, 2048}};
  init.fill(fanin::view(shard.data(), shard.size()), {512, 2048}, options);

  const bool same = std::equal(shard.begin(), shard.end(), weights.begin() + 128 * 2048);
  std::printf("%zu elements; the shard is %s\n", kernel.size(), same ? "the slice" : "something else");
  return same ? 0 : 1;
}
