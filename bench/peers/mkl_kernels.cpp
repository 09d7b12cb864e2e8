// SPDX-License-Identifier: Apache-2.0
// On processors that are not Intel's, MKL's random numbers use SSE2, from libmkl_vml_def.so, and no setting changes
// that. If this library is preloaded, MKL gets the file that PEERS_MKL_KERNELS names ("avx512", "avx2") instead, which
// has the same functions. So fanin is compared with the best that MKL can do on this processor.
#include <dlfcn.h>

#include <cstdlib>
#include <string>

namespace {

using Open = void* (*)(const char*, int);
using Find = void* (*)(void*, const char*);

// dlsym cannot look up the real dlsym, but dlvsym can. The version is glibc's release: 2.34 moved dlsym.
Find real_dlsym() {
  static const Find find = [] {
    for (const char* version : {"GLIBC_2.34", "GLIBC_2.2.5"}) {
      if (void* found = dlvsym(RTLD_NEXT, "dlsym", version)) return reinterpret_cast<Find>(found);
    }
    std::abort();
  }();
  return find;
}

void* kernels = nullptr;      // the library that MKL got
void* expected_by = nullptr;  // the function with which MKL checks that it got the library it wanted

}  // namespace

extern "C" __attribute__((visibility("default"))) void* dlopen(const char* file, int flags) noexcept {
  static const auto open = reinterpret_cast<Open>(real_dlsym()(RTLD_NEXT, "dlopen"));
  const std::string wanted = "libmkl_vml_def.so";
  std::string path = file == nullptr ? "" : file;
  const char* name = std::getenv("PEERS_MKL_KERNELS");
  const std::size_t at = path.find(wanted);
  void* library = open(file, flags);
  if (at == std::string::npos || name == nullptr || library == nullptr) return library;
  path.replace(at, wanted.size(), std::string("libmkl_vml_") + name + ".so");
  kernels = open(path.c_str(), flags);
  expected_by = real_dlsym()(library, "dll_cpu_version");
  return kernels == nullptr ? library : kernels;
}

extern "C" __attribute__((visibility("default"))) void* dlsym(void* library, const char* name) noexcept {
  if (kernels != nullptr && library == kernels && std::string(name) == "dll_cpu_version") return expected_by;
  return real_dlsym()(library, name);
}
