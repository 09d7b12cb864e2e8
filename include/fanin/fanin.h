/* SPDX-License-Identifier: Apache-2.0 */
/* The C interface. Functions do not throw, print or exit: they return a status, and fanin_last_error() describes the
   calling thread's last failure. All functions may be called from many threads at once; a plan allows this as far as
   fanin_plan_fill says. No function depends on the locale.

   Pointers to arguments, and what those point to, need only live until the function returns; the exceptions are the
   memory to fill and what is in device memory. A struct begins with struct_size, which its _INIT macro sets: programs
   that were compiled with an older header have shorter structs, and the members that they lack get their defaults. */
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
  FANIN_FLOAT8_E5M2 = 5,
  FANIN_FLOAT8_E4M3FNUZ = 6,
  FANIN_FLOAT8_E5M2FNUZ = 7,
  FANIN_FLOAT8_E8M0FNU = 8, /* scales: powers of two */
  FANIN_FLOAT6_E2M3FN = 9,  /* packed, 4 elements into 3 bytes */
  FANIN_FLOAT6_E3M2FN = 10, /* packed, 4 elements into 3 bytes */
  FANIN_FLOAT4_E2M1FN = 11  /* packed, 2 elements into a byte */
} fanin_dtype;

/* How a value that no element equals becomes an element; fanin/low_precision.h explains Rounding. */
typedef enum fanin_rounding { FANIN_NEAREST = 0, FANIN_STOCHASTIC = 1 } fanin_rounding;

typedef enum fanin_layout {
  FANIN_HWIO = 0,
  FANIN_OIHW = 1,
  FANIN_LAYOUT_OF_INITIALIZER = 2 /* that of the framework whose name for the initializer was used, else HWIO */
} fanin_layout;

typedef enum fanin_config_form { FANIN_KERAS3 = 0, FANIN_TF2 = 1 } fanin_config_form;

/* Instruction sets for host memory. All write the same bits. */
typedef enum fanin_cpu_target {
  FANIN_CPU_AUTOMATIC = 0, /* the one that the environment's FANIN_CPU_TARGET names, else the fastest usable one */
  FANIN_CPU_PORTABLE = 1,
  FANIN_CPU_SSE4 = 2,
  FANIN_CPU_AVX2 = 3,
  FANIN_CPU_AVX512 = 4,
  FANIN_CPU_AVX512_VBMI = 5,
  FANIN_CPU_NEON = 6,
  FANIN_CPU_SVE = 7
} fanin_cpu_target;

typedef enum fanin_distribution {
  FANIN_CONSTANT = 0,
  FANIN_IDENTITY = 1,
  FANIN_UNIFORM = 2,
  FANIN_NORMAL = 3,
  FANIN_TRUNCATED_NORMAL = 4,
  FANIN_COMPUTED = 5,  /* an expression of each element's coordinates */
  FANIN_ORTHOGONAL = 6 /* an orthogonal matrix, times a gain */
} fanin_distribution;

typedef enum fanin_seed_kind {
  FANIN_SEED_DRAWN = 0, /* from the system, once */
  FANIN_SEED_FIXED = 1,
  FANIN_SEED_SEQUENCE = 2 /* each call has its own draws; only fanin_deserialize makes it */
} fanin_seed_kind;

/* ------------------------------------------------------------------ initializers */

typedef struct fanin_initializer fanin_initializer; /* opaque */

/* Makes an initializer by name ("he_normal", "HeNormal", "zeros", ...), with its default parameters and a fixed seed.
   Initializers without randomness ignore the seed. Free it with fanin_free.

   If a function that makes an initializer fails, it sets *initializer to null. It fails with FANIN_INVALID_ARGUMENT for
   a null pointer, an unknown name, and parameters that are wrong for every shape and dtype, such as a negative or
   infinite standard deviation. */
FANIN_C_API fanin_status fanin_make(const char* name, uint64_t seed, fanin_initializer** initializer);

/* Makes an initializer by the name that a framework has for it, with that framework's meaning, default parameters and
   layout of kernels: convention is "keras", "torch" or "jax". fanin_make takes both in one: "torch:kaiming_normal". */
FANIN_C_API fanin_status fanin_make_by_convention(const char* convention, const char* name, uint64_t seed,
                                                  fanin_initializer** initializer);

