# SPDX-License-Identifier: Apache-2.0
include(CMakePackageConfigHelpers)

# The components are those of the Debian packages (cmake/debian.cmake): what a program needs to run, what is needed to build one,
# and the program fanin.
install(TARGETS fanin fanin_host EXPORT fanin-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY include/fanin DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(FILES LICENSE CHANGELOG.md docs/VALUES.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT development)
if(FANIN_TOOLS)
  install(TARGETS fanin_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
endif()

set(FANIN_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/fanin)
install(EXPORT fanin-targets NAMESPACE fanin:: DESTINATION ${FANIN_PACKAGE_DIR} COMPONENT development)
configure_package_config_file(cmake/fanin-config.cmake.in ${PROJECT_BINARY_DIR}/fanin-config.cmake
  INSTALL_DESTINATION ${FANIN_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fanin-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/fanin-config.cmake ${PROJECT_BINARY_DIR}/fanin-config-version.cmake
  DESTINATION ${FANIN_PACKAGE_DIR} COMPONENT development)

# A C program that links a static library must also link the C++ runtime. -lpthread, because nvcc refuses -pthread. nvcc
# also links the CUDA runtime itself, static or shared; other compilers get the static one from pkg-config --static.
set(FANIN_PC_STATIC_LIBS)
set(FANIN_PC_PRIVATE_LIBS)
if(NOT BUILD_SHARED_LIBS)
  if(FANIN_MPFR_FOUND)
    set(FANIN_PC_STATIC_LIBS " -lmpfr -lgmp")
  endif()
  string(APPEND FANIN_PC_STATIC_LIBS " -lstdc++ -lpthread -lm")
  if(FANIN_CUDA_FOUND)
    set(FANIN_PC_PRIVATE_LIBS " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt")
  endif()
endif()
# Paths are relative to the file itself, so that the installed tree can be moved.
foreach(dir PREFIX FULL_INCLUDEDIR)
  cmake_path(RELATIVE_PATH CMAKE_INSTALL_${dir} BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig OUTPUT_VARIABLE FANIN_PC_${dir})
endforeach()
set(FANIN_PC_NAME fanin)
set(FANIN_PC_LIBRARY fanin)
set(FANIN_PC_DESCRIPTION "${PROJECT_DESCRIPTION}")
configure_file(cmake/fanin.pc.in ${PROJECT_BINARY_DIR}/fanin.pc @ONLY)
set(FANIN_PC_NAME fanin-host)
set(FANIN_PC_LIBRARY fanin_host)
set(FANIN_PC_DESCRIPTION "${PROJECT_DESCRIPTION}, in host memory")
set(FANIN_PC_PRIVATE_LIBS)
configure_file(cmake/fanin.pc.in ${PROJECT_BINARY_DIR}/fanin-host.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/fanin.pc ${PROJECT_BINARY_DIR}/fanin-host.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
  COMPONENT development)

if(BUILD_SHARED_LIBS AND FANIN_TOOLS)
  include(cmake/debian.cmake)
endif()
