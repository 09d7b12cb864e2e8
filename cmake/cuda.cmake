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
    find_package(CUDAToolkit 12.1 REQUIRED)  # the first version with 32 KiB of kernel parameters
    set(FANIN_CUDA_FOUND TRUE)
    # The static runtime, so that a library with a CUDA back end also loads on a machine without CUDA.
    set(FANIN_CUDA_RUNTIME CUDA::cudart_static)
  elseif(FANIN_CUDA STREQUAL "ON")
    message(FATAL_ERROR "FANIN_CUDA=ON, but no CUDA compiler was found. Install the CUDA toolkit, put nvcc on the PATH "
                        "or set CUDACXX; or configure with FANIN_CUDA=AUTO or OFF to fill only host memory.")
  else()
    message(STATUS "fanin: no CUDA compiler found; the library fills only host memory")
  endif()
endif()
if(FANIN_CUDA_FOUND)
  message(STATUS "fanin: CUDA ${CUDAToolkit_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")
endif()
