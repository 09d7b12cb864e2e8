# SPDX-License-Identifier: Apache-2.0
# Looks for the CUDA toolkit as FANIN_CUDA says, and sets FANIN_CUDA_FOUND.
set(FANIN_CUDA_FOUND FALSE)
set(FANIN_CUDA_RUNTIME)
if(NOT FANIN_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "FANIN_CUDA must be AUTO, ON or OFF. Received: ${FANIN_CUDA}")
endif()
if(NOT FANIN_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
      # This machine's GPU, else two common ones. The variable must be set before the language is enabled. The preset
      # "release" sets all architectures.
      execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
                      OUTPUT_VARIABLE fanin_capabilities ERROR_QUIET RESULT_VARIABLE fanin_status)
      string(REGEX MATCHALL "[0-9]+\\.[0-9]" fanin_capabilities "${fanin_capabilities}")
      string(REPLACE "." "" fanin_capabilities "${fanin_capabilities}")
      list(REMOVE_DUPLICATES fanin_capabilities)
      if(fanin_status EQUAL 0 AND fanin_capabilities)
        set(CMAKE_CUDA_ARCHITECTURES ${fanin_capabilities})
      else()
        set(CMAKE_CUDA_ARCHITECTURES 80 90)  # machine code and PTX of each
      endif()
    endif()
    enable_language(CUDA)
    if(CMAKE_CUDA_ARCHITECTURES STREQUAL "native" AND NOT CMAKE_CUDA_ARCHITECTURES_NATIVE)
      message(FATAL_ERROR "CMAKE_CUDA_ARCHITECTURES is \"native\", but this machine has no usable GPU. Name the architecture of the GPU that "
                          "the program will run on, for example ${fanin_setting}CMAKE_CUDA_ARCHITECTURES=90.")
    endif()
    find_package(CUDAToolkit 12.1 REQUIRED)  # the first version with 32 KiB of kernel parameters
    set(FANIN_CUDA_FOUND TRUE)
    # The runtime that nvcc links to the program, which CMAKE_CUDA_RUNTIME_LIBRARY chooses. Without a choice the static
    # one, so that a program also starts on a machine without CUDA.
    set(FANIN_CUDA_RUNTIME
      $<IF:$<STREQUAL:$<TARGET_PROPERTY:CUDA_RUNTIME_LIBRARY>,Shared>,CUDA::cudart,CUDA::cudart_static>)
  elseif(FANIN_CUDA STREQUAL "ON")
    message(FATAL_ERROR "FANIN_CUDA=ON, but no CUDA compiler was found. Install the CUDA toolkit, put nvcc on the PATH "
                        "or set CUDACXX; or fill only host memory: ${fanin_setting}FANIN_CUDA=OFF.")
  else()
    message(STATUS "fanin: no CUDA compiler found; the library fills only host memory")
  endif()
endif()
if(FANIN_CUDA_FOUND)
  message(STATUS "fanin: CUDA ${CUDAToolkit_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")
  # Halves the kernels' part of the library. All drivers for CUDA 13 can read this compression; among those for CUDA 12, it
  # needs 550.54 (documentation of rapids_cuda_enable_fatbin_compression).
  add_library(fanin_small_kernels INTERFACE)
  if(CUDAToolkit_VERSION VERSION_GREATER_EQUAL 13 AND NOT CMAKE_CUDA_FLAGS MATCHES "-no-compress|-compress-mode")
    target_compile_options(fanin_small_kernels INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:--compress-mode=size>)
  endif()
endif()
