#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks that every public header compiles alone and needs only the standard library. Only fanin/thrust.h,
# fanin/statistics.h and fanin/device.cuh are for nvcc; the first two and fanin/cuda_types.h need the CUDA toolkit.
#
#     tests/package/headers.sh SOURCE_DIR
#
# It tries g++ and clang++, gcc and clang for the C headers, and nvcc for those three, as far as they are installed.
set -euo pipefail
export LC_ALL=C

if [[ $# -ne 1 ]]; then
  echo "usage: $0 SOURCE_DIR" >&2
  exit 2
fi
cd "$1/include"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

c_headers=(fanin/export.h fanin/fanin.h fanin/version.h)
headers=()
for header in fanin/*.h fanin/*.hpp; do [[ $header =~ ^fanin/(cuda_types|thrust|statistics)\.h$ ]] || headers+=("$header"); done
warnings=(-Wall -Wextra -Wpedantic -Wshadow -Wundef -Werror)
foreign='cuda|thrust|/cub/|curand|nlohmann|hwy'

# compiles COMPILER LANGUAGE STANDARD HEADER [WARNING...]: compiles a source that includes the header twice and nothing else.
# Writes the included files to $work/taken and checks them, because a wrong #include compiles if, for example, the CUDA
# toolkit's headers are on the compiler's default path.
compiles() {
  printf '#include "%s"\n#include "%s"\nextern int not_empty;\n' "$4" "$4" |
    "$1" -x "$2" "-std=$3" "${warnings[@]}" "${@:5}" -fsyntax-only -I. -MD -MT header -MF "$work/rule" - ||
    fail "$4 does not compile alone as $3 with $1"
  tr -s ' \\\n' '\n' <"$work/rule" >"$work/taken"
  grep -q "$4$" "$work/taken" || fail "$1 does not say which files $4 includes"
  if grep -vE '^(\./)?fanin/' "$work/taken" | grep -iE "$foreign"; then fail "$4 includes these files, with $1"; fi
}

# The standard library's headers have no suffix and no folder. The C headers include those of C.
for header in "${headers[@]}"; do
  if grep -HnE '^ *# *include' "$header" | grep -vE '[<"](fanin/[a-z_]+\.h|[a-z_]+|std(def|int)\.h)[>"]'; then
    fail "$header includes more than the standard library and fanin's own headers"
  fi
done

# Braces of a shape take every integer type, and a conditional expression takes initializers of two classes.
cat >"$work/braces.cpp" <<'END'
#include "fanin/fanin.hpp"
fanin::Initializer f(const fanin::View& view, std::size_t rows, unsigned columns, long many, bool random) {
  const fanin::RandomNormal normal(0.0, 0.02, 42);
  const fanin::Zeros zeros;
  const fanin::Initializer init = random ? fanin::Initializer(normal) : fanin::Initializer(zeros);
  init.fill(view, {rows, columns});
  init.fill(view, {rows});
  init({rows, 3, many});
  init.describe({rows, columns});
  fanin::TensorOptions options;
  options.block = {{std::size_t{1}, 0}, {rows, columns}};
  fanin::Plan plan;
  plan.add(init, view, {rows, columns}, "weight");
  const fanin::Shape shape{rows, columns};
  plan.add(init, view, shape, options);
  return init;
}
END
compilers=0
for cxx in g++ clang++; do
  command -v "$cxx" >/dev/null || continue
  compilers=$((compilers + 1))
  for header in "${headers[@]}"; do compiles "$cxx" c++ c++17 "$header"; done
  printf '#include "fanin/device.cuh"\n#include "fanin/device.cuh"\nextern int not_empty;\n' |
    "$cxx" -x c++ -std=c++17 "${warnings[@]}" -fsyntax-only -I. - || fail "fanin/device.cuh does not compile alone with $cxx"
  compiles "$cxx" c++ c++20 fanin/fanin.hpp
  for header in "${headers[@]}"; do
    [[ $header == fanin/fanin.h ]] || grep -q "$header$" "$work/taken" || fail "fanin/fanin.hpp does not include $header"
  done
  "$cxx" -std=c++17 "${warnings[@]}" -Wconversion -Werror=narrowing -fsyntax-only -I. "$work/braces.cpp" ||
    fail "braces of a shape do not take every integer type with $cxx"
  echo "ok: ${#headers[@]} headers compile alone with $cxx, without CUDA, nlohmann and Highway"
done
for cc in gcc clang; do
  command -v "$cc" >/dev/null || continue
  for header in "${c_headers[@]}"; do compiles "$cc" c c99 "$header" -Wstrict-prototypes; done
  echo "ok: ${#c_headers[@]} headers compile alone as C99 with $cc"
done
[[ $compilers -gt 0 ]] || fail "neither g++ nor clang++ is installed"

if ! command -v nvcc >/dev/null; then
  echo "skipped: the headers for nvcc, because there is none"
  exit 0
fi
# by_nvcc STANDARD: compiles standard input, with warnings as errors.
by_nvcc() {
  cat >"$work/thrust.cu"
  nvcc "-std=$1" -Werror all-warnings -Xcompiler=-Wall,-Wextra,-Wshadow -I. -c -o "$work/thrust.o" "$work/thrust.cu" 2>"$work/said"
}
by_nvcc c++17 <"$work/braces.cpp" || { cat "$work/said" >&2; fail "braces of a shape do not take every integer type with nvcc"; }
for header in fanin/cuda_types.h fanin/thrust.h fanin/statistics.h fanin/device.cuh; do
  by_nvcc c++17 <<<"#include \"$header\""$'\n'"#include \"$header\"" ||
    { cat "$work/said" >&2; fail "$header does not compile alone as c++17 with nvcc"; }
done
by_nvcc c++20 <<'END' || { cat "$work/said" >&2; fail "fanin/thrust.h does not compile as c++20 with nvcc, or takes no std::span"; }
#include "fanin/statistics.h"
#include "fanin/thrust.h"
#include <span>
void f(const fanin::Initializer& init, std::span<__half> weights, std::span<const float> others) {
  fanin::fill(init, weights, {2, 3});
  fanin::statistics(others);
}
END
# refuses PARAMETER TEXT: a fill of the parameter v does not compile, and the compiler prints the text.
refuses() {
  if by_nvcc c++17 <<END
#include "fanin/thrust.h"
#include <thrust/device_vector.h>
void f(const fanin::Initializer& init, $1) { fanin::fill(init, v, {6}); }
END
  then fail "fanin/thrust.h fills $1"; fi
  grep -qF "$2" "$work/said" || { cat "$work/said" >&2; fail "fanin/thrust.h does not say why it does not fill $1"; }
}
refuses 'thrust::device_vector<int>& v' "weights are floating point"
refuses 'const thrust::device_vector<float>& v' "the elements of this array are const"
echo "ok: the headers for nvcc compile alone with it; fanin/thrust.h refuses integers and const"
