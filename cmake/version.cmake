# SPDX-License-Identifier: Apache-2.0
# Reads FANIN_VERSION_TEXT from the header that defines the version.
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/../include/fanin/version.h" _fanin_lines REGEX "define FANIN_VERSION_(MAJOR|MINOR|PATCH)")
string(REGEX REPLACE "[^0-9;]" "" _fanin_numbers "${_fanin_lines}")
list(JOIN _fanin_numbers "." FANIN_VERSION_TEXT)
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/../include/fanin/version.h" _fanin_line REGEX "define FANIN_VERSION \"")
if(NOT _fanin_line MATCHES "\"${FANIN_VERSION_TEXT}\"")
  message(FATAL_ERROR "include/fanin/version.h has the numbers ${FANIN_VERSION_TEXT}, but the text ${_fanin_line}")
endif()
