/* SPDX-License-Identifier: Apache-2.0 */
/* The C interface. Functions do not throw, print or exit: they return a status, and fanin_last_error() describes the
   calling thread's last failure. All functions may be called from many threads at once. */
#ifndef FANIN_FANIN_H
#define FANIN_FANIN_H

#include <stddef.h>
#include <stdint.h>

#include "fanin/export.h"
#include "fanin/version.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fanin_status {
  FANIN_OK = 0,
  FANIN_INVALID_ARGUMENT = 1, /* nothing was written */
  FANIN_DEVICE_ERROR = 2,     /* no such device, or no CUDA back end in this build */
  FANIN_OUT_OF_MEMORY = 3,
  FANIN_INTERNAL_ERROR = 4
} fanin_status;

typedef enum fanin_dtype {
  FANIN_FLOAT32 = 0,
  FANIN_FLOAT64 = 1,
  FANIN_FLOAT16 = 2,
  FANIN_BFLOAT16 = 3,
  FANIN_FLOAT8_E4M3FN = 4,
  FANIN_FLOAT8_E5M2 = 5
} fanin_dtype;

typedef enum fanin_layout { FANIN_HWIO = 0, FANIN_OIHW = 1 } fanin_layout;

typedef enum fanin_config_form { FANIN_KERAS3 = 0, FANIN_TF2 = 1 } fanin_config_form;

typedef struct fanin_initializer fanin_initializer; /* opaque */

/* Makes an initializer by name, with its default parameters and a fixed seed. Free it with fanin_free.
   If fanin_make or fanin_deserialize fails, it sets *initializer to null. */
FANIN_C_API fanin_status fanin_make(const char* name, uint64_t seed, fanin_initializer** initializer);

/* Makes an initializer from Keras's JSON. Free it with fanin_free. */
FANIN_C_API fanin_status fanin_deserialize(const char* json, fanin_initializer** initializer);

/* Writes an initializer as Keras's JSON with a final zero byte; form is a fanin_config_form. *length receives the
   number of bytes needed, including that byte. If capacity is 0, buffer may be null and nothing is written to it;
   another capacity that is too small gives FANIN_INVALID_ARGUMENT. */
FANIN_C_API fanin_status fanin_serialize(const fanin_initializer* initializer, int32_t form, char* buffer,
                                         size_t capacity, size_t* length);

/* Reads the seed, drawn or given. */
FANIN_C_API fanin_status fanin_seed(const fanin_initializer* initializer, uint64_t* seed);

/* Frees an initializer; null is allowed. */
FANIN_C_API void fanin_free(fanin_initializer* initializer);

/* What to fill. Start from FANIN_FILL_INIT, which holds the defaults. Enumerations are stored as integers, so that a
   wrong number is an error and not undefined behaviour. */
typedef struct fanin_fill_args {
  size_t struct_size;          /* sizeof(fanin_fill_args) */
  void* address;               /* a multiple of the element's size */
  size_t capacity;             /* bytes that may be written there */
  int32_t dtype;               /* a fanin_dtype */
  int32_t cuda_device;         /* -1: host memory */
  size_t rank;                 /* 0: a scalar; at most 255 */
  const int64_t* shape;        /* rank extents of the whole tensor */
  const int64_t* block_offset; /* rank numbers each; both null: the whole tensor */
  const int64_t* block_extent;
  const char* name; /* its hash is the subsequence, and the next field must be 0; null: the next field counts */
  uint64_t subsequence;
  void* stream;                /* cudaStream_t, for device memory */
  int32_t threads;             /* maximum for host memory; 0: all that the process may run on */
  int32_t layout;              /* a fanin_layout */
  const uint64_t* device_seed; /* device memory only: the address there of a seed that replaces the
                                  initializer's; the device reads it when the stream reaches the fill */
} fanin_fill_args;

#define FANIN_FILL_INIT \
  { sizeof(fanin_fill_args), NULL, 0, FANIN_FLOAT32, -1, 0, NULL, NULL, NULL, NULL, 0, NULL, 0, FANIN_HWIO, NULL }

/* Fills host memory before it returns, device memory asynchronously on the stream. */
FANIN_C_API fanin_status fanin_fill(const fanin_initializer* initializer, const fanin_fill_args* args);

/* The subsequence of a tensor's name: its 64-bit FNV-1a hash; null counts as "". */
FANIN_C_API uint64_t fanin_subsequence(const char* name);

/* The number of usable CUDA devices; 0 without a driver or without the CUDA back end. */
FANIN_C_API int32_t fanin_cuda_devices(void);

/* Loads the kernels into a device, so that the first fill neither waits nor allocates and can be captured. */
FANIN_C_API fanin_status fanin_preload(int32_t device);

/* The message of the calling thread's last failure, cut at 1023 bytes; "" if there was none. Valid until the thread's
   next failure. */
FANIN_C_API const char* fanin_last_error(void);

/* FANIN_VERSION and FANIN_CONTRACT_VERSION of the loaded library. */
FANIN_C_API const char* fanin_version(void);
FANIN_C_API int32_t fanin_contract_version(void);

#ifdef __cplusplus
}
#endif

#endif
