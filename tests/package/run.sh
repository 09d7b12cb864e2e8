#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds and installs fanin, static and shared, moves the installed files, and links programs against them in every
# documented way.
#
#     tests/package/run.sh SOURCE_DIR WORK_DIR
#
# All files are below WORK_DIR/fanin-package, which is deleted first. CC and CXX choose the compilers. If FANIN_EMULATOR names a
# program that runs another one on an emulated CUDA device, a CUDA program runs there too.
set -euo pipefail
export LC_ALL=C

if [[ $# -ne 2 ]]; then
  echo "usage: $0 SOURCE_DIR WORK_DIR" >&2
  exit 2
fi
source=$(cd "$1" && pwd)
mkdir -p "$2"
work=$(cd "$2" && pwd)/fanin-package
here=$source/tests/package
cc=${CC:-cc}
cxx=${CXX:-c++}
for tool in "$cc" "$cxx" cmake make ninja pkg-config nm readelf c++filt; do
  command -v "$tool" >/dev/null || { echo "FAILED: the package test needs $tool" >&2; exit 1; }
done
rm -rf "$work"
mkdir -p "$work"

. "$source/tests/package/check.sh"
fails_with() {  # fails_with TEXT COMMAND...: the command fails, and says TEXT
  local text=$1 said
  shift
  if said=$("$@" 2>&1); then
    echo "this should have failed"
    return 1
  fi
  echo "$said"
  grep -qF -- "$text" <<<"$said"
}
has_none() {  # has_none PATTERN COMMAND...: the command succeeds, and no line of its output matches
  local pattern=$1 said
  shift
  said=$("$@") || return 1
  ! grep -E -- "$pattern" <<<"$said"
}
finds_nothing() {  # finds_nothing COMMAND...: the exit status is 1, which grep returns for no match and no error
  local status=0
  "$@" || status=$?
  [[ $status -eq 1 ]]
}
ends_with() {  # ends_with STATUSES COMMAND...: the command's exit status is one of these, for example 0|77
  local statuses=$1 status=0
  shift
  "$@" || status=$?
  [[ $status =~ ^($statuses)$ ]]
}
has() {  # has PATTERN COMMAND...: the command succeeds, and a line of its output matches
  local pattern=$1 said
  shift
  said=$("$@") || return 1
  grep -E -- "$pattern" <<<"$said" || { echo "$said"; return 1; }
}

smaller_than() {  # smaller_than BYTES FILE
  local bytes
  bytes=$(stat -c %s "$2")
  echo "$2 has $bytes bytes"
  [[ $bytes -lt $1 ]]
}
# A program without the CUDA back end: no kernels, no CUDA runtime, and at most 3 MB. FILE is linked statically.
without_kernels() { has_none 'nv_fatbin|nvFatBin' readelf -SW "$1" && has_none cuda readelf -d "$1" && smaller_than 3000000 "$1"; }

configure() { cmake -G Ninja -S "$1" -B "$work/build-$2" "${@:3}"; }
# compile_c PROGRAM SOURCE PACKAGE [--static]; compile_cpp PROGRAM PACKAGE [--static]. The C programs start threads and compute
# square roots. The output of pkg-config is split into words on purpose.
# shellcheck disable=SC2046
compile_c() {
  "$cc" -std=c99 -Wall -Wextra -Werror -pedantic -pthread -o "$1" "$2" $(pkg-config --cflags --libs "${@:3}") -lm
}
# shellcheck disable=SC2046
compile_cpp() { "$cxx" -std=c++17 -O1 -o "$1" "$here/find_package/main.cpp" $(pkg-config --cflags --libs "${@:2}"); }
# compile_cpp_shared_cudart PROGRAM: the user names the shared CUDA runtime.
# shellcheck disable=SC2046
compile_cpp_shared_cudart() {
  "$cxx" -std=c++17 -O1 -o "$1" "$here/find_package/main.cpp" $(pkg-config --cflags --libs fanin) \
    $(pkg-config --libs-only-L --static fanin) -lcudart
}
build() { cmake --build "$work/build-$1" -j 2; }
# compiled_with FLAG NAME: every source of the library in that build is compiled with the flag.
compiled_with() {
  local commands
  commands=$(grep -F '"command"' "$work/build-$2/compile_commands.json" | grep -F "$source/src/") || return 1
  grep -vE -- " $1( |\")" <<<"$commands" || return 0
  return 1
}
# A locale whose decimal point is a comma, if its sources are installed (Debian: locales).
mkdir "$work/locales"
localedef -i de_DE -f UTF-8 "$work/locales/de_DE.UTF-8" >/dev/null 2>&1 || rm -rf "$work/locales"
# library KIND ARGUMENT...: builds and installs the library alone, and moves the installation to $prefix. All kinds are built in
# one directory, so that their common sources are compiled once.
library() {
  local kind=$1 installed=$work/installed-$1
  prefix=$work/moved/somewhere/else/$kind
  check "$kind: configure" configure "$source" library -DFANIN_LIBRARY_ONLY=ON -DCMAKE_INSTALL_PREFIX="$installed" \
    -DCMAKE_INSTALL_LIBDIR=lib "${@:2}"
  check "$kind: build" build library
  check "$kind: install" cmake --install "$work/build-library"
  mkdir -p "$(dirname "$prefix")"
  mv "$installed" "$prefix"
  export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
}
for kind in static shared; do
  [[ $kind == shared ]] && shared=ON || shared=OFF
  library "$kind" -DBUILD_SHARED_LIBS="$shared" -DFANIN_CUDA=OFF
  check "$kind: FANIN_LIBRARY_ONLY builds no program, tests or examples" finds_nothing grep -E 'fanin_program|_test|quickstart' \
    "$work/build-library/build.ninja"

  # ------------------------------------------------------------ the installed files
  check "$kind: license, changes and contract are installed" \
    test -s "$prefix/share/doc/fanin/LICENSE" -a -s "$prefix/share/doc/fanin/CHANGELOG.md" -a -s "$prefix/share/doc/fanin/VALUES.md"
  check "$kind: all headers are installed" diff -r "$source/include/fanin" "$prefix/include/fanin"
  check "$kind: no installed file names the build's directories" \
    finds_nothing grep -rlF -e "$source" -e "$work" "$prefix"

  # ------------------------------------------------------------ CMake
  version=$(pkg-config --modversion fanin)
  check "$kind: the packages have the headers' version" \
    grep -F "#define FANIN_VERSION \"$version\"" "$prefix/include/fanin/version.h"
  consumer=("$here/find_package" "find-$kind" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release)
  check "$kind: find_package(fanin 99) fails" \
    fails_with 'requested version "99"' configure "${consumer[@]}" -DFANIN_WANTED=99
  check "$kind: find_package(fanin ${version%.*})" configure "${consumer[@]}" -DFANIN_WANTED="${version%.*}" --fresh
  check "$kind: CMake found the moved installation" \
    grep -F "fanin_DIR:PATH=$prefix/lib/cmake/fanin" "$work/build-find-$kind/CMakeCache.txt"
  check "$kind: a C++ program with CMake links" build "find-$kind"
  check "$kind: and runs" "$work/build-find-$kind/consumer"
  check "$kind: find_package in a project of C alone" configure "$here/c" "c-$kind" -DCMAKE_PREFIX_PATH="$prefix"
  check "$kind: a C program with CMake links" build "c-$kind"
  check "$kind: and runs" "$work/build-c-$kind/consumer"

  # ------------------------------------------------------------ pkg-config
  for package in fanin fanin-host; do
    check "$kind: a C program with pkg-config links $package" compile_c "$work/c-$kind" "$here/c/main.c" "$package"
    check "$kind: and runs" env LD_LIBRARY_PATH="$prefix/lib" "$work/c-$kind"
  done
  if [[ -d $work/locales ]]; then
    check "$kind: and runs where the decimal point is a comma" \
      has 'the decimal point is ,' env LOCPATH="$work/locales" LD_LIBRARY_PATH="$prefix/lib" "$work/c-$kind"
  fi

  check "$kind: examples/gpt2_init.c links" compile_c "$work/gpt2-$kind" "$source/examples/gpt2_init.c" fanin
  check "$kind: and runs" env LD_LIBRARY_PATH="$prefix/lib" "$work/gpt2-$kind" -1 1 4 8 8

  # libstdc++'s two ABIs have different strings. Without the tag of fanin/export.h this program would link, and crash.
  check "$kind: a program of libstdc++'s old ABI does not link" fails_with '[abi:before_cxx11]' "$cxx" -std=c++17 -pthread \
    -D_GLIBCXX_USE_CXX11_ABI=0 -o "$work/old-abi" "$source/examples/quickstart.cpp" -I "$prefix/include" -L "$prefix/lib" -lfanin

  # ------------------------------------------------------------ the library
  if [[ $kind == static ]]; then
    check "static: the programs need no libfanin.so" has_none libfanin readelf -d "$work/build-find-static/consumer" "$work/c-static"
    # shellcheck disable=SC2046
    check "static: a C++ program with --gc-sections links" "$cxx" -std=c++17 -O1 -pthread -Wl,--gc-sections \
      -o "$work/gc" "$here/find_package/main.cpp" -I "$prefix/include" "$prefix/lib/libfanin.a" \
      $(grep -o -e -lmpfr "$prefix/lib/pkgconfig/fanin.pc")
    check "static: and runs" "$work/gc"
    archives=$prefix/lib
  else
    library=$prefix/lib/libfanin.so
    soname=libfanin.so.${version%.*}
    check "shared: the library is libfanin.so.$version" test ! -L "$library.$version" -a "$library" -ef "$library.$version"
    check "shared: its SONAME is $soname" has "SONAME.*\[$soname\]" readelf -d "$library"
    check "shared: it has no RPATH" has_none 'RPATH|RUNPATH' readelf -d "$library"
    check "shared: the programs need $soname" has "NEEDED.*\[$soname\]" readelf -d "$work/build-find-shared/consumer"
    check "shared: it exports what the static library offers, and nothing else" "$here/exports.sh" "$library" "$archives/libfanin.a"
    check "shared: and so does libfanin_host.so" "$here/exports.sh" "$prefix/lib/libfanin_host.so" "$archives/libfanin_host.a"
    # g++'s runtime compares the names of exceptions' types; other runtimes compare addresses.
    check "shared: it exports the types of its exceptions" \
      test 2 -eq "$(nm -D --defined-only "$library" | grep -cE '_ZTIN5fanin(15InvalidArgument|11DeviceError)E')"
  fi
done

# ------------------------------------------------------------ with the CUDA back end
if command -v nvcc >/dev/null; then
  # make_consumer NAME CUDART: builds the Makefile's project.
  make_consumer() { mkdir "$work/make-$1" && make -C "$work/make-$1" -f "$here/make/Makefile" CUDART="$2"; }

  library cuda -DBUILD_SHARED_LIBS=OFF -DFANIN_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=90-virtual
  consumer=("$here/find_package" find-cuda -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release)
  check "cuda: find_package(fanin)" configure "${consumer[@]}"
  check "cuda: a C++ program with CMake links" build find-cuda
  check "cuda: and runs" "$work/build-find-cuda/consumer"
  check "cuda: it needs no CUDA library" has_none libcuda readelf -d "$work/build-find-cuda/consumer"
  check "cuda: CMAKE_CUDA_RUNTIME_LIBRARY=Shared" configure "${consumer[@]}" -DCMAKE_CUDA_RUNTIME_LIBRARY=Shared
  check "cuda: the program links again" build find-cuda
  check "cuda: and needs the shared runtime" has 'NEEDED.*libcudart' readelf -d "$work/build-find-cuda/consumer"
  check "cuda: and runs" "$work/build-find-cuda/consumer"

  # Host memory alone, without the toolkit.
  check "cuda: find_package(fanin COMPONENTS host) without the toolkit" configure "${consumer[@]}" --fresh \
    -DFANIN_COMPONENTS=host -DFANIN_TARGET=fanin::host -DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON
  check "cuda: a program that links fanin::host" build find-cuda
  check "cuda: has no kernels" without_kernels "$work/build-find-cuda/consumer"
  check "cuda: says what to link for devices" has 'cuda:1000: .*; link fanin::fanin' "$work/build-find-cuda/consumer"

  check "cuda: a C program with pkg-config links fanin-host" compile_c "$work/c-host" "$here/c/main.c" fanin-host
  check "cuda: and runs" "$work/c-host"
  check "cuda: and has no kernels" without_kernels "$work/c-host"
  check "cuda: a C program with pkg-config --static links fanin" compile_c "$work/c-cuda" "$here/c/main.c" fanin --static
  check "cuda: and runs" "$work/c-cuda"
  check "cuda: a C++ program with pkg-config --static links fanin" compile_cpp "$work/cpp-cuda" fanin --static
  check "cuda: and runs" "$work/cpp-cuda"
  check "cuda: they need no CUDA library" has_none libcuda readelf -d "$work/c-cuda" "$work/cpp-cuda"
  check "cuda: a C++ program with pkg-config and the shared runtime links" compile_cpp_shared_cudart "$work/cpp-cudart"
  cuda_libraries=$(pkg-config --libs-only-L --static fanin | sed 's/ *-L/:/g; s/ //g')
  check "cuda: and runs" env LD_LIBRARY_PATH="$cuda_libraries" "$work/cpp-cudart"

  check "cuda: nvcc with a Makefile and the static runtime" make_consumer static static
  check "cuda: and runs" "$work/make-static/consumer"
  check "cuda: and needs no CUDA library" has_none libcuda readelf -d "$work/make-static/consumer"
  check "cuda: nvcc with a Makefile and the shared runtime" make_consumer shared shared
  check "cuda: and runs" env LD_LIBRARY_PATH="$cuda_libraries" "$work/make-shared/consumer"
  check "cuda: and needs the shared runtime" has 'NEEDED.*libcudart' readelf -d "$work/make-shared/consumer"
  # A second, static runtime in the program would not be the emulated one, and would find no device.
  if [[ -n ${FANIN_EMULATOR:-} ]]; then
    check "cuda: and runs on an emulated device" "$FANIN_EMULATOR" "$work/make-shared/consumer" --device
  fi

  check "cuda: find_package in a project of CUDA, examples/trainer" configure "$source/examples/trainer" trainer-cuda \
    -DCMAKE_PREFIX_PATH="$prefix"
  check "cuda: a CUDA program links" build trainer-cuda
  check "cuda: and runs, or finds no device" ends_with '0|77' "$work/build-trainer-cuda/trainer" --epochs 1

  library cuda-shared -DBUILD_SHARED_LIBS=ON
  check "cuda-shared: nvcc with a Makefile" make_consumer library static
  check "cuda-shared: and runs" env LD_LIBRARY_PATH="$prefix/lib" "$work/make-library/consumer"
  check "cuda-shared: libfanin.so needs no CUDA library" has_none libcuda readelf -d "$prefix/lib/libfanin.so"

  if ! nvidia-smi >/dev/null 2>&1; then
    check "cuda: CMAKE_CUDA_ARCHITECTURES=native without a GPU says what to do" fails_with '-DCMAKE_CUDA_ARCHITECTURES=90' \
      configure "$source" native -DFANIN_LIBRARY_ONLY=ON -DFANIN_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=native
  fi
fi

# In another project. This build differs from those above in two more ways: it is shared and not optimised.
check "add_subdirectory: configure" configure "$here/add_subdirectory" embedded -DFANIN_SOURCE="$source" \
  -DFANIN_CUDA=OFF -DBUILD_SHARED_LIBS=ON -DCMAKE_BUILD_TYPE=Debug -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
check "add_subdirectory: a debug build is not optimised" fails_with c++ compiled_with -O2 embedded
check "add_subdirectory: a C++ program links" build embedded
check "add_subdirectory: and runs" "$work/build-embedded/consumer"
check "add_subdirectory: the library exports nothing else" "$here/exports.sh" "$work/build-embedded/fanin/libfanin.so"
check "add_subdirectory: the project installs" env DESTDIR="$work/destdir" cmake --install "$work/build-embedded"
check "add_subdirectory: which installs nothing of fanin" test ! -e "$work/destdir"
check "FetchContent without a build type: configure" configure "$here/add_subdirectory" no-type -DFANIN_SOURCE="$source" \
  -DFANIN_FETCH=ON -DFANIN_CUDA=OFF -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
check "FetchContent without a build type: the library is optimised" compiled_with -O2 no-type

rm -rf "$work"
echo "all package checks passed"
