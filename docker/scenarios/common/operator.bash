# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# For scripts of an operator: turncredctl with all rights, and what they all do.
set -euo pipefail
umask 077
export TURNCRED_DATABASE='host=database dbname=turncred user=postgres passfile=/secrets/admin/pgpass'
export TURNCRED_KEK=/secrets/admin/kek

# schema ROLE=KIND...: the schema, and a login for each program (KIND: server, issuer, admin) with
# the password that "secrets" made; it goes by way of a pipe
schema() {
  local word role
  turncredctl schema upgrade
  for word in "$@"; do
    role=${word%%=*}
    printf "CREATE ROLE %s LOGIN PASSWORD '%s' IN ROLE turncred_%s;\n" "$role" "$(<"/secrets/database/$role")" "${word#*=}" |
      psql -XAtq -v ON_ERROR_STOP=1 "$TURNCRED_DATABASE"
  done
}

# kids REALM USE: the key ids of one use
kids() {
  turncredctl --json key list "$1" | sed -n "s/.*\"kid\": *\"\($2-[^\"]*\)\".*/\1/p"
}

# exchange_keys REALM USE...: other keys under the same names, so that what was issued before must no
# longer be let in (scripts/scenarios --break wrong-key)
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
