# SPDX-License-Identifier: Apache-2.0
vcpkg_download_distfile(archive
  URLS "https://example.org/fanin-${VERSION}.tar.gz"
  FILENAME "fanin-${VERSION}.tar.gz"
  SHA512 0)
vcpkg_extract_source_archive(source ARCHIVE "${archive}")

vcpkg_check_features(OUT_FEATURE_OPTIONS features FEATURES
  tools FANIN_TOOLS)
set(cuda OFF)
if("cuda" IN_LIST FEATURES)
  set(cuda ON)
endif()
set(mpfr OFF)
if("mpfr" IN_LIST FEATURES)
  set(mpfr ON)
endif()

vcpkg_cmake_configure(SOURCE_PATH "${source}"
  OPTIONS ${features} -DFANIN_CUDA=${cuda} -DFANIN_MPFR=${mpfr} -DFANIN_TESTS=OFF -DFANIN_EXAMPLES=OFF)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/fanin)
vcpkg_fixup_pkgconfig()
if("tools" IN_LIST FEATURES)
  vcpkg_copy_tools(TOOL_NAMES fanin AUTO_CLEAN)
endif()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${source}/LICENSE")
