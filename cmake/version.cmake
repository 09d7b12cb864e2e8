# SPDX-License-Identifier: Apache-2.0
# FANIN_VERSION_TEXT, read from the one place where the version stands.
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/../include/fanin/version.h" _fanin_lines REGEX "define FANIN_VERSION_(MAJOR|MINOR|PATCH)")
string(REGEX REPLACE "[^0-9;]" "" _fanin_numbers "${_fanin_lines}")
list(JOIN _fanin_numbers "." FANIN_VERSION_TEXT)
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/../include/fanin/version.h" _fanin_line REGEX "define FANIN_VERSION \"")
if(NOT _fanin_line MATCHES "\"${FANIN_VERSION_TEXT}\"")
  message(FATAL_ERROR "include/fanin/version.h says ${FANIN_VERSION_TEXT} in numbers and ${_fanin_line} in text")
endif()
