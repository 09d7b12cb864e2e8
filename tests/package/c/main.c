/* SPDX-License-Identifier: Apache-2.0 */
/* A C user of the library: everything that fanin/fanin.h promises. */
#define _POSIX_C_SOURCE 200112L

#include <fanin/fanin.h>

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
  CHECK_REFUSED(args.dtype = 6, "dtype");
  CHECK_REFUSED(args.dtype = 256, "dtype"); /* not cut to a byte */
  CHECK_REFUSED(args.rank = SIZE_MAX, "255");
  CHECK_REFUSED(args.dtype = -1, "dtype");
  CHECK_REFUSED(args.layout = 2, "FANIN_OIHW");
  CHECK_REFUSED(args.layout = -1, "FANIN_OIHW");
  CHECK_REFUSED(args.cuda_device = -2, "-2");
  CHECK_REFUSED(args.threads = -1, "threads=-1");
  CHECK_REFUSED(args.device_seed = &seed, "seed in device memory");
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

int main(void) {
  CHECK(strcmp(fanin_last_error(), "") == 0);
  CHECK(strcmp(fanin_version(), FANIN_VERSION) == 0);
  CHECK(fanin_contract_version() == FANIN_CONTRACT_VERSION);
  test_make();
  test_json();
  test_dtypes();
  test_places();
  test_bad_fills();
  test_messages();
  return 0;
}
