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
  for name in module/turncred.conf:module/module_settings.c turncredd/turncredd.conf:turncredd/*_settings.c; do
    sed -n 's/^#\{0,1\}\([a-z_]*\) = .*/\1/p' "$TC_TOP/plugin/${name%:*}.example" | sort -u | while read -r setting; do
      grep -q "{\"$setting\", SETTING_" "$TC_TOP"/plugin/${name#*:} "$TC_TOP/plugin/store/store_settings.h" || { echo "$name: $setting" && exit 1; }
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
    # no words that a macro has run together
    mandoc -T ascii -O width=400 "$page" | col -b >"$BATS_TEST_TMPDIR/text"
    [ "$(wc -w <"$BATS_TEST_TMPDIR/text")" -gt 500 ]
    ! grep -nE '[a-z)]\.([A-Z][a-z]|/[a-z])|[a-z];[a-z]' "$BATS_TEST_TMPDIR/text" || return 1
    # NAME line that apropos can read
    [[ $page != *turncredctl.1 ]] || continue
    lexgrog "$page"
  done
}

# The strict checks of RFC 5280 are the default of Python 3.13, whose programs refuse a chain that fails them
@test "the certificates of quickstart, of the packages' tests and of the scenarios stand strict checks" {
  local file command
  cd "$BATS_TEST_TMPDIR"
  for file in quickstart packaging/debian/tests/logins packaging/debian/tests/units; do
    command=$(sed -n '/openssl req -x509/,/[^\\]$/p' "$TC_TOP/scripts/$file" | sed 's/.*openssl req/openssl req/; s/\\$//; s/-keyout .*//' | tr '\n' ' ')
    eval "$command -keyout key.pem -out certificate.pem" 2>/dev/null
    openssl x509 -in certificate.pem -noout -ext subjectAltName,keyUsage >extensions
    grep -q 'IP Address:127.0.0.1' extensions
    grep -q 'Digital Signature, Certificate Sign' extensions
  done
  mkdir -p secrets/{tls,edge,database,admin}
  sed "s,/secrets,$PWD/secrets,g" "$TC_TOP/docker/scenarios/common/secrets" |
    PATH=$TC_BUILD:$PATH bash -s - edge.example.org@edge
  openssl verify -x509_strict -CAfile secrets/tls/ca.pem secrets/edge/edge.example.org.pem
  # the check sees what is missing
  rm -r secrets && mkdir -p secrets/{tls,edge,database,admin}
  sed "s,/secrets,$PWD/secrets,g; s/-addext keyUsage=critical,keyCertSign//" "$TC_TOP/docker/scenarios/common/secrets" |
    PATH=$TC_BUILD:$PATH bash -s - edge.example.org@edge
  run openssl verify -x509_strict -CAfile secrets/tls/ca.pem secrets/edge/edge.example.org.pem
  [ "$status" -ne 0 ]
  [[ $output == *'key usage'* ]]
}
