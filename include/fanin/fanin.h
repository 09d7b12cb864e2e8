/* SPDX-License-Identifier: Apache-2.0 */
/* The C interface. Nothing here throws, prints or exits: a call returns a status, and fanin_last_error() says what was
   wrong with the calling thread's last failed call. All functions may be called from many threads at once. */
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

/* An initializer by name, with its default parameters and a fixed seed. Free it with fanin_free.
   What a failed call would have made is set to null, here and below. */
FANIN_C_API fanin_status fanin_make(const char* name, uint64_t seed, fanin_initializer** initializer);

/* An initializer from Keras's JSON. */
FANIN_C_API fanin_status fanin_deserialize(const char* json, fanin_initializer** initializer);

/* Its configuration in Keras's JSON, with a final zero byte; form is a fanin_config_form. *length is set to the bytes
   needed, that byte included; buffer may be null when capacity is 0. A capacity that is too small is
   FANIN_INVALID_ARGUMENT. */
FANIN_C_API fanin_status fanin_serialize(const fanin_initializer* initializer, int32_t form, char* buffer,
                                         size_t capacity, size_t* length);

/* The seed, drawn or given. */
FANIN_C_API fanin_status fanin_seed(const fanin_initializer* initializer, uint64_t* seed);

/* null is allowed. */
FANIN_C_API void fanin_free(fanin_initializer* initializer);

/* What to fill. Begin with FANIN_FILL_INIT, so that fields that you do not set have their defaults. Enumerations are
   held as integers, so that a wrong number is an error and not undefined behaviour. */
typedef struct fanin_fill_args {
  size_t struct_size;          /* sizeof(fanin_fill_args) */
  void* address;               /* a multiple of the element's size */
  size_t capacity;             /* bytes that may be written there */
  int32_t dtype;               /* a fanin_dtype */
  int32_t cuda_device;         /* -1: host memory */
  size_t rank;                 /* 0: a scalar; at most 255 */
  const int64_t* shape;        /* rank extents of the whole tensor */
  const int64_t* block_offset; /* both null: the whole tensor; else rank numbers each */
  const int64_t* block_extent;
  const char* name; /* null: the subsequence below counts; else its hash does, and that must be 0 */
  uint64_t subsequence;
  void* stream;                /* cudaStream_t, for device memory */
  int32_t threads;             /* most threads for host memory; 0: all */
  int32_t layout;              /* a fanin_layout */
  const uint64_t* device_seed; /* of device memory only: a seed there, read when the stream comes to the fill, that
                                  takes the place of the initializer's */
} fanin_fill_args;

#define FANIN_FILL_INIT \
  { sizeof(fanin_fill_args), NULL, 0, FANIN_FLOAT32, -1, 0, NULL, NULL, NULL, NULL, 0, NULL, 0, FANIN_HWIO, NULL }

/* Fills memory. Host memory is filled on return, device memory asynchronously on the stream. */
FANIN_C_API fanin_status fanin_fill(const fanin_initializer* initializer, const fanin_fill_args* args);

/* The subsequence that belongs to a tensor's name; null counts as "". */
FANIN_C_API uint64_t fanin_subsequence(const char* name);

/* Usable CUDA devices; 0 without a driver or without the CUDA back end. */
FANIN_C_API int32_t fanin_cuda_devices(void);

/* Loads the kernels of a device, so that the first fill neither waits nor allocates and can be captured. */
FANIN_C_API fanin_status fanin_preload(int32_t device);

/* Text of the calling thread's last failure, cut at 1023 bytes; "" if there was none. Valid until its next failing
   call. */
FANIN_C_API const char* fanin_last_error(void);

/* FANIN_VERSION and FANIN_CONTRACT_VERSION of the library that is loaded. */
FANIN_C_API const char* fanin_version(void);
FANIN_C_API int32_t fanin_contract_version(void);

#ifdef __cplusplus
}
#endif

#endif