/* Make an initializer with these parameters; the distributions are those of fanin/initializers.h. */
FANIN_C_API fanin_status fanin_make_normal(double mean, double stddev, uint64_t seed, fanin_initializer** initializer);
/* stddev is that before truncation. lower and upper count in standard deviations from the mean, and an infinite bound
   is no bound; Keras's are -2 and 2. */
FANIN_C_API fanin_status fanin_make_truncated_normal(double mean, double stddev, double lower, double upper,
                                                     uint64_t seed, fanin_initializer** initializer);
/* On [low, high). */
FANIN_C_API fanin_status fanin_make_uniform(double low, double high, uint64_t seed, fanin_initializer** initializer);
FANIN_C_API fanin_status fanin_make_constant(double value, fanin_initializer** initializer);
/* An array that broadcasts to the tensor's shape: `rank` extents, at most 8, and as many values as they say. */
FANIN_C_API fanin_status fanin_make_constant_array(size_t rank, const int64_t* shape, const double* values,
                                                   fanin_initializer** initializer);
/* gain on a matrix's diagonal, else 0. */
FANIN_C_API fanin_status fanin_make_identity(double gain, fanin_initializer** initializer);
/* gain times a uniformly distributed matrix with orthonormal columns or rows; fanin/initializers.h explains Orthogonal.
 */
FANIN_C_API fanin_status fanin_make_orthogonal(double gain, uint64_t seed, fanin_initializer** initializer);
/* A variance of scale / fan. mode is "fan_in", "fan_out" or "fan_avg", distribution "truncated_normal",
   "untruncated_normal" or "uniform". */
FANIN_C_API fanin_status fanin_make_variance_scaling(double scale, const char* mode, const char* distribution,
                                                     uint64_t seed, fanin_initializer** initializer);

/* A value that is computed for each element, such as "log(i[1] + 1)"; fanin/initializers.h explains Formula. There are
   `constants` constants, with these names and values; both may be NULL if there is none. */
FANIN_C_API fanin_status fanin_make_formula(const char* value, size_t constants, const char* const* names,
                                            const double* values, uint64_t seed, fanin_initializer** initializer);
/* Kernels of a structure of their own; fanin/initializers.h explains Dirac, Bilinear, ForgetGateBias, Sparse, STFT and
   SIREN's. Of fanin_make_stft, window is a name or null, and scaling may be null; periodic is 0 or 1. */
FANIN_C_API fanin_status fanin_make_dirac(int64_t groups, fanin_initializer** initializer);
FANIN_C_API fanin_status fanin_make_bilinear(int64_t groups, fanin_initializer** initializer);
FANIN_C_API fanin_status fanin_make_forget_gate_bias(double value, int32_t gate, int32_t gates,
                                                     fanin_initializer** initializer);
FANIN_C_API fanin_status fanin_make_sparse(double sparsity, double stddev, uint64_t seed,
                                           fanin_initializer** initializer);
FANIN_C_API fanin_status fanin_make_stft(const char* side, const char* window, const char* scaling, int32_t periodic,
                                         fanin_initializer** initializer);
FANIN_C_API fanin_status fanin_make_siren_first(uint64_t seed, fanin_initializer** initializer);
FANIN_C_API fanin_status fanin_make_siren_hidden(double w0, uint64_t seed, fanin_initializer** initializer);

/* PyTorch's calculate_gain, as fanin/gain.h explains it; parameter may be null for the default. */
FANIN_C_API fanin_status fanin_calculate_gain(const char* nonlinearity, const double* parameter, double* gain);

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

/* How an initializer derives the values of a tensor. Start from FANIN_DESCRIPTION_INIT. */
typedef struct fanin_description {
  size_t struct_size; /* sizeof(fanin_description) */
  uint64_t size;      /* elements of the whole tensor */
  uint64_t fan_in;
  uint64_t fan_out;
  uint64_t seed;
  int32_t seed_kind;    /* a fanin_seed_kind */
  int32_t distribution; /* a fanin_distribution; it decides which of the following numbers count */
  double value;         /* constant: every element; identity: the diagonal */
  double low;           /* uniform on [low, high) */
  double high;
  double mean;   /* normal and truncated normal, before truncation */
  double stddev; /* before truncation */
  double lower;  /* truncation, in standard deviations from the mean; infinite: no bound */
  double upper;
  char initializer[32]; /* the class name */
  char derivation[256]; /* the formula with its numbers, for a human reader; cut at 255 bytes */
} fanin_description;

