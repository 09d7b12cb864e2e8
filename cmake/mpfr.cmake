# SPDX-License-Identifier: Apache-2.0
# Looks for MPFR as FANIN_MPFR says. Sets FANIN_MPFR_FOUND, FANIN_MPFR_INCLUDE_DIRS and what to link: FANIN_MPFR_LIBRARIES,
# and FANIN_MPFR_LINK for a library that is installed.
set(FANIN_MPFR_FOUND FALSE)
set(FANIN_MPFR_INCLUDE_DIRS)
set(FANIN_MPFR_LIBRARIES)
set(FANIN_MPFR_LINK)
if(NOT FANIN_MPFR MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "FANIN_MPFR must be AUTO, ON or OFF. Received: ${FANIN_MPFR}")
endif()
if(NOT FANIN_MPFR STREQUAL "OFF")
  find_path(FANIN_MPFR_INCLUDE_DIR mpfr.h DOC "MPFR's header (Debian: libmpfr-dev)")
  find_path(FANIN_GMP_INCLUDE_DIR gmp.h PATH_SUFFIXES ${CMAKE_LIBRARY_ARCHITECTURE} DOC "GMP's header, which MPFR's includes")
  find_library(FANIN_MPFR_LIBRARY mpfr DOC "MPFR's library")
  if(FANIN_MPFR_INCLUDE_DIR AND FANIN_GMP_INCLUDE_DIR AND FANIN_MPFR_LIBRARY)
    set(FANIN_MPFR_FOUND TRUE)
    set(FANIN_MPFR_INCLUDE_DIRS ${FANIN_MPFR_INCLUDE_DIR} ${FANIN_GMP_INCLUDE_DIR})
    set(FANIN_MPFR_LIBRARIES ${FANIN_MPFR_LIBRARY})
    set(FANIN_MPFR_LINK $<BUILD_INTERFACE:${FANIN_MPFR_LIBRARY}> $<INSTALL_INTERFACE:mpfr>
        $<INSTALL_INTERFACE:gmp>)  # which a static MPFR needs
  elseif(FANIN_MPFR STREQUAL "ON")
    message(FATAL_ERROR "FANIN_MPFR=ON, but MPFR was not found. Install it (Debian: apt-get install libmpfr-dev), or set "
                        "FANIN_MPFR_INCLUDE_DIR, FANIN_GMP_INCLUDE_DIR and FANIN_MPFR_LIBRARY. With ${fanin_setting}FANIN_MPFR=OFF, fills "
                        "refuse log, exp and their relatives in a Formula.")
  else()
    message(STATUS "fanin: MPFR not found; a Formula has no log, exp and their relatives")
  endif()
endif()
