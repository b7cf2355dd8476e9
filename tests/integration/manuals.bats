#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# --help, settings and manuals say the same; every program has a manual, and every manual is sound.
# (turncredctl's own is made of its table of commands: ctl/offline.bats.)

load lib

setup() {
  ROFF=("$TC_TOP/plugin/core/turncred.3" "$TC_TOP/plugin/module/turncred.conf.5"
    "$TC_TOP/plugin/turncredd/turncredd.8" "$TC_TOP/plugin/turncredd/turncredd.conf.5"
    "$TC_BUILD/plugin/ctl/turncredctl.1")
}

# options of a help or of a manual's section OPTIONS
options_of() { grep -oE '(^|[ ,])--[a-z-]+' | tr -d ' ,' | sort -u; }

@test "turncredd --help and turncredd(8) name the same options" {
  "$TC_BUILD/turncredd" --help | options_of >"$BATS_TEST_TMPDIR/help"
  sed -n '/^\.SH OPTIONS/,/^\.SH RES/p' "$TC_TOP/plugin/turncredd/turncredd.8" | sed 's/\\-/-/g; s/"/ /g' |
    options_of >"$BATS_TEST_TMPDIR/manual"
  [ "$(wc -l <"$BATS_TEST_TMPDIR/help")" -ge 4 ]
  diff "$BATS_TEST_TMPDIR/help" "$BATS_TEST_TMPDIR/manual"
}

# The tables of settings: name, default and bounds, against each page
@test "turncred.conf(5) and turncredd.conf(5) name every setting and no other, with their defaults" {
  /usr/bin/python3 "$BATS_TEST_DIRNAME/manuals.py" "$TC_TOP"
}

@test "every setting of the examples exists, and turncredd takes its own" {
  local name
  for name in module/turncred.conf:module/module_settings.c turncredd/turncredd.conf:turncredd/daemon_settings.c; do
    sed -n 's/^#\{0,1\}\([a-z_]*\) = .*/\1/p' "$TC_TOP/plugin/${name%:*}.example" | sort -u | while read -r setting; do
      grep -q "{\"$setting\", SETTING_" "$TC_TOP/plugin/${name#*:}" "$TC_TOP/plugin/store/store_settings.h" || { echo "$name: $setting" && exit 1; }
    done
  done
}

@test "every program and configuration file has a manual, and names it" {
  local program
  for program in turncredctl turncredd; do
    printf '%s\n' "${ROFF[@]}" | grep -q "/$program\.[18]$"
    "$TC_BUILD/$program" --help >/dev/null
    "$TC_BUILD/$program" --version | grep -q "^$program [0-9]"
  done
  "$TC_BUILD/turncredctl" --help | grep -q 'turncredctl(1)'
  "$TC_BUILD/turncredd" --help | grep -q 'turncredd.conf(5)'
}

@test "every manual is sound" {
  local page
  for page in "${ROFF[@]}"; do
    mandoc -T lint -W warning "$page" >"$BATS_TEST_TMPDIR/lint" || true
    # a page of this project that another names is none of the system's
    ! grep -v 'referenced manual not found\|outdated mandoc.db\|operating system' "$BATS_TEST_TMPDIR/lint" || return 1
    man --warnings -l "$page" 2>&1 >/dev/null | tee "$BATS_TEST_TMPDIR/groff"
    [ ! -s "$BATS_TEST_TMPDIR/groff" ]
    # NAME line that apropos can read
    [[ $page != *turncredctl.1 ]] || continue
    lexgrog "$page"
  done
}