#define FANIN_DESCRIPTION_INIT \
  { sizeof(fanin_description), 0, 0, 0, 0, FANIN_SEED_DRAWN, FANIN_CONSTANT, 0, 0, 0, 0, 0, 0, 0, "", "" }

/* Describes the tensor with these `rank` extents; layout is a fanin_layout, and shape may be null if rank is 0. Draws
   nothing. Fails with FANIN_INVALID_ARGUMENT for a null pointer, and for a shape or a layout that a fill would refuse;
   then *description is unchanged. */
FANIN_C_API fanin_status fanin_describe(const fanin_initializer* initializer, size_t rank, const int64_t* shape,
                                        int32_t layout, fanin_description* description);

/* ------------------------------------------------------------------ fills */

/* A range of a tensor's elements in the row-major order of the whole tensor, such as a shard of flat parameters. */
typedef struct fanin_element_range {
  uint64_t first;
  uint64_t count;
} fanin_element_range;

/* What to fill. Start from FANIN_FILL_INIT, which holds the defaults. Enumerations are stored as integers, so that a
   wrong number is an error and not undefined behaviour. */
typedef struct fanin_fill_args {
  size_t struct_size;          /* sizeof(fanin_fill_args) */
  void* address;               /* a multiple of the element's size */
  size_t capacity;             /* bytes from there on that belong to the tensor or lie between its rows */
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
  const uint64_t* device_call; /* device memory only: the address there of a call number that is added to the
                                  subsequence; the device reads it when the stream reaches the fill, and a kernel
                                  can count it up between the replays of a graph */
  int32_t cpu_target;          /* a fanin_cpu_target, for host memory */
  size_t leading_dimension;    /* elements from the beginning of a row to that of the next one in memory, where a row
                                  is what the last dimension of the tensor or block spans; 0: rows follow each other */
  const fanin_element_range* elements; /* only these elements, instead of a block; null: a block or the whole tensor */
  double output_scale;                 /* what values are divided by before they are rounded: positive and finite */
  const void* output_scales;  /* in host memory, instead of output_scale: one scale for each output_scale_group elements
                                 along the last axis of the tensor or block, in row-major order; a plan needs them
                                 until it is freed. null: output_scale counts */
  size_t output_scale_count;  /* of the scales */
  int32_t output_scale_dtype; /* a fanin_dtype: of the scales */
  uint32_t output_scale_group; /* 32 (OCP MX) or 16 (NVFP4) */
  int32_t rounding;            /* a fanin_rounding */
  int32_t unpacked;            /* not 0: elements of 4 or 6 bits are not packed; each is in the low bits of a byte */
} fanin_fill_args;

#define FANIN_FILL_INIT                                                                                                \
  {                                                                                                                    \
    sizeof(fanin_fill_args), NULL, 0, FANIN_FLOAT32, -1, 0, NULL, NULL, NULL, NULL, 0, NULL, 0,                        \
        FANIN_LAYOUT_OF_INITIALIZER, NULL, NULL, FANIN_CPU_AUTOMATIC, 0, NULL, 1.0, NULL, 0, FANIN_FLOAT8_E8M0FNU, 32, \
        FANIN_NEAREST, 0                                                                                               \
  }

/* Fills host memory before it returns, device memory asynchronously on the stream. A block or a range has the values of
   the whole tensor there, by the whole tensor's fans. Fails before a byte is written: with FANIN_INVALID_ARGUMENT for
   anything that is not allowed, with FANIN_DEVICE_ERROR for a missing device. */
FANIN_C_API fanin_status fanin_fill(const fanin_initializer* initializer, const fanin_fill_args* args);

/* Computes the scales of the OCP MX formats for `count` float32 values in host memory, count / group elements of
   FANIN_FLOAT8_E8M0FNU; dtype is that of the elements. fanin/low_precision.h explains mx_scales. Fails with
   FANIN_INVALID_ARGUMENT as that throws, before a byte is written. */
FANIN_C_API fanin_status fanin_mx_scales(const float* values, size_t count, int32_t dtype, uint8_t* scales,
                                         uint32_t group);

/* The subsequence of a tensor's name: its 64-bit FNV-1a hash; null counts as "". */
FANIN_C_API uint64_t fanin_subsequence(const char* name);

/* ------------------------------------------------------------------ plans */

/* Opaque. Fills many tensors together, such as a whole model; each entry gets the bits of a fill of its own. */
typedef struct fanin_plan fanin_plan;

