# shellcheck shell=bash
# shellcheck disable=SC2034,SC2317 # for those who source it
# SPDX-License-Identifier: BSD-3-Clause
# Functions for the script of a check. The check prints a table, one row for each result, and its exit code is the
# verdict: 0 green, 10 red. Any other exit code means that the set-up is broken.
#
#   . /opt/common/check.bash
#   expect 0 "token over udp" turncredctl probe ...       the command's exit code
#   expect_text 'granted' "what the log says" echo ...    a word or regular expression in the command's output
#   ask stop database                                     a fault from outside: see ask
#   conclude
set -uo pipefail
server=turn.example.org:3478
handed=/var/lib/handed-over
rows=0 red=0
out=$(mktemp -d) || exit 1

# row ok|FAILED WHAT SEEN
row() {
  rows=$((rows + 1))
  [[ $1 == ok ]] || red=$((red + 1))
  printf '%-7s %-56s %s\n' "$1" "$2" "$3"
}

# gist: reduces the output of a command to the text for the table
gist() {
  local line
  if [[ $(head -c 1 "$out/text") == '{' ]]; then
    line=$(sed -En 's/^ *"(xor-relayed-address|failed|code|error|username|kid|expires_in)": "?([^",]*).*/\1 \2/p' "$out/text" |
      awk '$0 != "code 0" && !seen[$0]++' | paste -sd ' ')
  else
    line=$(grep -m 1 FAILED "$out/text" || grep -m 1 '^allocate ' "$out/text" || grep -v '^[[:space:]]*$' "$out/text" | tail -n 1)
  fi
  tr -s ' ' <<<"${line:0:160}"
}

# expect CODE WHAT COMMAND...
expect() {
  local wanted=$1 what=$2 got
  shift 2
  "$@" >"$out/text" 2>&1 </dev/null
  got=$?
  if [[ $got == "$wanted" ]]; then
    row ok "$what" "$(gist)"
  else
    row FAILED "$what" "exit code $got instead of $wanted: $(gist)"
    cat "$out/text" >&2
  fi
}

# expect_text REGEX WHAT COMMAND...
expect_text() {
  local wanted=$1 what=$2 line
  shift 2
  "$@" >"$out/text" 2>&1 </dev/null
  if line=$(grep -Em1 -- "$wanted" "$out/text"); then
    row ok "$what" "${line:0:110}"
  else
    row FAILED "$what" "no '$wanted' in: $(gist)"
    cat "$out/text" >&2
  fi
}

# ask VERB ARGUMENT...: asks the runner of the scenario for a step that a container cannot do.
# scripts/scenarios does the step and answers on standard input; by hand, do the step and press Enter. $answer has
# the answer. CONTRIBUTING.md has the verbs. If the runner fails, the set-up is broken.
ask() {
  try "$@" && return
  echo "the runner could not do: $*: $answer" >&2
  exit 1
}
# try VERB ARGUMENT...: the same, but the exit code reports a failure
try() {
  printf 'runner: %s\n' "$*"
  IFS= read -r -t 150 answer || { echo "nobody answered: $*" >&2 && exit 1; }
  [[ -z $answer || $answer == done* ]] || return 1
  answer=${answer#done}
  answer=${answer# }
}

# expect_log WHAT SERVICE TEXT: expects that the log of a service has a line with TEXT
expect_log() {
  if try log "$2" "$3"; then
    row ok "$1" "$answer"
  else
    row FAILED "$1" "no '$3' in the log of $2"
  fi
}

# expect_soon SECONDS WHAT COMMAND...: expects that the command succeeds within that time
expect_soon() {
  local limit=$1 what=$2 begin=$EPOCHREALTIME
  shift 2
  if until_true "$limit" "$@"; then
    row ok "$what" "after $(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }') s: $(gist)"
  else
    row FAILED "$what" "not within $limit s: $(gist)"
  fi
}

# until_true SECONDS COMMAND...: waits at most that time until the command succeeds
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >"$out/text" 2>&1 </dev/null; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

# spoil KIND FROM TO: copies a credential of that kind with one octet changed
spoil() {
  python3 - "$@" <<'PYTHON' || exit 1
import base64, json, sys
kind, source, target = sys.argv[1:]
c = json.load(open(source))
if kind == "token":
    t = bytearray(base64.b64decode(c["access_token"]))
    t[-1] ^= 1
    c["access_token"] = base64.b64encode(t).decode()
else:
    c["password"] = ("x" if c["password"][0] != "x" else "y") + c["password"][1:]
json.dump(c, open(target, "w"))
PYTHON
}

conclude() {
  if ((red == 0 && rows > 0)); then
    printf 'green: %d of %d as expected\n' "$rows" "$rows"
    exit 0
  fi
  printf 'red: %d of %d not as expected\n' "$red" "$rows"
  exit 10
}
