#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The page's modules under node: digests, SIP, the Turn-Credential header field.

@test "the page's modules (modules.mjs)" {
  command -v node >/dev/null || skip "node is not installed"
  node --test "${BATS_TEST_DIRNAME}/modules.mjs"
}

@test "every module of the page is one that the page loads, and is in the tarball" {
  cd "${BATS_TEST_DIRNAME}/../../../plugin/examples/portal"
  # the portal serves oauth4webapi.mjs from npm, where users sign in at a provider
  loaded=$({ echo page.mjs; grep -hoE "(from |import\()'\./[a-z0-9-]+\.mjs'" page/*.mjs | sed "s,.*/,,; s/'//"; } | grep -vx oauth4webapi.mjs | sort -u)
  [ "$loaded" = "$(cd page && printf '%s\n' *.mjs | sort)" ]
  for file in portal portal.conf.example README.md page/* service/*.py; do
    grep -q "plugin/examples/portal/$file" portal.am
  done
}
