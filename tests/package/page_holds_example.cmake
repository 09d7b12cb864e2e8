# SPDX-License-Identifier: Apache-2.0
# Checks that a page's example is the program that is built and run.
file(READ ${PAGE} page)
file(READ ${EXAMPLE} example)
string(REPLACE "// SPDX-License-Identifier: Apache-2.0\n" "" example "${example}")
string(FIND "${page}" "${example}" at)
if(at EQUAL -1)
  message(FATAL_ERROR "${PAGE} does not contain the text of ${EXAMPLE}")
endif()
