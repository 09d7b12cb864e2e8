// SPDX-License-Identifier: Apache-2.0
#include <fanin/fanin.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// Every function returns a status. The message of a failure belongs to the thread that called.
static void check(fanin_status status) {
  if (status == FANIN_OK) return;
  fprintf(stderr, "fanin: %s\n", fanin_last_error());
  exit(1);
}

int main(void) {
  static float weight[64 * 128], bias[128];
  const int64_t weight_shape[2] = {64, 128}, bias_shape[1] = {128};

  fanin_initializer *he = NULL, *zeros = NULL;
  fanin_plan* plan = NULL;
  check(fanin_make("he_normal", 42, &he));
  check(fanin_make("zeros", 0, &zeros));
  check(fanin_plan_create(&plan));

  fanin_fill_args args = FANIN_FILL_INIT;  // a struct starts from its defaults: host memory, float32
  args.address = weight;
  args.capacity = sizeof weight;
  args.rank = 2;
  args.shape = weight_shape;
  args.name = "layer.0.weight";
  check(fanin_plan_add(plan, he, &args, NULL));

  args.address = bias;
  args.capacity = sizeof bias;
  args.rank = 1;
  args.shape = bias_shape;
  args.name = "layer.0.bias";
  check(fanin_plan_add(plan, zeros, &args, NULL));

  check(fanin_plan_fill(plan, NULL));
  printf("%.9g %.9g %.9g\n", weight[0], weight[1], bias[0]);

  fanin_plan_free(plan);
  fanin_free(zeros);
  fanin_free(he);
  return 0;
}
