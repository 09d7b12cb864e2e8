# SPDX-License-Identifier: Apache-2.0
include(CMakePackageConfigHelpers)

install(TARGETS fanin EXPORT fanin-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/fanin DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES LICENSE CHANGELOG.md docs/VALUES.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(FANIN_TOOLS)
  install(TARGETS fanin_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

set(FANIN_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/fanin)
install(EXPORT fanin-targets NAMESPACE fanin:: DESTINATION ${FANIN_PACKAGE_DIR})
configure_package_config_file(cmake/fanin-config.cmake.in ${PROJECT_BINARY_DIR}/fanin-config.cmake
  INSTALL_DESTINATION ${FANIN_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fanin-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/fanin-config.cmake ${PROJECT_BINARY_DIR}/fanin-config-version.cmake
  DESTINATION ${FANIN_PACKAGE_DIR})

# A C program that links the static library must also link the C++ runtime.
set(FANIN_PC_LIBS "-lstdc++ -pthread -lm")
if(FANIN_CUDA_FOUND)
  string(APPEND FANIN_PC_LIBS " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt")
endif()
if(BUILD_SHARED_LIBS)
  set(FANIN_PC_STATIC_LIBS "")
  set(FANIN_PC_PRIVATE_LIBS "${FANIN_PC_LIBS}")
else()
  set(FANIN_PC_STATIC_LIBS "${FANIN_PC_LIBS}")
  set(FANIN_PC_PRIVATE_LIBS "")
endif()
# Paths are relative to the file itself, so that the installed tree can be moved.
foreach(dir PREFIX FULL_INCLUDEDIR)
  cmake_path(RELATIVE_PATH CMAKE_INSTALL_${dir} BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig OUTPUT_VARIABLE FANIN_PC_${dir})
endforeach()
configure_file(cmake/fanin.pc.in ${PROJECT_BINARY_DIR}/fanin.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/fanin.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
