# SPDX-License-Identifier: Apache-2.0
# fanin_value_flags: what makes a seed give the same bits everywhere. On every target that compiles value code; they
# come after CMAKE_CXX_FLAGS and undo what those may say.
add_library(fanin_value_flags INTERFACE)
target_compile_options(fanin_value_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-fno-fast-math -ffp-contract=off>
  $<$<COMPILE_LANGUAGE:CUDA>:-fmad=false -ftz=false -prec-div=true -prec-sqrt=true -Xcompiler=-fno-fast-math,-ffp-contract=off>)
if(CMAKE_CXX_FLAGS MATCHES "-ffinite-math-only|-ffp-contract=(fast|on)|-Ofast|-ffast-math")
  message(STATUS "CMAKE_CXX_FLAGS ask for inexact arithmetic; fanin's own code is compiled without it")
endif()
if(CMAKE_CUDA_FLAGS MATCHES "use_fast_math|-ftz=true|-fmad=true")
  message(FATAL_ERROR "CMAKE_CUDA_FLAGS must not ask for inexact arithmetic: it would change the weights")
endif()

# fanin_own_code: warnings, for our own targets alone.
add_library(fanin_own_code INTERFACE)
target_compile_options(fanin_own_code INTERFACE
  $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wundef>
  $<$<COMPILE_LANGUAGE:CXX>:-Wconversion -Wnon-virtual-dtor -Wold-style-cast>)
if(FANIN_WERROR)
  target_compile_options(fanin_own_code INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-Werror>)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_FLAGS MATCHES "-fsanitize=")
  # A warning that g++ gets wrong among the sanitizers' code, as its manual says.
  target_compile_options(fanin_own_code INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)
endif()
