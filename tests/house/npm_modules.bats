#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: npm
# scripts/npm-modules installs what a lock file names, by version and hash, and says why it cannot.

bats_require_minimum_version 1.5.0

setup() {
  cd "$BATS_TEST_TMPDIR"
  command -v npm >/dev/null || skip 'there is no npm'
  mkdir source locked
  echo '{"name": "thing", "version": "1.2.3", "main": "index.js"}' >source/package.json
  echo 'module.exports = 7' >source/index.js
  (cd source && npm pack --silent --pack-destination .. >/dev/null)
  echo '{"private": true, "dependencies": {"thing": "file:'"$PWD"'/thing-1.2.3.tgz"}}' >locked/package.json
  (cd locked && npm install --silent --package-lock-only --ignore-scripts)
  NPM_MODULES=$BATS_TEST_DIRNAME/../../scripts/npm-modules
}

@test "a right hash: the module is there, once; a second run and a second process do nothing" {
  "$NPM_MODULES" locked target & "$NPM_MODULES" locked target
  wait
  [ "$(node -p 'require("./target/node_modules/thing")')" = 7 ]
  [ ! -e target/missing ]
  touch target/node_modules/mine
  "$NPM_MODULES" locked target
  [ -e target/node_modules/mine ]
}

@test "a wrong hash: no module, the reason, exit code 1; the right lock file mends it" {
  cp locked/package-lock.json right
  sed -i -E 's,"integrity": "sha512-.{8},"integrity": "sha512-AAAAAAAA,' locked/package-lock.json
  run -1 "$NPM_MODULES" locked target
  [[ $output == *EINTEGRITY* ]]
  grep -q EINTEGRITY target/missing
  [ ! -e target/node_modules/thing ]
  cp right locked/package-lock.json
  "$NPM_MODULES" locked target
  [ -e target/node_modules/thing/index.js ] && [ ! -e target/missing ]
}

@test "a registry that does not answer: the reason without its address" {
  sed -i 's,"file:[^"]*","1.2.3",' locked/package.json
  sed -i '/"resolved"/d; s,"file:[^"]*","1.2.3",' locked/package-lock.json
  npm_config_registry=http://127.0.0.1:1/ npm_config_fetch_retries=0 npm_config_cache=$PWD/cache run -1 "$NPM_MODULES" locked target
  [[ $output == *ECONNREFUSED* && $output != *://* ]]
}

@test "lock files of this repository name hashes and no place to fetch from" {
  local file count=0
  cd "$BATS_TEST_DIRNAME/../.."
  while IFS= read -r file; do
    count=$((count + 1))
    run ! grep -n '"resolved"' "$file" # a module's own addresses, such as that of its sponsors, are never asked
    [ "$(jq '[.packages | to_entries[] | select(.key != "" and (.value.integrity | not))] | length' "$file")" = 0 ]
  done < <(find docker tests plugin -name package-lock.json)
  [ "$count" -ge 3 ]
}
