# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# Functions for scripts of an issuer: turncredctl with an issuer's rights, and the folder that the client reads.
set -euo pipefail
umask 077
export TURNCRED_DATABASE='host=database dbname=turncred user=issuer_1 passfile=/secrets/issuer/pgpass'
export TURNCRED_KEK=/secrets/issuer/kek
handed=/var/lib/handed-over

# hand_over FILE COMMAND...: writes the output of COMMAND to handed-over/FILE
hand_over() {
  "${@:2}" >"$handed/$1"
}
