# SPDX-License-Identifier: Apache-2.0
# Debian packages, which scripts/deb builds and tries: libfanin (the shared libraries), libfanin-dev (headers, CMake's and
# pkg-config's files) and fanin (the program).
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME fanin)
set(CPACK_PACKAGE_VENDOR "the fanin project")
set(CPACK_PACKAGE_CONTACT "the fanin project <fanin@example.org>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL library development program)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})  # where the program's own library is
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

# The runtime's version is part of what programs need: until 1.0 a minor version may change the interface.
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY "=")

set(fanin_about "fanin initialises the weights of neural networks: the initializers of Keras,
with the same bits on every processor, GPU, thread count and shard.")
set(this_version "(= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libfanin)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "${fanin_about}\n\nThis package has the shared libraries.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libfanin-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libfanin ${this_version}")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "${fanin_about}\n\nThis package has the headers, and files for CMake and pkg-config.")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME fanin)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS "libfanin ${this_version}")
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "${fanin_about}\n\nThis package has the program.")

# Each package has the licences and the changes where Debian expects them. Other installations do not need these files.
file(READ ${PROJECT_SOURCE_DIR}/python/THIRD_PARTY.md fanin_third_party)
file(WRITE ${PROJECT_BINARY_DIR}/debian/copyright "fanin

Copyright the contributors to fanin.

Licensed under the Apache License, Version 2.0, whose text is in
/usr/share/common-licenses/Apache-2.0 on Debian systems.

The text below is that of the Python package, which compiles the same parts in.

${fanin_third_party}")
string(TIMESTAMP fanin_now "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE ${PROJECT_BINARY_DIR}/debian/changelog "fanin (${PROJECT_VERSION}) unstable; urgency=medium

  * libfanin-dev has what changed: /usr/share/doc/fanin/CHANGELOG.md

 -- ${CPACK_PACKAGE_CONTACT}  ${fanin_now}
")
file(ARCHIVE_CREATE OUTPUT ${PROJECT_BINARY_DIR}/debian/changelog.gz PATHS ${PROJECT_BINARY_DIR}/debian/changelog FORMAT raw COMPRESSION GZip
  COMPRESSION_LEVEL 9)
file(WRITE ${PROJECT_BINARY_DIR}/debian/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/debian/triggers)
foreach(pair "library libfanin" "development libfanin-dev" "program fanin")
  separate_arguments(pair)
  list(GET pair 0 component)
  list(GET pair 1 package)
  install(FILES ${PROJECT_BINARY_DIR}/debian/copyright ${PROJECT_BINARY_DIR}/debian/changelog.gz
    DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${package} COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()
include(CPack)
