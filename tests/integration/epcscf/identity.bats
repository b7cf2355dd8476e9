#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Whose credential it is: who authenticated on the connection, under one canonical name, and nothing that a client writes.

load ../lib
load ../turncredd/daemon
load epcscf

# as the subscriber file has them: domain, canonical name, the username that a client's digest has
names=(ims.test bob%40corp bob@corp
  ims.test anna%20maria 'anna maria'
  ims.test josé josé
  ims.test +491234 +491234
  ims.test 100%25 100%
  ims.test %2561lice %61lice
  ims.test "o'brien" "o'brien"
  ims.test credit-union-select credit-union-select
  ims.test spelled%40out spelled%40out
  ims.test 'a;b?c/d&e=f$g,h' 'a;b?c/d&e=f$g,h'
  other.test 'josé' 'josé'
  other.test bob%40corp bob@corp)

setup_file() {
  edge_up || return 0
  local i
  for ((i = 0; i < ${#names[@]}; i += 3)); do
    subscriber "${names[i + 1]}" "${names[i]}" "${names[i + 2]}"
  done >>"$TC_DIR/subscribers/subscriber"
  daemon_start main 'push_wait = 1s' 'subject_rate = 100000'
  edge_start main "LISTEN_WS tcp:127.0.0.1:@PLAIN@"
  synced
}
setup() { edge_ready; }
teardown() {
  kill -CONT "$(daemon_pid main 2>/dev/null)" 2>/dev/null || true
  turncred_check
  daemon_check
  edge_check
}
teardown_file() { edge_down; }

@test "OPTIONS: names in From, To, Contact and P-Asserted-Identity change nothing about whose credential it is" {
  phones_step main names_that_a_client_writes
}

@test "a revoked subscriber gets nothing under any spelling" {
  phones_step main revoked_in_every_spelling
}

@test "one connection, one subscriber: another one registers after the first has gone" {
  phones_step main one_connection_one_subscriber
}

@test "the digest's password is looked up for the name in To, whatever the digest calls itself" {
  phones_step main digest_of_another_name
}

@test "what a connection proved does not outlive it" {
  phones_step main not_after_the_connection
}

@test "a connection that closes ends the registration and takes its pushed credential along" {
  phones_step main closed_connection
}

@test "domains in capitals and with a dot behind, in To, From, request URI and digest, and in realms.cfg" {
  phones_step main domains_in_any_case
  edge_start capitals 'realm:Big.Example kinds "derived"' 'realm:Big.Example realm "turn.test"' 'realm:Big.Example ttl 0' \
    'realm:Big.Example renew 0' 'realm:Big.Example user_id "uri"'
  phones_step capitals domain_in_capitals_in_realms
}

@test "names with escapes: one canonical name for all spellings, case kept, and it allocates" {
  phones_step main names_with_escapes
}

@test "names that are none: broken escapes, control characters" {
  phones_step main broken_names
}

@test "calls find a subscriber by every spelling of its name" {
  phones_step main called_by_every_spelling
}

@test "Require and Proxy-Require: unknown tags get 420, with these alone in Unsupported" {
  phones_step main unknown_option_tags
}

@test "Require: turncred: a credential, or no success and the reason" {
  phones_step main credential_required
  kill -STOP "$(daemon_pid main)"
  phones_step main credential_required_and_nobody_there
  kill -CONT "$(daemon_pid main)"
}

@test "HA1B: a digest whose username has the domain in it" {
  local line dir=$TC_DIR/whole
  mkdir -p "$dir"
  {
    echo 'username(string) domain(string) ha1(string) ha1b(string)'
    while IFS=: read -r name domain ha1; do
      printf '%s:%s:%s:%s\n' "$name" "$domain" "$ha1" \
        "$(printf '%s@%s:%s:%s' "$name" "$domain" "$domain" "$(<"$TC_DIR/passwords/$name@$domain")" | md5sum | cut -d' ' -f1)"
    done < <(grep -E '^(alice|bob):' "$TC_DIR/subscribers/subscriber")
  } >"$dir/subscriber"
  edge_start whole 'HA1B yes' "SUBSCRIBERS \"text://$dir\""
  phones_step whole digest_with_the_domain
}