/* Creates an empty plan. Free it with fanin_plan_free. If it fails, it sets *plan to null. */
FANIN_C_API fanin_status fanin_plan_create(fanin_plan** plan);

/* Frees a plan; null is allowed. Work that the plan has put on a stream goes on: only the filled memory and the
   workspace of an upload must live until it is done. After fanin_plan_prepare, free the plan when the work is done. */
FANIN_C_API void fanin_plan_free(fanin_plan* plan);

/* Adds a tensor, or a part of it; *entry, if entry is not null, receives the entry's number, counted from 0. Only the
   memory to fill must outlive the call, for as long as the plan is filled; args, the name and the initializer need not.
   The members stream, threads, device_seed, device_call and cpu_target must have their defaults: fanin_run_args has
   them.

   Fails as fanin_fill does, and with FANIN_INVALID_ARGUMENT if the entry overlaps the memory of another, or would get
   the same draws: give the tensors names, or add one as a copy. A refused entry leaves the plan as it was. */
FANIN_C_API fanin_status fanin_plan_add(fanin_plan* plan, const fanin_initializer* initializer,
                                        const fanin_fill_args* args, size_t* entry);

/* Adds another destination for the values of an entry: tied weights, or a copy in another dtype. *copy, if copy is not
   null, receives the new entry's number. args says where it is (address, capacity, dtype, cuda_device,
   leading_dimension) and which part of the tensor (block_offset and block_extent of `rank` numbers, or elements);
   without a part it is the entry's. The tensor and the draws are the entry's, so shape, name, subsequence and layout
   are ignored. A copy is not scaled, and rounded to nearest, whatever the entry is. Fails as fanin_plan_add does, and
   with FANIN_INVALID_ARGUMENT if there is no such entry, and for an output_scale, output_scales or a rounding. */
FANIN_C_API fanin_status fanin_plan_add_copy(fanin_plan* plan, size_t entry, const fanin_fill_args* args, size_t* copy);

/* The number of entries; null has 0. */
FANIN_C_API size_t fanin_plan_size(const fanin_plan* plan);

/* A CUDA stream of a device. */
typedef struct fanin_device_stream {
  int32_t cuda_device;
  void* stream; /* cudaStream_t */
} fanin_device_stream;

/* How a plan is filled. Start from FANIN_RUN_INIT, which holds the defaults. */
typedef struct fanin_run_args {
  size_t struct_size;                 /* sizeof(fanin_run_args) */
  void* stream;                       /* cudaStream_t, for a plan with entries on one device */
  const fanin_device_stream* streams; /* for a plan with entries on several devices: one stream for each; then `stream`
                                         must be null. null: `stream` counts */
  size_t stream_count;
  int32_t threads;             /* maximum for host memory; 0: all that the process may run on */
  int32_t cpu_target;          /* a fanin_cpu_target, for host memory */
  const uint64_t* device_seed; /* as in fanin_fill_args; all entries must be on one device, with one seed */
  const uint64_t* device_call; /* as in fanin_fill_args; all entries must be on one device */
} fanin_run_args;

#define FANIN_RUN_INIT \
  { sizeof(fanin_run_args), NULL, NULL, 0, 0, FANIN_CPU_AUTOMATIC, NULL, NULL }

/* Fills all entries; args may be null for the defaults. Host memory is filled when it returns, device memory is filled
   asynchronously on the stream, as a rule with one launch for each device; fanin/plan.h lists the exceptions. Repeated
   calls write the same bits. Many threads may fill a plan that is not being changed, but the same memory only one after
   the other. Fails before a byte is written: with FANIN_INVALID_ARGUMENT, also for a stream of one device and entries
   on several, or with FANIN_DEVICE_ERROR. */
FANIN_C_API fanin_status fanin_plan_fill(const fanin_plan* plan, const fanin_run_args* args);

/* Makes a device ready, in one call: loads the kernels and, if that saves launches, uploads as fanin_plan_upload does,
   to memory that the plan allocates and keeps until it is freed. The first fill then neither waits nor allocates, and
   can be captured. Adding an entry invalidates the upload. Fails as fanin_plan_upload does, and with
   FANIN_OUT_OF_MEMORY. */
FANIN_C_API fanin_status fanin_plan_prepare(fanin_plan* plan, int32_t cuda_device, void* stream);

