#!/usr/bin/env bats
# turnserver.conf is read as coturn reads it: by coturn's own functions, taken out of its source, and by real servers
# SPDX-License-Identifier: BSD-3-Clause
#
# $TURNCRED_COTURN_TREES: more trees of coturn's, separated by blanks

load ../lib

setup_file() {
  turncred_need "$TC_BUILD/tests/integration/conf_dump"
  # Debian's and the patched one
  TREES="$("$TC_TOP/scripts/build-coturn" --print-source) ${TC_TURNSERVER%/bin/turnserver}/src ${TURNCRED_COTURN_TREES-}"
  export TREES
}

@test "random lines: coturn and the import find the same options and values" {
  # shellcheck disable=SC2086 # a list of folders
  turn_step none agree $TREES
}

@test "every option of coturn is classified" {
  # shellcheck disable=SC2086
  turn_step none classified $TREES
}
