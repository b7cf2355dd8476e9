# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# Functions for scripts of an operator: turncredctl with all rights, and the steps that all these scripts need.
set -euo pipefail
umask 077
export TURNCRED_DATABASE='host=database dbname=turncred user=postgres passfile=/secrets/admin/pgpass'
export TURNCRED_KEK=/secrets/admin/kek

# schema ROLE=KIND...: makes the schema, and a login for each program (KIND: server, issuer, admin) with
# the password that "secrets" made; the password goes through a pipe
schema() {
  local word role
  turncredctl schema upgrade
  for word in "$@"; do
    role=${word%%=*}
    printf "CREATE ROLE %s LOGIN PASSWORD '%s' IN ROLE turncred_%s;\n" "$role" "$(<"/secrets/database/$role")" "${word#*=}" |
      psql -XAtq -v ON_ERROR_STOP=1 "$TURNCRED_DATABASE"
  done
}

# kids REALM USE: prints the key ids of one use
kids() {
  turncredctl --json key list "$1" | sed -n "s/.*\"kid\": *\"\($2-[^\"]*\)\".*/\1/p"
}

# exchange_keys REALM USE...: replaces keys by other keys of the same names, so that the server must refuse the
# credentials from before (scripts/scenarios --break wrong-key)
exchange_keys() {
  local realm=$1 use kid
  shift
  for use in "$@"; do
    for kid in $(kids "$realm" "$use"); do
      turncredctl key remove "$realm" "$kid" --now
      turncredctl key add "$realm" "$kid" --use "$use"
    done
  done
}
