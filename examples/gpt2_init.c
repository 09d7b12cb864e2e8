/* SPDX-License-Identifier: Apache-2.0 */
/* Initialises GPT-2 124M with the bits of `fanin model examples/models/gpt2.json --seed 42`, and prints a checksum.
     gpt2_init [DEVICE [LAYERS CHANNELS VOCABULARY POSITIONS]]     DEVICE: 0 for the CUDA device, -1 for the host */
#include <fanin/fanin.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef WITH_CUDA
#include <cuda_runtime_api.h>
#endif
#define OK(call) ((call) == FANIN_OK ? (void)0 : exit((fprintf(stderr, "gpt2_init: %s\n", fanin_last_error()), 1)))

static fanin_initializer *ones, *zeros, *normal, *residual;
static fanin_plan* plan;
static fanin_fill_args args = FANIN_FILL_INIT; /* args.address is where the next parameter begins */

static void add(const fanin_initializer* init, const char* weight, const char* bias, int l, int64_t in, int64_t out) {
  const int64_t shape[2] = {in, out};
  char name[64];
  snprintf(name, sizeof name, weight, l);
  args.name = name;
  args.rank = in > 0 ? 2 : 1;
  args.shape = shape + 2 - args.rank;
  args.capacity = sizeof(float) * (size_t)(in > 0 ? in * out : out);
  OK(fanin_plan_add(plan, init, &args, NULL));
  args.address = (char*)args.address + args.capacity;
  if (bias != NULL) add(zeros, bias, NULL, l, 0, out);
}

int main(int argc, char** argv) {
  int64_t n[5] = {-1, 12, 768, 50257, 1024};
  for (int j = 1; j < argc && j <= 5; ++j) n[j - 1] = atoll(argv[j]);
  const int64_t c = n[2];
  uint64_t count = (uint64_t)((n[3] + n[4] + 2 + n[1] * (12 * c + 13)) * c), sum = 0;
  uint32_t* const host = args.address = malloc(count * sizeof(float));
  args.cuda_device = (int32_t)n[0];
#ifdef WITH_CUDA
  if (n[0] >= 0 && cudaMalloc(&args.address, count * sizeof(float)) != cudaSuccess) return 77; /* no device memory */
#endif
  OK(fanin_make("ones", 42, &ones));
  OK(fanin_make("zeros", 42, &zeros));
  OK(fanin_make_normal(0, 0.02, 42, &normal));
  OK(fanin_make_normal(0, 0.02 / sqrt(2.0 * n[1]), 42, &residual));
  OK(fanin_plan_create(&plan));
  add(normal, "wte.weight", NULL, 0, n[3], c);
  add(normal, "wpe.weight", NULL, 0, n[4], c);
  for (int l = 0; l < n[1]; ++l) {
    add(ones, "h.%d.ln_1.weight", "h.%d.ln_1.bias", l, 0, c);
    add(normal, "h.%d.attn.c_attn.weight", "h.%d.attn.c_attn.bias", l, c, 3 * c);
    add(residual, "h.%d.attn.c_proj.weight", "h.%d.attn.c_proj.bias", l, c, c);
    add(ones, "h.%d.ln_2.weight", "h.%d.ln_2.bias", l, 0, c);
    add(normal, "h.%d.mlp.c_fc.weight", "h.%d.mlp.c_fc.bias", l, c, 4 * c);
    add(residual, "h.%d.mlp.c_proj.weight", "h.%d.mlp.c_proj.bias", l, 4 * c, c);
  }
  add(ones, "ln_f.weight", "ln_f.bias", 0, 0, c);
  OK(fanin_plan_fill(plan, NULL));
  if (n[0] >= 0) OK(fanin_read(host, (char*)args.address - count * sizeof(float), count * sizeof(float), 0, NULL));
  for (uint64_t j = 0; j < count; ++j) sum += (2 * j + 1) * host[j];
  printf("%llu parameters, checksum %016llx\n", (unsigned long long)count, (unsigned long long)sum);
}