/* The launches of a fill of the device's entries as they stand; 0 without entries there. */
FANIN_C_API fanin_status fanin_plan_launches(const fanin_plan* plan, int32_t cuda_device, size_t* launches);

/* The bytes of device memory that fanin_plan_upload needs; 0 if an upload would save no launch. Fails with
   FANIN_DEVICE_ERROR for a missing device. */
FANIN_C_API fanin_status fanin_plan_workspace_size(const fanin_plan* plan, int32_t cuda_device, size_t* bytes);

/* Copies the launch data of a device's entries to memory there, in the order of the stream, so that one launch fills
   some 100,000 entries. The caller owns the workspace; it must be aligned to 16 bytes and stay unchanged while the plan
   is filled. Adding an entry invalidates the upload. Fails with FANIN_INVALID_ARGUMENT, also for a stream that is being
   captured, and FANIN_DEVICE_ERROR. */
FANIN_C_API fanin_status fanin_plan_upload(fanin_plan* plan, int32_t cuda_device, void* workspace, size_t capacity,
                                           void* stream);

/* ------------------------------------------------------------------ models */

/* Opaque. The tensors of a model's specification (docs/model-spec.md), with a seed. */
typedef struct fanin_model fanin_model;

/* A number that replaces the specification's constant of this name. */
typedef struct fanin_constant {
  const char* name;
  double value;
} fanin_constant;

/* Reads a specification, JSON text. constants may be null if constant_count is 0. Free the model with fanin_model_free.
   If it fails, it sets *model to null; the message names the place in the text. */
FANIN_C_API fanin_status fanin_model_parse(const char* json, uint64_t seed, const fanin_constant* constants,
                                           size_t constant_count, fanin_model** model);

/* Frees a model; null is allowed. Plans that its tensors were added to do not need it. */
FANIN_C_API void fanin_model_free(fanin_model* model);

/* The number of tensors; null has 0. */
FANIN_C_API size_t fanin_model_size(const fanin_model* model);

/* A tensor of a model. Start from FANIN_MODEL_TENSOR_INIT. The pointers are valid as long as the model. */
typedef struct fanin_model_tensor {
  size_t struct_size; /* sizeof(fanin_model_tensor) */
  const char* name;
  int32_t dtype; /* a fanin_dtype: what the specification proposes */
  size_t rank;
  const int64_t* shape;    /* rank extents */
  const char* const* ties; /* other names of the same memory */
  size_t tie_count;
} fanin_model_tensor;

#define FANIN_MODEL_TENSOR_INIT \
  { sizeof(fanin_model_tensor), NULL, FANIN_FLOAT32, 0, NULL, NULL, 0 }

/* Tells what tensor number `number` is, counted from 0. */
FANIN_C_API fanin_status fanin_model_describe(const fanin_model* model, size_t number, fanin_model_tensor* tensor);

/* Adds a tensor of a model, or a part of it, to a plan. args says where it is (address, capacity, dtype, cuda_device,
   leading_dimension) and which part of the tensor (block_offset and block_extent of `rank` numbers, or elements);
   without one it is the whole. Shape, name, subsequence and layout are the model's and ignored, and its rules decide
   scale and rounding. Fails as fanin_plan_add does, and with FANIN_INVALID_ARGUMENT for values that are loaded from a
   file, and for an output_scale, output_scales or a rounding. A fused tensor becomes several entries; if one is
   refused, those before it stay in the plan. */
FANIN_C_API fanin_status fanin_plan_add_tensor(fanin_plan* plan, const fanin_model* model, size_t number,
                                               const fanin_fill_args* args);

/* ------------------------------------------------------------------ devices, messages, versions */

/* The number of usable CUDA devices; 0 without a driver or without the CUDA back end. */
FANIN_C_API int32_t fanin_cuda_devices(void);

/* Loads the kernels into a device, so that the first fill neither waits nor allocates and can be captured. */
FANIN_C_API fanin_status fanin_preload(int32_t device);

/* Copies `bytes` bytes to host memory before it returns, from the device in the order of the stream (a cudaStream_t),
   or from the host if cuda_device is -1. Fails before a byte is copied with FANIN_INVALID_ARGUMENT for a null address
   or one that is not on the device, and with FANIN_DEVICE_ERROR, also if earlier work of the stream failed. */
FANIN_C_API fanin_status fanin_read(void* to, const void* from, size_t bytes, int32_t cuda_device, void* stream);

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
