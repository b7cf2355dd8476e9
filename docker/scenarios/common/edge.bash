# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# Functions for scripts of an operator with an eP-CSCF, on top of operator.bash.

# edge_subscribers DOMAIN USER...: makes the eP-CSCF's subscribers; each client gets the password of one
edge_subscribers() {
  local domain=$1 user
  shift
  mkdir -p /secrets/edge/subscribers
  echo 'username(string) domain(string) ha1(string)' >/secrets/edge/subscribers/subscriber
  for user in "$@"; do
    openssl rand -hex 16 >"/secrets/client/$user"
    printf '%s:%s:%s\n' "$user" "$domain" \
      "$(printf '%s:%s:%s' "$user" "$domain" "$(<"/secrets/client/$user")" | md5sum | cut -d' ' -f1)"
  done >>/secrets/edge/subscribers/subscriber
}

# edge_caller REALM SCOPES: makes the eP-CSCF's caller key for turncredd; the database has the key's hash
edge_caller() {
  turncredctl --json caller add edge --scopes "$2" --realms "$1" |
    sed -n 's/.*"key": *"\([^"]*\)".*/\1/p' >/secrets/edge/turncredd-key
  [[ -s /secrets/edge/turncredd-key ]]
}
