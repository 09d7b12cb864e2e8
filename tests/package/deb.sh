#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages into an empty root, uses them there as a developer and as a user would, and removes them.
#
#     tests/package/deb.sh FOLDER_OF_PACKAGES WORK_DIR
#
# The root has no other package, so that dependencies are not satisfied there; apt says whether this system would satisfy them.
# Shell code in single quotes is for the shells that run it.
# shellcheck disable=SC2016
set -euo pipefail
export LC_ALL=C
packages=$(realpath "$1")
work=$(realpath "$2")/deb-root
source=$(cd "$(dirname "$0")/../.." && pwd)
rm -rf "$work" && mkdir -p "$work"
root=$work/root

. "$source/tests/package/check.sh"
version=$(sed -n 's/.*define FANIN_VERSION "\(.*\)".*/\1/p' "$source/include/fanin/version.h")
architecture=$(dpkg --print-architecture)
debs=()
for name in libfanin libfanin-dev fanin; do
  debs+=("$packages/${name}_${version}_$architecture.deb")
  check "there is ${name}_${version}_$architecture.deb" test -s "${debs[-1]}"
done
field() { dpkg-deb --field "$packages/${1}_${version}_$architecture.deb" "$2"; }
for name in libfanin-dev fanin; do
  check "$name needs this version of libfanin" grep -F "libfanin (= $version)" <<<"$(field "$name" Depends)"
done
check "libfanin needs the C++ runtime" grep -F libstdc++6 <<<"$(field libfanin Depends)"
check "libfanin needs MPFR" grep -F libmpfr6 <<<"$(field libfanin Depends)"
check "apt would install them here" apt-get install --simulate "${debs[@]}"

mkdir -p "$root/var/lib/dpkg/"{info,updates,triggers}
touch "$root/var/lib/dpkg/status"
in_root=(dpkg --root="$root" --force-not-root --log=/dev/null)
check "dpkg installs them into an empty root" "${in_root[@]}" --force-depends --force-script-chrootless --install "${debs[@]}"
libraries=$root/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
check "the library is in the architecture's folder" test -e "$libraries/libfanin.so.$version"
for name in libfanin libfanin-dev fanin; do
  check "$name has its licence and its changes" test -s "$root/usr/share/doc/$name/copyright" -a -s "$root/usr/share/doc/$name/changelog.gz"
done
check "the changes can be read" bash -c 'zcat "$1" | grep -F "($2)"' - "$root/usr/share/doc/fanin/changelog.gz" "$version"
check "and libfanin-dev has them" grep "^## $version" "$root/usr/share/doc/fanin/CHANGELOG.md"
check "no file names the build's folders" bash -c '! grep -rlF "$1" "$2/usr"' - "$source" "$root"
check "the program has no search path of its own" bash -c '! readelf -d "$1" | grep -E "RPATH|RUNPATH"' - "$root/usr/bin/fanin"

export LD_LIBRARY_PATH=$libraries
check "fanin doctor finds nothing wrong" "$root/usr/bin/fanin" doctor
check "fanin fills" "$root/usr/bin/fanin" fill --init he_normal --shape 64,128 --seed 42 --name layer.0.weight --out "$work/w.npy"

check "a consumer's CMake finds the package" cmake -S "$source/tests/package/find_package" -B "$work/find" -DCMAKE_PREFIX_PATH="$root/usr" \
  -DCMAKE_BUILD_TYPE=Release -DFANIN_WANTED="${version%.*}"
check "and takes it from the root" grep -F "fanin_DIR:PATH=$libraries/cmake/fanin" "$work/find/CMakeCache.txt"
check "the consumer links" cmake --build "$work/find"
check "and runs" "$work/find/consumer"
export PKG_CONFIG_PATH=$libraries/pkgconfig
# shellcheck disable=SC2046
check "a C program links with pkg-config" cc -std=c99 -o "$work/plan" "$source/examples/plan.c" $(pkg-config --cflags --libs fanin)
check "and runs" "$work/plan"
unset LD_LIBRARY_PATH
check "dpkg removes them" "${in_root[@]}" --force-script-chrootless --purge fanin libfanin-dev libfanin
check "and leaves nothing" bash -c '! find "$1/usr" -type f 2>/dev/null | grep .' - "$root"
rm -rf "$work"
echo "all checks of the Debian packages passed"
