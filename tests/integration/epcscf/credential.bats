#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Phones get TURN credentials from the eP-CSCF: which phone gets which credential, and the patched server accepts it.

load ../lib
load ../turncredd/daemon
load epcscf

setup_file() {
  edge_up || return 0
  daemon_start main 'push_wait = 1s'
  edge_start main
  synced
}
setup() { edge_ready; }
teardown() { turncred_check; daemon_check; edge_check; }
teardown_file() { edge_down; }

@test "derived: REGISTER asks, the answer's credential allocates over UDP and TCP" {
  phones_step main derived_allocates
}

@test "pushed: allocates; after unregistering it fails, and nobody has the row any more" {
  phones_step main pushed_allocates_until_unregistered
}

@test "the option tag asks for the kind that the domain prefers" {
  phones_step main option_tag
}

@test "a phone gets no credential without asking, and none of a kind that the domain does not have" {
  phones_step main not_asked_for
}

@test "kinds that a domain does not have are not handed out" {
  edge_start narrow 'realm:ims.test kinds "pushed"'
  phones_step narrow kinds_that_the_domain_has_not
}

@test "a blank between the kinds of a domain, and capitals, mean nothing" {
  edge_start blank 'realm:ims.test kinds " Derived , PUSHED "'
  phones_step blank kinds_with_blanks
}

@test "several kinds in one request: the first that the domain has" {
  phones_step main first_of_several_kinds
  edge_start pushing 'realm:ims.test kinds "pushed"' 'realm:ims.test renew_pushed 100'
  phones_step pushing first_that_the_domain_has
}

@test "who gets no credential is told why, and by this eP-CSCF alone" {
  edge_start why 'realm:ims.test kinds "derived"' 'LISTEN_WS tcp:127.0.0.1:@PLAIN@' 'LISTEN_UDP udp:127.0.0.1:@PLAIN@'
  phones_step why reasons
}

@test "401, wrong passwords and other refusals carry none" {
  phones_step main refusals
}

@test "no phone gets another user's credential: the digest's user is the identity" {
  phones_step main identity_is_the_password
}

@test "expires=0, queries and unregistering in other spellings: none" {
  phones_step main unregistering_and_queries
}

@test "OPTIONS: in the flow that was registered, and in no other" {
  phones_step main options_in_its_flow_alone
}

@test "without TLS: registered, but no credential, over ws and UDP" {
  edge_start plain "LISTEN_WS tcp:127.0.0.1:@PLAIN@" "LISTEN_UDP udp:127.0.0.1:@PLAIN@"
  phones_step plain without_tls
}

@test "copies of the header from outside go no further, in requests and in answers" {
  phones_step main copies_of_the_header
}

@test "calls come from registered flows alone" {
  phones_step main calls_of_registered_flows
}

@test "new at every registration, or the same until a part of its life is over" {
  edge_start keeps 'realm:ims.test renew 50' 'realm:ims.test ttl 8'
  phones_step main new_at_every_registration
  phones_step keeps kept_for_a_part_of_its_life
}

@test "a registration that runs out takes the pushed credential along" {
  edge_start brief 'MIN_EXPIRES 1'
  phones brief <<'PY'
async with phone("carol") as p:
    got = (await p.register("pushed", expires=3)).credential()
    probe(got)
await refused(got, limit=30)
PY
}

@test "who registered over a connection is known as long as the registration lasts, whatever the table's own time is" {
  edge_start known
  edge_stop known
  sed -i 's/\(who=>size=12;autoexpire=\)7200/\12/' "$TC_DIR/edges/known/kamailio.cfg"
  edge_run known
  phones known <<'PY'
async with phone("alice") as p:
    assert (await p.register("derived", expires=120)).credential()
    await asyncio.sleep(4)  # the table's time is two seconds here
    assert (await p.options("derived")).credential()
PY
}

@test "a life as long as the registration" {
  edge_start bound 'realm:ims.test ttl -1'
  phones bound <<'PY'
async with phone("alice") as p:
    assert 118 <= int((await p.register("derived", expires=120)).credential()["expires"]) <= 120
    assert 118 <= int((await p.options("derived")).credential()["expires"]) <= 120
PY
}

