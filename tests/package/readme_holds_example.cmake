# SPDX-License-Identifier: Apache-2.0
# Checks that the README's example is the program that is built and run.
file(READ ${README} readme)
file(READ ${EXAMPLE} example)
string(REPLACE "// SPDX-License-Identifier: Apache-2.0\n" "" example "${example}")
string(FIND "${readme}" "${example}" at)
if(at EQUAL -1)
  message(FATAL_ERROR "${README} does not contain the text of ${EXAMPLE}")
endif()
