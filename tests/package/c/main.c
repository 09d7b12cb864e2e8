/* SPDX-License-Identifier: Apache-2.0 */
/* A C user of the library: everything that fanin/fanin.h promises. */
#define _POSIX_C_SOURCE 200112L

#include <fanin/fanin.h>

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../checksum.h"

#define CHECK(condition)                                                                                         \
  do {                                                                                                           \
    if (!(condition)) {                                                                                          \
      fprintf(stderr, "main.c:%d: not so: %s (last error: \"%s\")\n", __LINE__, #condition, fanin_last_error()); \
      exit(1);                                                                                                   \
    }                                                                                                            \
  } while (0)

/* The call fails with this status, and its message contains the text. */
#define CHECK_FAILS(call, status, text)                \
  do {                                                 \
    CHECK((call) == (status));                         \
    CHECK(strstr(fanin_last_error(), (text)) != NULL); \
  } while (0)

#define OK(call) CHECK((call) == FANIN_OK)

enum { ROWS = 512, COLUMNS = 2048, COUNT = ROWS * COLUMNS };

static const int64_t shape[2] = {ROWS, COLUMNS};

static fanin_initializer* made(const char* name, uint64_t seed) {
  fanin_initializer* initializer = NULL;
  OK(fanin_make(name, seed, &initializer));
  CHECK(initializer != NULL);
  return initializer;
}

static fanin_initializer* read(const char* json) {
  fanin_initializer* initializer = NULL;
  OK(fanin_deserialize(json, &initializer));
  CHECK(initializer != NULL);
  return initializer;
}

static fanin_fill_args args_for(void* address, size_t capacity) {
  fanin_fill_args args = FANIN_FILL_INIT;
  args.address = address;
  args.capacity = capacity;
  args.rank = 2;
  args.shape = shape;
  return args;
}

/* Checksum of the whole tensor of `shape` in float32. */
static uint64_t checksum_of(const fanin_initializer* initializer) {
  float* weights = malloc(COUNT * sizeof(float));
  fanin_fill_args args = args_for(weights, COUNT * sizeof(float));
  uint64_t sum;
  CHECK(weights != NULL);
  OK(fanin_fill(initializer, &args));
  sum = checksum(weights, COUNT * sizeof(float));
  free(weights);
  return sum;
}

static void test_make(void) {
  fanin_initializer* initializer = made("he_normal", 42);
  uint64_t seed = 0;
  CHECK(checksum_of(initializer) == EXPECTED_CHECKSUM);
  CHECK(checksum_of(initializer) == EXPECTED_CHECKSUM); /* a fixed seed: again the same */
  OK(fanin_seed(initializer, &seed));
  CHECK(seed == 42);
  fanin_free(initializer);

  initializer = made("HeNormal", UINT64_MAX);
  OK(fanin_seed(initializer, &seed));
  CHECK(seed == UINT64_MAX);
  CHECK(checksum_of(initializer) != EXPECTED_CHECKSUM);
  fanin_free(initializer);
  fanin_free(NULL);

  /* After a failure there is nothing to free. */
  initializer = (fanin_initializer*)&seed;
  CHECK_FAILS(fanin_make("he_norml", 1, &initializer), FANIN_INVALID_ARGUMENT, "Did you mean \"he_normal\"?");
  CHECK(initializer == NULL);
  CHECK_FAILS(fanin_make("", 1, &initializer), FANIN_INVALID_ARGUMENT, "Could not interpret");
  CHECK_FAILS(fanin_make(NULL, 1, &initializer), FANIN_INVALID_ARGUMENT, "`name`");
  CHECK_FAILS(fanin_make("he_normal", 1, NULL), FANIN_INVALID_ARGUMENT, "`initializer`");
}

static void test_json(void) {
  static const char tf2[] = "{\"class_name\": \"HeNormal\", \"config\": {\"seed\": 42}}";
  static const char* bad[] = {"",
                              "{",
                              "nonsense",
                              "3",
                              "null",
                              "[]",
                              "\"he_norml\"",
                              "{\"config\": {}}",
                              "{\"class_name\": 7}",
                              "{\"class_name\": \"HeNormal\", \"config\": {\"seed\": -1}}",
                              "{\"class_name\": \"HeNormal\", \"config\": {\"sed\": 1}}"};
  fanin_initializer* initializer = read(tf2);
  fanin_initializer* again;
  char text[512];
  size_t length = 0;
  size_t needed;
  size_t j;
  uint64_t seed = 0;
  CHECK(checksum_of(initializer) == EXPECTED_CHECKSUM);

  /* Ask for the length, then for the text; a byte too few writes nothing. */
  OK(fanin_serialize(initializer, FANIN_KERAS3, NULL, 0, &needed));
  CHECK(needed > 1 && needed <= sizeof text);
  memset(text, 'x', sizeof text);
  CHECK_FAILS(fanin_serialize(initializer, FANIN_KERAS3, text, needed - 1, &length), FANIN_INVALID_ARGUMENT,
              "capacity=");
  CHECK(length == needed && text[0] == 'x');
  OK(fanin_serialize(initializer, FANIN_KERAS3, text, needed, &length));
  CHECK(length == needed && strlen(text) == needed - 1 && text[needed] == 'x');
  CHECK(strstr(text, "\"module\":\"keras.initializers\"") != NULL && strstr(text, "\"HeNormal\"") != NULL);
  again = read(text);
  CHECK(checksum_of(again) == EXPECTED_CHECKSUM);
  fanin_free(again);
  OK(fanin_serialize(initializer, FANIN_TF2, text, sizeof text, &length));
  CHECK(strstr(text, "\"module\"") == NULL);
  again = read(text);
  CHECK(checksum_of(again) == EXPECTED_CHECKSUM);
  fanin_free(again);

  CHECK_FAILS(fanin_serialize(NULL, FANIN_KERAS3, text, sizeof text, &length), FANIN_INVALID_ARGUMENT, "`initializer`");
  CHECK_FAILS(fanin_serialize(initializer, FANIN_KERAS3, NULL, 99999, &length), FANIN_INVALID_ARGUMENT, "`buffer`");
  CHECK_FAILS(fanin_serialize(initializer, FANIN_KERAS3, text, sizeof text, NULL), FANIN_INVALID_ARGUMENT, "`length`");
  CHECK_FAILS(fanin_serialize(initializer, (fanin_config_form)2, text, sizeof text, &length), FANIN_INVALID_ARGUMENT,
              "FANIN_KERAS3");
  fanin_free(initializer);

  /* A name alone, and a seed that is drawn once and can be read and given again. */
  initializer = read("\"he_normal\"");
  OK(fanin_seed(initializer, &seed));
  CHECK(seed >> 63 == 0);
  again = made("he_normal", seed);
  CHECK(checksum_of(initializer) == checksum_of(again));
  fanin_free(again);
  fanin_free(initializer);

  for (j = 0; j < sizeof bad / sizeof bad[0]; ++j) {
    initializer = (fanin_initializer*)&seed;
    CHECK_FAILS(fanin_deserialize(bad[j], &initializer), FANIN_INVALID_ARGUMENT, "");
    CHECK(initializer == NULL && strlen(fanin_last_error()) > 10);
  }
  CHECK_FAILS(fanin_deserialize("{\n \"class_name\"", &initializer), FANIN_INVALID_ARGUMENT, "line 2");
  CHECK_FAILS(fanin_deserialize(NULL, &initializer), FANIN_INVALID_ARGUMENT, "`json`");
  CHECK_FAILS(fanin_deserialize(tf2, NULL), FANIN_INVALID_ARGUMENT, "`initializer`");
  CHECK_FAILS(fanin_seed(NULL, &seed), FANIN_INVALID_ARGUMENT, "`initializer`");
  initializer = made("zeros", 0);
  CHECK_FAILS(fanin_seed(initializer, NULL), FANIN_INVALID_ARGUMENT, "`seed`");
  fanin_free(initializer);
}

/* The number 1 in every dtype, with a guard behind it; random values in every dtype, with any number of threads. */
static void test_dtypes(void) {
  static const struct {
    fanin_dtype dtype;
    size_t size;
    uint64_t one;
  } rows[] = {{FANIN_FLOAT32, 4, 0x3f800000u}, {FANIN_FLOAT64, 8, UINT64_C(0x3ff0000000000000)},
              {FANIN_FLOAT16, 2, 0x3c00u},     {FANIN_BFLOAT16, 2, 0x3f80u},
              {FANIN_FLOAT8_E4M3FN, 1, 0x38u}, {FANIN_FLOAT8_E5M2, 1, 0x3cu}};
  fanin_initializer* ones = made("ones", 0);
  fanin_initializer* normal = made("he_normal", 42);
  unsigned char* one_thread = malloc(COUNT * 8);
  unsigned char* all_threads = malloc(COUNT * 8);
  size_t r;
  size_t j;
  CHECK(one_thread != NULL && all_threads != NULL);
  for (r = 0; r < sizeof rows / sizeof rows[0]; ++r) {
    const size_t bytes = COUNT * rows[r].size;
    const int64_t three = 3;
    uint64_t memory[4];
    const unsigned char* p = (const unsigned char*)memory;
    fanin_fill_args args = args_for(memory, 3 * rows[r].size);
    args.dtype = rows[r].dtype;
    args.rank = 1;
    args.shape = &three;
    memset(memory, 0xa5, sizeof memory);
    OK(fanin_fill(ones, &args));
    for (j = 0; j < 3; ++j) {
      uint64_t element = 0;
      size_t b;
      for (b = rows[r].size; b-- > 0;) element = element << 8 | p[j * rows[r].size + b]; /* little-endian machines */
      CHECK(element == rows[r].one);
    }
    for (j = 3 * rows[r].size; j < sizeof memory; ++j) CHECK(p[j] == 0xa5);

    args = args_for(one_thread, bytes);
    args.dtype = rows[r].dtype;
    args.threads = 1;
    OK(fanin_fill(normal, &args));
    args.address = all_threads;
    args.threads = 0;
    OK(fanin_fill(normal, &args));
    CHECK(memcmp(one_thread, all_threads, bytes) == 0);
    CHECK((checksum(one_thread, bytes) == EXPECTED_CHECKSUM) == (rows[r].dtype == FANIN_FLOAT32));
  }
  free(all_threads);
  free(one_thread);
  fanin_free(normal);
  fanin_free(ones);
}

/* Scalars, empty tensors, blocks, names, layouts. */
static void test_places(void) {
  static const int64_t offset[2] = {100, 7};
  static const int64_t extent[2] = {3, 5};
  static const int64_t empty[2] = {0, COLUMNS};
  static const int64_t turned[2] = {COLUMNS, ROWS};
  fanin_initializer* initializer = made("he_normal", 42);
  float* whole = malloc(COUNT * sizeof(float));
  float* other = malloc(COUNT * sizeof(float));
  float block[15];
  size_t j;
  fanin_fill_args args;
  CHECK(whole != NULL && other != NULL);
  args = args_for(whole, COUNT * sizeof(float));
  OK(fanin_fill(initializer, &args));

  args = args_for(block, sizeof block);
  args.block_offset = offset;
  args.block_extent = extent;
  OK(fanin_fill(initializer, &args));
  for (j = 0; j < 3; ++j) CHECK(memcmp(block + 5 * j, whole + (100 + j) * COLUMNS + 7, 5 * sizeof(float)) == 0);

  /* A name is the subsequence of its hash, and gives other draws than no name. */
  CHECK(fanin_subsequence("") == UINT64_C(0xcbf29ce484222325));
  CHECK(fanin_subsequence("a") == UINT64_C(0xaf63dc4c8601ec8c));
  args = args_for(other, COUNT * sizeof(float));
  args.name = "h.0.attn.c_attn.weight";
  OK(fanin_fill(initializer, &args));
  CHECK(memcmp(whole, other, COUNT * sizeof(float)) != 0);
  args.address = whole;
  args.subsequence = fanin_subsequence(args.name);
  args.name = NULL;
  OK(fanin_fill(initializer, &args));
  CHECK(memcmp(whole, other, COUNT * sizeof(float)) == 0);

  /* PyTorch's (out, in) has the fans of Keras's (in, out): the same stream at the same scale. */
  args = args_for(other, COUNT * sizeof(float));
  args.shape = turned;
  args.layout = FANIN_OIHW;
  OK(fanin_fill(initializer, &args));
  CHECK(checksum(other, COUNT * sizeof(float)) == EXPECTED_CHECKSUM);

  args = args_for(block, sizeof(float));
  args.rank = 0;
  args.shape = NULL;
  block[0] = block[1] = 7;
  OK(fanin_fill(initializer, &args));
  CHECK(block[0] != 7 && block[1] == 7);

  args = args_for(NULL, 0);
  args.shape = empty;
  OK(fanin_fill(initializer, &args));

  free(other);
  free(whole);
  fanin_free(initializer);
}

static void test_bad_fills(void) {
  static const int64_t zero[2] = {0, 0};
  static const int64_t outside[2] = {2, 3};
  static const int64_t negative[2] = {0, -4};
  static const int64_t small[2] = {4, 4};
  fanin_initializer* initializer = made("he_normal", 42);
  double memory[16];
  const unsigned char* p = (const unsigned char*)memory;
  const uint64_t seed = 7;
  fanin_fill_args good = args_for(memory, 64);
  fanin_fill_args args;
  size_t j;
  good.shape = small;
  memset(memory, 0xa5, sizeof memory);

#define CHECK_REFUSED(change, text)                                                    \
  do {                                                                                 \
    args = good;                                                                       \
    change;                                                                            \
    CHECK_FAILS(fanin_fill(initializer, &args), FANIN_INVALID_ARGUMENT, text);         \
    for (j = 0; j < sizeof memory; ++j) CHECK(p[j] == 0xa5); /* nothing was written */ \
  } while (0)
  CHECK_REFUSED(args.struct_size = 0, "FANIN_FILL_INIT");
  CHECK_REFUSED(args.struct_size += 8, "FANIN_FILL_INIT");
  CHECK_REFUSED(args.address = NULL, "address is null");
  CHECK_REFUSED(args.address = (char*)memory + 1, "multiple of the element's size");
  CHECK_REFUSED(args.capacity = 63, "capacity=63");
  CHECK_REFUSED(args.dtype = FANIN_FLOAT64, "128 bytes");
  CHECK_REFUSED(args.dtype = 12, "dtype");
  CHECK_REFUSED(args.dtype = 256, "dtype"); /* not cut to a byte */
  CHECK_REFUSED(args.rank = SIZE_MAX, "255");
  CHECK_REFUSED(args.dtype = -1, "dtype");
  CHECK_REFUSED(args.layout = 3, "FANIN_OIHW");
  CHECK_REFUSED(args.layout = -1, "FANIN_OIHW");
  CHECK_REFUSED(args.cuda_device = -2, "-2");
  CHECK_REFUSED(args.threads = -1, "threads=-1");
  CHECK_REFUSED(args.device_seed = &seed, "seed in device memory");
  CHECK_REFUSED(args.device_call = &seed, "device memory");
  CHECK_REFUSED(args.cpu_target = 8, "CPU target number 8");
  CHECK_REFUSED(args.cpu_target = -1, "CPU target number -1");
  CHECK_REFUSED(args.shape = NULL, "`shape`");
  CHECK_REFUSED(args.shape = negative, "[0, -4]");
  CHECK_REFUSED((args.name = "weight", args.subsequence = 1), "not both");
  CHECK_REFUSED(args.block_offset = zero, "`block_extent`");
  CHECK_REFUSED(args.block_extent = small, "`block_offset`");
  CHECK_REFUSED((args.block_offset = outside, args.block_extent = small), "outside the tensor");
  CHECK_REFUSED((args.block_offset = negative, args.block_extent = small), "must not be negative");
#undef CHECK_REFUSED

  CHECK_FAILS(fanin_fill(NULL, &good), FANIN_INVALID_ARGUMENT, "`initializer`");
  CHECK_FAILS(fanin_fill(initializer, NULL), FANIN_INVALID_ARGUMENT, "`args`");
  args = good;
  args.cuda_device = 1000;
  CHECK_FAILS(fanin_fill(initializer, &args), FANIN_DEVICE_ERROR, "cuda:1000");
  CHECK(fanin_cuda_devices() >= 0 && fanin_cuda_devices() <= 1000);

  CHECK_FAILS(fanin_preload(999), FANIN_DEVICE_ERROR, "cuda:999");
  OK(fanin_read(memory, &seed, sizeof seed, -1, NULL));
  CHECK(memcmp(memory, &seed, sizeof seed) == 0);
  CHECK_FAILS(fanin_read(NULL, &seed, 8, -1, NULL), FANIN_INVALID_ARGUMENT, "null");
  CHECK_FAILS(fanin_read(memory, NULL, 8, -1, NULL), FANIN_INVALID_ARGUMENT, "null");
  CHECK_FAILS(fanin_read(memory, &seed, 8, 999, NULL), FANIN_DEVICE_ERROR, "cuda:999");
  fanin_free(initializer);
  initializer = made("identity", 0);
  args = good;
  args.rank = 1;
  CHECK_FAILS(fanin_fill(initializer, &args), FANIN_INVALID_ARGUMENT, "2D");
  fanin_free(initializer);
}

/* Begins with no message, fails on its own, and leaves the other thread's message alone. */
static void* fail_here(void* initializer) {
  fanin_fill_args args = FANIN_FILL_INIT;
  if (strcmp(fanin_last_error(), "") != 0) return "a new thread begins with the message of another";
  if (fanin_fill(initializer, &args) != FANIN_INVALID_ARGUMENT) return "a fill of nothing did not fail";
  if (strstr(fanin_last_error(), "too small") == NULL) return "the message is not that of this thread's failure";
  return NULL;
}

static void test_messages(void) {
  fanin_initializer* initializer = made("he_normal", 42);
  fanin_initializer* none = NULL;
  pthread_t thread;
  void* complaint = NULL;
  char long_name[5000];
  CHECK_FAILS(fanin_make("he_norml", 1, &none), FANIN_INVALID_ARGUMENT, "he_norml");
  CHECK(pthread_create(&thread, NULL, fail_here, initializer) == 0);
  CHECK(pthread_join(thread, &complaint) == 0);
  if (complaint != NULL) {
    fprintf(stderr, "main.c: %s\n", (const char*)complaint);
    exit(1);
  }
  CHECK(strstr(fanin_last_error(), "he_norml") != NULL);
  CHECK(checksum_of(initializer) == EXPECTED_CHECKSUM);
  CHECK(strstr(fanin_last_error(), "he_norml") != NULL); /* a success does not clear it */

  memset(long_name, 'n', sizeof long_name - 1);
  long_name[sizeof long_name - 1] = 0;
  CHECK_FAILS(fanin_make(long_name, 1, &none), FANIN_INVALID_ARGUMENT, "nnn"); /* longer than a message can be */
  fanin_free(initializer);
}

/* Fills the tensor of `shape` from the initializer and frees it. */
static uint64_t checksum_and_free(fanin_initializer* initializer) {
  const uint64_t sum = checksum_of(initializer);
  fanin_free(initializer);
  return sum;
}

/* Makers and JSON give the same initializers. */
static void test_makers(void) {
  static const char* bad[] = {"", "fan", "FAN_IN"};
  static const char* const names[] = {"a", "b"};
  static const double numbers[] = {0.5, 2};
  fanin_initializer* initializer = NULL;
  size_t j;
  OK(fanin_make_normal(0.5, 0.02, 42, &initializer));
  CHECK(checksum_and_free(initializer) ==
        checksum_and_free(read("{\"class_name\": \"RandomNormal\", \"config\": {\"mean\": 0.5, \"stddev\": 0.02, "
                               "\"seed\": 42}}")));
  OK(fanin_make_truncated_normal(0, 0.25, -2, 2, 42, &initializer));
  CHECK(checksum_and_free(initializer) ==
        checksum_and_free(read("{\"class_name\": \"TruncatedNormal\", \"config\": {\"mean\": 0.0, \"stddev\": 0.25, "
                               "\"seed\": 42}}")));
  OK(fanin_make_truncated_normal(0, 0.25, 1, HUGE_VAL, 42, &initializer));
  CHECK(checksum_and_free(initializer) ==
        checksum_and_free(read("{\"class_name\": \"TruncatedNormal\", \"config\": {\"mean\": 0.0, \"stddev\": 0.25, "
                               "\"seed\": 42, \"lower\": 1.0, \"upper\": null}}")));
  OK(fanin_make_uniform(-0.5, 2, 42, &initializer));
  CHECK(checksum_and_free(initializer) ==
        checksum_and_free(read("{\"class_name\": \"RandomUniform\", \"config\": {\"minval\": -0.5, \"maxval\": 2.0, "
                               "\"seed\": 42}}")));
  OK(fanin_make_constant(1, &initializer));
  CHECK(checksum_and_free(initializer) == checksum_and_free(made("ones", 0)));
  OK(fanin_make_identity(1, &initializer));
  CHECK(checksum_and_free(initializer) == checksum_and_free(made("identity", 0)));
  OK(fanin_make_orthogonal(1, 42, &initializer));
  CHECK(checksum_and_free(initializer) == checksum_and_free(made("orthogonal", 42)));
  OK(fanin_make_formula("a * z + b", 2, names, numbers, 42, &initializer));
  CHECK(checksum_and_free(initializer) ==
        checksum_and_free(read("{\"class_name\": \"Formula\", \"config\": {\"value\": \"a * z + b\", \"constants\": "
                               "{\"a\": 0.5, \"b\": 2}, \"seed\": 42}}")));
  OK(fanin_make_variance_scaling(2, "fan_in", "truncated_normal", 42, &initializer));
  CHECK(checksum_and_free(initializer) == EXPECTED_CHECKSUM); /* HeNormal */

#define CHECK_NOT_MADE(call, text)                     \
  do {                                                 \
    initializer = (fanin_initializer*)&j;              \
    CHECK_FAILS((call), FANIN_INVALID_ARGUMENT, text); \
    CHECK(initializer == NULL);                        \
  } while (0)
  CHECK_NOT_MADE(fanin_make_normal(0, -1, 1, &initializer), "stddev=-1");
  CHECK_NOT_MADE(fanin_make_normal(HUGE_VAL, 1, 1, &initializer), "mean");
  CHECK_NOT_MADE(fanin_make_truncated_normal(0, 1, 2, 2, 1, &initializer), "lower");
  CHECK_NOT_MADE(fanin_make_uniform(2, 1, 1, &initializer), "minval=2");
  CHECK_NOT_MADE(fanin_make_identity(HUGE_VAL, &initializer), "gain");
  CHECK_NOT_MADE(fanin_make_orthogonal(HUGE_VAL, 1, &initializer), "gain");
  CHECK_NOT_MADE(fanin_make_formula("i[0] * n", 0, NULL, NULL, 1, &initializer), "n is not known here");
  CHECK_NOT_MADE(fanin_make_formula(NULL, 0, NULL, NULL, 1, &initializer), "`value`");
  CHECK_NOT_MADE(fanin_make_formula("n", 1, NULL, NULL, 1, &initializer), "`names`");
  CHECK_NOT_MADE(fanin_make_variance_scaling(0, "fan_in", "uniform", 1, &initializer), "scale=0");
  CHECK_NOT_MADE(fanin_make_variance_scaling(1, NULL, "uniform", 1, &initializer), "`mode`");
  CHECK_NOT_MADE(fanin_make_variance_scaling(1, "fan_in", NULL, 1, &initializer), "`distribution`");
  CHECK_NOT_MADE(fanin_make_variance_scaling(1, "fan_in", "gaussian", 1, &initializer), "gaussian");
  for (j = 0; j < sizeof bad / sizeof bad[0]; ++j) {
    CHECK_FAILS(fanin_make_variance_scaling(1, bad[j], "uniform", 1, &initializer), FANIN_INVALID_ARGUMENT, "mode");
  }
#undef CHECK_NOT_MADE
  CHECK_FAILS(fanin_make_normal(0, 1, 1, NULL), FANIN_INVALID_ARGUMENT, "`initializer`");
  CHECK_FAILS(fanin_make_truncated_normal(0, 1, -2, 2, 1, NULL), FANIN_INVALID_ARGUMENT, "`initializer`");
  CHECK_FAILS(fanin_make_uniform(0, 1, 1, NULL), FANIN_INVALID_ARGUMENT, "`initializer`");
  CHECK_FAILS(fanin_make_constant(0, NULL), FANIN_INVALID_ARGUMENT, "`initializer`");
  CHECK_FAILS(fanin_make_identity(1, NULL), FANIN_INVALID_ARGUMENT, "`initializer`");
  CHECK_FAILS(fanin_make_variance_scaling(1, "fan_in", "uniform", 1, NULL), FANIN_INVALID_ARGUMENT, "`initializer`");
}

static void test_describe(void) {
  fanin_initializer* initializer = made("he_normal", 42);
  fanin_initializer* longest = NULL;
  fanin_description before;
  fanin_description description = FANIN_DESCRIPTION_INIT;
  static const int64_t large[2] = {INT64_C(72057594037927935), 1};
  static const int64_t negative[2] = {3, -1};
  OK(fanin_describe(initializer, 2, shape, FANIN_HWIO, &description));
  CHECK(description.size == COUNT && description.fan_in == ROWS && description.fan_out == COLUMNS);
  CHECK(description.seed == 42 && description.seed_kind == FANIN_SEED_FIXED);
  CHECK(description.distribution == FANIN_TRUNCATED_NORMAL && description.mean == 0);
  CHECK(description.stddev == sqrt(2.0 / ROWS) / 0.87962566103423978);
  CHECK(description.lower == -2 && description.upper == 2);
  CHECK(strcmp(description.initializer, "HeNormal") == 0);
  CHECK(strstr(description.derivation, "sqrt(2 / 512) / 0.87962566103423978 = 0.07") != NULL);
  OK(fanin_describe(initializer, 2, shape, FANIN_OIHW, &description));
  CHECK(description.fan_in == COLUMNS && description.fan_out == ROWS);
  OK(fanin_describe(initializer, 0, NULL, FANIN_HWIO, &description));
  CHECK(description.size == 1 && description.fan_in == 1);

  /* The longest derivation fits. */
  OK(fanin_make_variance_scaling(1.2345678901234567e-300, "fan_out", "truncated_normal", 1, &longest));
  OK(fanin_describe(longest, 2, large, FANIN_OIHW, &description));
  CHECK(strstr(description.derivation, "cut at 2 stddev") != NULL);
  fanin_free(longest);

  before = description;
  CHECK_FAILS(fanin_describe(NULL, 2, shape, FANIN_HWIO, &description), FANIN_INVALID_ARGUMENT, "`initializer`");
  CHECK_FAILS(fanin_describe(initializer, 2, NULL, FANIN_HWIO, &description), FANIN_INVALID_ARGUMENT, "`shape`");
  CHECK_FAILS(fanin_describe(initializer, 2, shape, FANIN_HWIO, NULL), FANIN_INVALID_ARGUMENT, "`description`");
  CHECK_FAILS(fanin_describe(initializer, 256, shape, FANIN_HWIO, &description), FANIN_INVALID_ARGUMENT, "255");
  CHECK_FAILS(fanin_describe(initializer, 2, shape, 3, &description), FANIN_INVALID_ARGUMENT, "FANIN_OIHW");
  CHECK_FAILS(fanin_describe(initializer, 2, negative, FANIN_HWIO, &description), FANIN_INVALID_ARGUMENT, "[3, -1]");
  CHECK(memcmp(&before, &description, sizeof before) == 0);
  description.struct_size = 0;
  CHECK_FAILS(fanin_describe(initializer, 2, shape, FANIN_HWIO, &description), FANIN_INVALID_ARGUMENT, "struct_size=0");
  fanin_free(initializer);
}

/* A small model: a master, its bfloat16 copy, a bias, and parts of another tensor. */
enum { PARAMETERS = 5 };
typedef struct model {
  float master[12][8];
  uint16_t copy[12][8];
  float bias[8];
  float rows[2][8];
  float range[21];
} model;

static const int64_t matrix[2] = {12, 8};
static const int64_t vector_of_8[1] = {8};

/* Adds the model's parameters to the plan; the initializers end before the plan is filled. */
static void add_model(fanin_plan* plan, model* m) {
  static const int64_t offset[2] = {3, 0};
  static const int64_t extent[2] = {2, 8};
  const fanin_element_range range = {43, 21};
  fanin_fill_args args = FANIN_FILL_INIT;
  fanin_initializer* normal = made("he_normal", 42);
  fanin_initializer* zeros = made("zeros", 0);
  char name[] = "first";
  size_t entry = 99;
  args.address = m->master;
  args.capacity = sizeof m->master;
  args.rank = 2;
  args.shape = matrix;
  args.name = name;
  OK(fanin_plan_add(plan, normal, &args, &entry));
  CHECK(entry == 0);
  name[0] = 'x'; /* the plan does not keep it */
  args.address = m->copy;
  args.capacity = sizeof m->copy;
  args.dtype = FANIN_BFLOAT16;
  OK(fanin_plan_add_copy(plan, entry, &args, &entry));
  CHECK(entry == 1);

  args = (fanin_fill_args)FANIN_FILL_INIT;
  args.address = m->bias;
  args.capacity = sizeof m->bias;
  args.rank = 1;
  args.shape = vector_of_8;
  OK(fanin_plan_add(plan, zeros, &args, NULL));

  args.address = m->rows;
  args.capacity = sizeof m->rows;
  args.rank = 2;
  args.shape = matrix;
  args.name = "second";
  args.block_offset = offset;
  args.block_extent = extent;
  OK(fanin_plan_add(plan, normal, &args, NULL));
  args.address = m->range;
  args.capacity = sizeof m->range;
  args.block_offset = args.block_extent = NULL;
  args.elements = &range;
  OK(fanin_plan_add(plan, normal, &args, &entry));
  CHECK(entry == 4 && fanin_plan_size(plan) == PARAMETERS);
  fanin_free(normal);
  fanin_free(zeros);
}

static void check_model(const model* m) {
  model wanted;
  float second[12][8];
  fanin_initializer* normal = made("he_normal", 42);
  fanin_fill_args args = FANIN_FILL_INIT;
  memset(&wanted, 0, sizeof wanted);
  args.address = wanted.master;
  args.capacity = sizeof wanted.master;
  args.rank = 2;
  args.shape = matrix;
  args.name = "first";
  OK(fanin_fill(normal, &args));
  args.address = wanted.copy;
  args.dtype = FANIN_BFLOAT16;
  OK(fanin_fill(normal, &args));
  args.address = second;
  args.dtype = FANIN_FLOAT32;
  args.name = "second";
  OK(fanin_fill(normal, &args));
  memcpy(wanted.rows, second[3], sizeof wanted.rows);
  memcpy(wanted.range, second[0] + 43, sizeof wanted.range);
  CHECK(memcmp(m, &wanted, sizeof wanted) == 0);
  fanin_free(normal);
}

static void test_plans(void) {
  fanin_plan* plan = NULL;
  fanin_run_args run = FANIN_RUN_INIT;
  model m;
  OK(fanin_plan_create(&plan));
  OK(fanin_plan_fill(plan, NULL)); /* nothing to do */
  add_model(plan, &m);
  memset(&m, 0xa5, sizeof m);
  OK(fanin_plan_fill(plan, NULL));
  check_model(&m);
  memset(&m, 0xa5, sizeof m);
  run.threads = 2;
  run.cpu_target = FANIN_CPU_PORTABLE;
  OK(fanin_plan_fill(plan, &run));
  check_model(&m);
  fanin_plan_free(plan);
  fanin_plan_free(NULL);
}

static void test_bad_plans(void) {
  static const fanin_device_stream streams[1] = {{0, NULL}};
  fanin_plan* plan = NULL;
  fanin_initializer* normal = made("he_normal", 42);
  model m;
  model before;
  float memory[96];
  const uint64_t number = 7;
  size_t bytes = 5;
  size_t entry = 99;
  fanin_fill_args good = FANIN_FILL_INIT;
  fanin_fill_args args;
  fanin_run_args run = FANIN_RUN_INIT;
  OK(fanin_plan_create(&plan));
  add_model(plan, &m);
  memset(&m, 0xa5, sizeof m);
  before = m;
  good.address = memory;
  good.capacity = sizeof memory;
  good.rank = 2;
  good.shape = matrix;
  good.name = "third";

#define CHECK_REFUSED(change, text)                                                         \
  do {                                                                                      \
    args = good;                                                                            \
    change;                                                                                 \
    CHECK_FAILS(fanin_plan_add(plan, normal, &args, &entry), FANIN_INVALID_ARGUMENT, text); \
    CHECK(entry == 99 && fanin_plan_size(plan) == PARAMETERS); /* the plan is as it was */  \
  } while (0)
  CHECK_REFUSED(args.struct_size = 0, "FANIN_FILL_INIT");
  CHECK_REFUSED(args.stream = &m, "fanin_plan_fill");
  CHECK_REFUSED(args.threads = 1, "fanin_plan_fill");
  CHECK_REFUSED(args.device_seed = &number, "fanin_plan_fill");
  CHECK_REFUSED(args.device_call = &number, "fanin_plan_fill");
  CHECK_REFUSED(args.cpu_target = FANIN_CPU_PORTABLE, "fanin_plan_fill");
  CHECK_REFUSED(args.address = m.bias, "overlaps that of entry");
  CHECK_REFUSED(args.name = "first", "same draws as entry 0");
  CHECK_REFUSED(args.name = "second", "same draws as entry 3");
  CHECK_REFUSED(args.capacity = 383, "capacity=383");
  CHECK_REFUSED(args.shape = NULL, "`shape`");
  CHECK_REFUSED(args.dtype = 99, "dtype");
  CHECK_REFUSED(args.layout = 5, "FANIN_OIHW");
  CHECK_REFUSED(args.subsequence = 1, "not both");
#undef CHECK_REFUSED
  CHECK_FAILS(fanin_plan_add(NULL, normal, &good, NULL), FANIN_INVALID_ARGUMENT, "`plan`");
  CHECK_FAILS(fanin_plan_add(plan, NULL, &good, NULL), FANIN_INVALID_ARGUMENT, "`initializer`");
  CHECK_FAILS(fanin_plan_add(plan, normal, NULL, NULL), FANIN_INVALID_ARGUMENT, "`args`");
  CHECK_FAILS(fanin_plan_add_copy(NULL, 0, &good, NULL), FANIN_INVALID_ARGUMENT, "`plan`");
  CHECK_FAILS(fanin_plan_add_copy(plan, 0, NULL, NULL), FANIN_INVALID_ARGUMENT, "`args`");
  CHECK_FAILS(fanin_plan_add_copy(plan, PARAMETERS, &good, NULL), FANIN_INVALID_ARGUMENT, "There is no entry 5");
  CHECK_FAILS(fanin_plan_add_copy(plan, SIZE_MAX, &good, NULL), FANIN_INVALID_ARGUMENT, "There is no entry");
  args = good;
  args.threads = 1;
  CHECK_FAILS(fanin_plan_add_copy(plan, 0, &args, NULL), FANIN_INVALID_ARGUMENT, "fanin_plan_fill");
  args = good;
  args.cuda_device = 1000;
  CHECK_FAILS(fanin_plan_add(plan, normal, &args, NULL), FANIN_DEVICE_ERROR, "cuda:1000");
  CHECK(fanin_plan_size(plan) == PARAMETERS && fanin_plan_size(NULL) == 0);

#define CHECK_REFUSED(change, text)                                         \
  do {                                                                      \
    run = (fanin_run_args)FANIN_RUN_INIT;                                   \
    change;                                                                 \
    CHECK_FAILS(fanin_plan_fill(plan, &run), FANIN_INVALID_ARGUMENT, text); \
    CHECK(memcmp(&m, &before, sizeof m) == 0); /* nothing was written */    \
  } while (0)
  CHECK_REFUSED(run.struct_size = 0, "fanin_run_args");
  CHECK_REFUSED(run.struct_size += 8, "fanin_run_args");
  CHECK_REFUSED(run.threads = -1, "threads=-1");
  CHECK_REFUSED(run.cpu_target = 8, "CPU target number 8");
  CHECK_REFUSED(run.cpu_target = -1, "CPU target number -1");
  CHECK_REFUSED(run.device_seed = &number, "seed in device memory");
  CHECK_REFUSED(run.device_call = &number, "device memory");
  CHECK_REFUSED(run.stream_count = 1, "`streams`");
  CHECK_REFUSED((run.streams = streams, run.stream_count = 1, run.stream = &m), "both");
#undef CHECK_REFUSED
  CHECK_FAILS(fanin_plan_fill(NULL, NULL), FANIN_INVALID_ARGUMENT, "`plan`");
  CHECK_FAILS(fanin_plan_create(NULL), FANIN_INVALID_ARGUMENT, "`plan`");
  CHECK_FAILS(fanin_plan_workspace_size(plan, 1000, &bytes), FANIN_DEVICE_ERROR, "cuda:1000");
  CHECK_FAILS(fanin_plan_workspace_size(NULL, 0, &bytes), FANIN_INVALID_ARGUMENT, "`plan`");
  CHECK_FAILS(fanin_plan_workspace_size(plan, 0, NULL), FANIN_INVALID_ARGUMENT, "`bytes`");
  OK(fanin_plan_launches(plan, 1000, &bytes)); /* there are no entries */
  CHECK(bytes == 0);
  bytes = 5;
  CHECK_FAILS(fanin_plan_launches(NULL, 0, &bytes), FANIN_INVALID_ARGUMENT, "`plan`");
  CHECK_FAILS(fanin_plan_launches(plan, 0, NULL), FANIN_INVALID_ARGUMENT, "`launches`");
  CHECK_FAILS(fanin_plan_upload(NULL, 0, memory, sizeof memory, NULL), FANIN_INVALID_ARGUMENT, "`plan`");
  CHECK_FAILS(fanin_plan_upload(plan, -1, memory, sizeof memory, NULL), FANIN_INVALID_ARGUMENT, "on the host");
  CHECK_FAILS(fanin_plan_upload(plan, 1000, memory, sizeof memory, NULL), FANIN_DEVICE_ERROR, "cuda:1000");
  CHECK_FAILS(fanin_plan_prepare(NULL, 0, NULL), FANIN_INVALID_ARGUMENT, "`plan`");
  CHECK_FAILS(fanin_plan_prepare(plan, 1000, NULL), FANIN_DEVICE_ERROR, "cuda:1000");
  CHECK(bytes == 5);

  OK(fanin_plan_fill(plan, NULL)); /* the refusals left the plan as it was */
  check_model(&m);
  fanin_plan_free(plan);
  fanin_free(normal);
}

/* Rows that are farther apart than they are long, and one range of elements. */
static void test_places_in_memory(void) {
  fanin_initializer* initializer = made("he_normal", 42);
  const fanin_element_range range = {37, 30};
  const fanin_element_range outside = {67, 30};
  float whole[12][8];
  float wide[12][11];
  float part[30];
  size_t j;
  size_t k;
  fanin_fill_args args = FANIN_FILL_INIT;
  args.address = whole;
  args.capacity = sizeof whole;
  args.rank = 2;
  args.shape = matrix;
  OK(fanin_fill(initializer, &args));
  for (j = 0; j < 12; ++j) {
    for (k = 0; k < 11; ++k) wide[j][k] = 7;
  }
  args.address = wide;
  args.capacity = sizeof wide - 3 * sizeof(float);
  args.leading_dimension = 11;
  OK(fanin_fill(initializer, &args));
  for (j = 0; j < 12; ++j) {
    CHECK(memcmp(wide[j], whole[j], sizeof whole[j]) == 0);
    for (k = 8; k < 11; ++k) CHECK(wide[j][k] == 7);
  }
  args.capacity -= 1;
  CHECK_FAILS(fanin_fill(initializer, &args), FANIN_INVALID_ARGUMENT, "capacity=");
  args.capacity += 1;
  args.leading_dimension = 7;
  CHECK_FAILS(fanin_fill(initializer, &args), FANIN_INVALID_ARGUMENT, "eading");

  args.leading_dimension = 0;
  args.address = part;
  args.capacity = sizeof part;
  args.elements = &range;
  OK(fanin_fill(initializer, &args));
  CHECK(memcmp(part, whole[0] + 37, sizeof part) == 0);
  args.elements = &outside;
  CHECK_FAILS(fanin_fill(initializer, &args), FANIN_INVALID_ARGUMENT, "");
  args.elements = &range;
  args.block_offset = args.block_extent = matrix;
  CHECK_FAILS(fanin_fill(initializer, &args), FANIN_INVALID_ARGUMENT, "");
  fanin_free(initializer);
}

/* Numbers are written and read the same in every locale. Without one whose decimal point is a comma there is nothing to
   see. */
static void test_locale(void) {
  static const char* const locales[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8", "fr_FR.utf8", "fr_FR"};
  fanin_initializer* initializer = NULL;
  fanin_description description = FANIN_DESCRIPTION_INIT;
  char text[512];
  size_t length;
  size_t j;
  for (j = 0; j < sizeof locales / sizeof locales[0] && setlocale(LC_ALL, locales[j]) == NULL; ++j) {
  }
  printf("the decimal point is %s\n", localeconv()->decimal_point);
  OK(fanin_make_variance_scaling(0.5, "fan_in", "untruncated_normal", 42, &initializer));
  OK(fanin_serialize(initializer, FANIN_KERAS3, text, sizeof text, &length));
  CHECK(strstr(text, "\"scale\":0.5") != NULL);
  CHECK(checksum_and_free(read(text)) == checksum_of(initializer));
  OK(fanin_describe(initializer, 2, shape, FANIN_HWIO, &description));
  CHECK(description.stddev == 0.03125);
  CHECK(strcmp(description.derivation, "stddev = sqrt(scale / fan_in) = sqrt(0.5 / 512) = 0.03125") == 0);
  fanin_free(initializer);
  CHECK_FAILS(fanin_make_normal(0, -1.5, 1, &initializer), FANIN_INVALID_ARGUMENT, "stddev=-1.5");
  setlocale(LC_ALL, "C");
}

/* Makes, describes and fills plans of its own, and fills with a shared initializer. */
static void* work(void* shared) {
  int round;
  for (round = 0; round < 20; ++round) {
    fanin_plan* plan = NULL;
    model m;
    fanin_description description = FANIN_DESCRIPTION_INIT;
    memset(&m, 0xa5, sizeof m);
    OK(fanin_plan_create(&plan));
    add_model(plan, &m);
    CHECK_FAILS(fanin_plan_add_copy(plan, PARAMETERS + (size_t)round, NULL, NULL), FANIN_INVALID_ARGUMENT, "`args`");
    OK(fanin_plan_fill(plan, NULL));
    fanin_plan_free(plan);
    check_model(&m);
    OK(fanin_describe(shared, 2, matrix, FANIN_HWIO, &description));
    CHECK(description.fan_in == 12);
  }
  return NULL;
}

static void test_threads(void) {
  enum { THREADS = 8 };
  pthread_t threads[THREADS];
  fanin_initializer* shared = made("he_normal", 42);
  size_t j;
  for (j = 0; j < THREADS; ++j) CHECK(pthread_create(&threads[j], NULL, work, shared) == 0);
  for (j = 0; j < THREADS; ++j) CHECK(pthread_join(threads[j], NULL) == 0);
  fanin_free(shared);
}

int main(void) {
  CHECK(strcmp(fanin_last_error(), "") == 0);
  CHECK(strcmp(fanin_version(), FANIN_VERSION) == 0);
  CHECK(fanin_contract_version() == FANIN_CONTRACT_VERSION);
  test_make();
  test_json();
  test_dtypes();
  test_places();
  test_bad_fills();
  test_makers();
  test_describe();
  test_plans();
  test_bad_plans();
  test_places_in_memory();
  test_locale();
  test_threads();
  test_messages();
  return 0;
}
