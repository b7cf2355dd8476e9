#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: ejabberd
# The eP-CSCF before ejabberd's mod_sip, a registrar that keeps no Path: registration with both kinds of credentials, and calls.

load ../lib
load ../turncredd/daemon
load epcscf

setup_file() {
  edge_up || return 0
  daemon_start main 'push_wait = 1s'
  ejabberd_start || touch "$TC_DIR/no-ejabberd"
  before_ejabberd main 'EDGE_OWN_CONTACT yes'
  synced
}
setup() {
  edge_ready
  [[ ! -e $TC_DIR/no-ejabberd ]] || skip "ejabberd or erlang-p1-sip is not installed"
}
teardown() { turncred_check; daemon_check; edge_check; }
teardown_file() { registrars_down; edge_down; }

before_ejabberd() {
  edge_start "$1" -SUBSCRIBERS "EDGE_REGISTRAR \"sip:127.0.0.2:$(registrar_port ejabberd);transport=tcp\"" 'EDGE_PATH "127.0.0.1:@PLAIN@;transport=tcp"' \
    'LISTEN_EDGE tcp:127.0.0.1:@PLAIN@' "${@:2}"
}

# ejabberd as its package has it, by TCP (by UDP it takes a repeated request for another one when it is busy, EDGE.md), without ejabberdctl, at 127.0.0.2 and with the edge's subscribers
ejabberd_start() {
  local dir=$TC_DIR/registrars/ejabberd libraries=(/usr/lib/*/ejabberd-*)
  compgen -G '/usr/lib/erlang/lib/p1_sip-*' >/dev/null && [[ -d ${libraries[0]} ]] || return 1
  mkdir -p "$dir/home"
  free_port >"$dir/port"
  cat >"$dir/ejabberd.yml" <<YAML
hosts: [ims.test]
loglevel: info
certfiles: []
auth_method: [internal]
auth_password_format: plain
listen:
  - {port: $(<"$dir/port"), ip: "127.0.0.2", transport: tcp, module: ejabberd_sip}
modules:
  mod_sip:
    always_record_route: true
    record_route: "sip:127.0.0.2:$(<"$dir/port");transport=tcp;lr"
    routes: ["sip:127.0.0.2:$(<"$dir/port");transport=tcp;lr"]
    via: [{type: tcp, host: "127.0.0.2", port: $(<"$dir/port")}]
YAML
  cat >"$dir/users.erl" <<'ERL'
-module(users).
-export([add/0]).
%% registers NAME@DOMAIN of the files passwords/NAME@DOMAIN, and says so
add() ->
    {ok, [[Folder]]} = init:get_argument(folder),
    lists:foreach(
      fun(File) ->
              [Name, Domain] = string:split(filename:basename(File), "@"),
              {ok, Password} = file:read_file(File),
              ok = ejabberd_auth:try_register(list_to_binary(Name), list_to_binary(Domain), string:trim(Password))
      end, filelib:wildcard(Folder ++ "/passwords/*@ims.test")),
    ok = file:write_file("ready", "").
ERL
  (cd "$dir" && exec env HOME="$dir/home" ERL_LIBS="${libraries[0]%/*}" EJABBERD_CONFIG_PATH="$dir/ejabberd.yml" \
    EJABBERD_LOG_PATH="$dir/ejabberd.log" sh -c 'erlc users.erl && exec erl -noinput -folder "$0" -mnesia dir "\"$1/mnesia\"" -s ejabberd -s users add' \
    "$TC_DIR" "$dir" >"$dir/log" 2>&1 </dev/null 3>&- 4>&-) &
  echo $! >"$dir/pid"
  disown
  wait_for 90 ejabberd_ready && return
  cat "$dir/log" "$dir/ejabberd.log"
  return 1
}
ejabberd_ready() {
  [[ -e $TC_DIR/registrars/ejabberd/ready && -n $(ss -Hlnt "( sport = :$(registrar_port ejabberd) )") ]]
}

@test "registered by ejabberd: credentials of both kinds, and their end" {
  phones_step main both_kinds
}

@test "a call each way between two phones behind the edge, and a message" {
  phones_step main calls
}

@test "a phone that comes back is called over its last connection; one that is gone is not called" {
  phones_step main comes_back
}

@test "without the edge's own Contact ejabberd's calls find no phone" {
  before_ejabberd without
  phones_step without no_way
}
