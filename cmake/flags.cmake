# SPDX-License-Identifier: Apache-2.0
# fanin_value_flags: the flags that keep the bits of a fill the same everywhere. Every target that compiles value code
# links it. The flags follow CMAKE_CXX_FLAGS on the command line and override inexact arithmetic that those ask for.
add_library(fanin_value_flags INTERFACE)
target_compile_options(fanin_value_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-fno-fast-math -ffp-contract=off>
  $<$<COMPILE_LANGUAGE:CUDA>:-fmad=false -ftz=false -prec-div=true -prec-sqrt=true -Xcompiler=-fno-fast-math,-ffp-contract=off>)
if(CMAKE_CXX_FLAGS MATCHES "-ffinite-math-only|-ffp-contract=(fast|on)|-Ofast|-ffast-math")
  message(STATUS "fanin: CMAKE_CXX_FLAGS ask for inexact arithmetic; fanin's own code is compiled without it")
endif()
if(CMAKE_CUDA_FLAGS MATCHES "use_fast_math|-ftz=true|-fmad=true")
  message(FATAL_ERROR "CMAKE_CUDA_FLAGS must not ask for inexact arithmetic, because it changes the weights")
endif()

# fanin_own_code: warnings, and the optimisation that a project without a build type does not ask for. Only fanin's own
# targets link it.
add_library(fanin_own_code INTERFACE)
target_compile_options(fanin_own_code INTERFACE
  $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wundef>
  $<$<COMPILE_LANGUAGE:CXX>:-Wconversion -Wnon-virtual-dtor -Wold-style-cast>)
if(FANIN_WERROR)
  target_compile_options(fanin_own_code INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-Werror>)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_FLAGS MATCHES "-fsanitize=")
  # g++'s manual says that this warning has false positives with sanitizers.
  target_compile_options(fanin_own_code INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)
endif()
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES AND NOT CMAKE_CXX_FLAGS MATCHES "(^| )-O")
  # Without optimisation, the vector loops are more than 100 times slower.
  message(STATUS "fanin: CMAKE_BUILD_TYPE is not set; fanin's own code is compiled with -O2")
  target_compile_options(fanin_own_code INTERFACE $<$<COMPILE_LANGUAGE:CXX,CUDA>:-O2>)
endif()
