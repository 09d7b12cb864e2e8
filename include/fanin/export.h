/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FANIN_EXPORT_H
#define FANIN_EXPORT_H

#ifdef __cplusplus
#include <cstddef> /* where libstdc++ says which of its ABIs is in use */
#endif

/* FANIN_C_API marks what the C interface exports, FANIN_API what the C++ interface exports. */
#if defined(__GNUC__)
#define FANIN_C_API __attribute__((visibility("default")))
#else
#define FANIN_C_API
#endif

/* std::string has a different layout in libstdc++'s ABI from before C++11, and the mangled name of a struct that holds
   a string does not show it. The tag makes a program and a library of different ABIs fail to link. */
#if defined(_GLIBCXX_USE_CXX11_ABI) && _GLIBCXX_USE_CXX11_ABI == 0
#define FANIN_API FANIN_C_API __attribute__((abi_tag("before_cxx11")))
#else
#define FANIN_API FANIN_C_API
#endif

#endif
