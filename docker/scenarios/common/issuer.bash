# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# For scripts of an issuer: turncredctl with an issuer's rights, and where the client looks.
set -euo pipefail
umask 077
export TURNCRED_DATABASE='host=database dbname=turncred user=issuer_1 passfile=/secrets/issuer/pgpass'
export TURNCRED_KEK=/secrets/issuer/kek
handed=/var/lib/handed-over

# hand_over FILE COMMAND...: what COMMAND says becomes handed-over/FILE
hand_over() {
  "${@:2}" >"$handed/$1"
}
