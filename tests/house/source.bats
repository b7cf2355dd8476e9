#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# A source package whose download was killed is fetched anew: half of one is never taken for the whole. A folder that no
# build takes is named.

bats_require_minimum_version 1.5.0

# An apt that has coturn 4.99.0 and libnice 0.2. Without the file "whole" all that asked for a source is killed when
# the first file is there. dpkg-source wants both files.
setup() {
  BIN=$BATS_TEST_TMPDIR/bin TURNCRED_CACHE=$BATS_TEST_TMPDIR/cache
  export BIN TURNCRED_CACHE PATH=$BIN:$PATH
  mkdir "$BIN"
  cat >"$BIN/apt-get" <<'END'
#!/bin/sh
case " $* " in
*' source '*)
  echo "$BIN" >source_1.dsc
  [ -e "$BIN/whole" ] || kill -KILL 0
  : >source_1.orig.tar.gz
  ;;
esac
END
  printf '#!/bin/sh\necho "Version: 4.99.0-1"\n' >"$BIN/apt-cache"
  cat >"$BIN/dpkg-source" <<'END'
#!/bin/sh
ls "${3%/*}/source_1.orig.tar.gz" && mkdir -p "$4/agent" && : >"$4/agent/agent.c"
END
  chmod +x "$BIN"/*
}

# fetched COMMAND...: killed first, whole then
fetched() {
  run ! setsid -w "$@"
  touch "$BIN/whole"
  run -0 --separate-stderr "$@"
  [ -f "$output/agent/agent.c" ]
  rm "$BIN/whole" # there is nothing left to fetch
  run -0 --separate-stderr setsid -w "$@"
  [ -f "$output/agent/agent.c" ]
}

@test "coturn of this release, killed in the download" {
  fetched "$BATS_TEST_DIRNAME/../../scripts/build-coturn" --print-newer-source
}

@test "libnice, killed in the download" {
  fetched "$BATS_TEST_DIRNAME/../../scripts/build-libnice" --print-source
}

@test "a folder with a blank in its name: build-coturn says so, and fetches and builds nothing" {
  run -1 "$BATS_TEST_DIRNAME/../../scripts/build-coturn" --out "$BATS_TEST_TMPDIR/two words"
  [[ $output == *"there is a blank in $BATS_TEST_TMPDIR/two words"* ]]
  [ ! -e "$TURNCRED_CACHE" ] && [ ! -e "$BATS_TEST_TMPDIR/two words" ]
}
