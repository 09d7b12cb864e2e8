#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks what a shared library exports: all functions of fanin/fanin.h and the public names of namespace fanin, and
# nothing else.
#
#     tests/package/exports.sh libfanin.so [libfanin.a]
#
# With a static library of the same build it also checks that the shared one exports everything public that this defines.
# Exit status 1: the check failed, and the names that are wrong are printed.
set -euo pipefail
export LC_ALL=C

# Patterns for mangled names, which begin with the namespace; a demangled template begins with its return type.
public='^(fanin_[a-z_]+|_ZNK?5fanin.*|_ZT[ISV]N5fanin.*)$'
inner='^(_ZNK?|_ZT[ISV]N)5fanin(6detail|3cpu|3gpu|4core)'

exported=$(nm -D --defined-only "$1" | awk 'NF == 3 && $2 ~ /[A-Z]/ {print $3}' | sort -u)
header=$(dirname "$0")/../../include/fanin/fanin.h
missing=$(comm -23 <(sed -nE 's/^FANIN_C_API .*[ *](fanin_[a-z_]+)\(.*/\1/p' "$header" | sort -u) <(echo "$exported"))
[[ -z $missing ]] || { echo "$1 does not export ${missing//$'\n'/ }"; exit 1; }
others=$(grep -vE "$public" <<<"$exported" || true; grep -E "$inner" <<<"$exported" || true)
if [[ -n $others ]]; then
  echo "$1 exports these names:"
  c++filt <<<"$others"
  exit 1
fi

# Weak symbols do not count: a user's compiler makes its own.
offered() { nm --defined-only "$@" | awk 'NF == 3 && $2 ~ /[BDRT]/ {print $3}' | grep -E "$public" | grep -vE "$inner" | sort -u | c++filt; }
if [[ $# -gt 1 ]]; then
  diff <(offered "$2") <(offered -D "$1") || { echo "$2 (<) and $1 (>) do not offer the same names"; exit 1; }
fi