@test "user ids that are URIs" {
  phones_step main uris_as_user_ids
}

@test "a revoked user: old credentials fail, registration goes on without a credential" {
  phones_step main revoked_subscriber
}

@test "a client certificate instead of the key" {
  caller_add by-certificate derived turn.test --certificate "$TC_DIR/tls/client.pem"
  edge_start certificate -TURNCREDD_KEY_FILE "TURNCREDD_CLIENT_CERTIFICATE \"$TC_DIR/tls/client.pem\"" \
    "TURNCREDD_CLIENT_KEY \"$TC_DIR/tls/client.key\""
  phones_step certificate client_certificate
  [ "$(sql "SELECT count(*) > 0 FROM turncred.issue_log WHERE caller = 'by-certificate'")" = t ] ||
    wait_for 5 by_certificate
}
by_certificate() { [ "$(sql "SELECT count(*) > 0 FROM turncred.issue_log WHERE caller = 'by-certificate'")" = t ]; }

@test "a turncredd without a valid certificate gets no key" {
  edge_start stranger "TURNCREDD_CA \"$TC_DIR/tls/otherca.pem\""
  phones stranger <<'PY'
async with phone("alice") as p:
    answer = await p.register("derived")
    assert answer.status == 200 and not answer.credential()
PY
  edge_log_has stranger 'turncredd does not answer'
}

@test "a missing key file is said at start" {
  edge_start keyless "TURNCREDD_KEY_FILE \"$TC_DIR/nowhere\""
  edge_log_has keyless 'cannot read a bearer key'
  phones keyless <<'PY'
async with phone("alice") as p:
    answer = await p.register("derived")
    assert answer.status == 200 and not answer.credential()
PY
}

@test "no key, no password in logs and arguments" {
  local pid
  pid=$(<"$TC_DIR/edges/main/pid")
  [ "$(pgrep -P "$pid" | wc -l)" -gt 5 ]
  run ! grep -aqFf "$TC_DIR/callers/edge" <(cat "/proc/$pid/cmdline" $(pgrep -P "$pid" | sed 's,.*,/proc/&/cmdline /proc/&/environ,'))
  run ! grep -hFf "$TC_DIR/callers/edge" "$TC_DIR"/edges/*/log
  # Kamailio 6 logs the settings of TLS, with dots in the place of a password
  run ! grep -hP "(?<!private_key_)password=|private_key_password='(?!\(null\)'|\.\.\.')|[A-Za-z0-9_-]{43}" "$TC_DIR"/edges/*/log
  # Kamailio logs the operands of an expression that it does not like; of a header that is too long it logs the length
  ! sed '/local buffer length exceeded \[[0-9]*\/[0-9]*\]!$/d' "$TC_DIR/edges/main/log" | grep -E 'conversion.*failed|substr out|pv_'
}

@test "as many credentials as one likes take no shared memory" {
  edge_start small 'TURNCREDD_PAUSE 1'
  phones_step small many_credentials 100
  local before
  before=$(shared_memory small)
  phones_step small many_credentials 200
  # a credential less than 1 KB; it is 15 KB with the manager qm
  wait_for 20 shared_memory_below small $((before + 200 * 1024))
}
shared_memory() { kamcmd -s "unix:$TC_DIR/edges/$1/run/ctl" core.shmmem | awk '$1 == "real_used:" { print $2 }'; }
shared_memory_below() { (($(shared_memory "$1") < $2)); }

@test "a Kamailio that wants the preloaded library says at its start that it is not there" {
  local library=$TC_PRELOAD says='LD_PRELOAD does not name epcscf_fork_apart.so'
  TC_PRELOAD='' edge_start bare
  if [[ $library ]]; then
    edge_log_has bare "CRITICAL: .*$says"
  else # 5.8 and later
    run ! grep -q "$says" "$TC_DIR/edges/bare/log"
  fi
  run ! grep -q "$says" "$TC_DIR/edges/main/log"
}
