# shellcheck shell=bash
# test-packages sources this file after boot.sh. Each function starts an example as it is shipped; names of hosts are the only
# words that some of them change.
# shellcheck disable=SC2154 # work: test-packages

# --- coturn -----------------------------------------------------------------------------------------------
# coturn with the example drop-in, whose key encryption key is a credential of systemd
example_of_coturn() {
  local examples=/usr/share/doc/coturn-auth-turncred/examples
  install -D -m 644 $examples/coturn.service.d-turncred.conf /etc/systemd/system/coturn.service.d/turncred.conf &&
    install -m 644 $examples/turncred.conf.example /etc/turncred/module.conf &&
    sed -i 's,^#snapshot_file,snapshot_file,; s,^#prometheus,prometheus,; s,^#instance = .*,instance = turn1,
      s,^kek = .*,kek = credential:main,' /etc/turncred/module.conf &&
    systemctl daemon-reload && systemctl restart coturn && serves 3478 && [[ $(stat -c %U /var/lib/turncred) == turnserver ]]
}
# turncred.conf.example as it is
example_of_module() {
  install -m 644 /usr/share/doc/coturn-auth-turncred/examples/turncred.conf.example /etc/turncred/module.conf &&
    systemctl restart coturn && serves 3478 && new_kinds
}
# the lines of turnserver.conf.example, and what this machine needs beside
example_of_turnserver() {
  local rc=0
  cp /etc/turnserver.conf "$work/turnserver.conf"
  { cat /usr/share/doc/coturn-auth-turncred/examples/turnserver.conf && printf '%s\n' realm=example.org syslog; } >/etc/turnserver.conf
  systemctl restart coturn && serves 3478 && new_kinds || rc=1
  cp "$work/turnserver.conf" /etc/turnserver.conf
  systemctl restart coturn && serves 3478 && return $rc
}

# --- programs beside turncred -------------------------------------------------------------------------------
# the machine's programs trust the certificate that ISSUER.md makes
trust_issuer() { install -m 644 /etc/turncred/tls/chain.pem /usr/local/share/ca-certificates/issuer1.crt && update-ca-certificates; }
distrust_issuer() { rm /usr/local/share/ca-certificates/issuer1.crt && update-ca-certificates; }

# Debian's Prometheus with the example and its rules sees server and issuer
example_of_monitoring() {
  local examples=/usr/share/doc/turncred/examples/monitoring rc=0
  need prometheus && trust_issuer && install -d /etc/prometheus/turncred && cp $examples/*.rules.yml /etc/prometheus/turncred/ || return
  turncredctl caller add prometheus --scopes metrics --realms '*' --json | jq -r .key >/etc/prometheus/turncred/turncredd.key
  sed 's/issuer.example.org:/issuer1.example.org:/' $examples/prometheus.yml.example >/etc/prometheus/prometheus.yml
  promtool check config /etc/prometheus/prometheus.yml && systemctl restart prometheus && wait_for 90 sees_both || rc=1
  systemctl stop prometheus
  rm -r /etc/prometheus/turncred && turncredctl caller remove prometheus && distrust_issuer && return $rc
}
sees_both() {
  curl -sS http://127.0.0.1:9090/api/v1/query --data-urlencode 'query=up{job=~"turnserver|turncredd"} == 1' >"$work/up" 2>/dev/null &&
    [[ $(jq '.data.result | length' "$work/up") == 2 ]]
}
# the sample portal by its README, as a user of its own
example_of_portal() {
  local dir=$top/plugin/examples/portal own=/etc/turncred/portal pid rc=0
  # shellcheck disable=SC2086,SC2154 # a list of words, of lib.sh
  need $packages_portal_run && trust_issuer && install -d -m 755 $own && useradd -r portal || return
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=portal.example.org \
    -addext subjectAltName=DNS:portal.example.org -keyout $own/tls-key.pem -out $own/chain.pem
  (umask 077 && turncredctl caller add shop --scopes exchange,derived --realms example.org --json | jq -r .key >$own/caller-key)
  sed 's,turncredd.example.org:8443,issuer1.example.org:8443,; s,^caller = .*,caller = shop,; s,^https = .*:443,https = [::]:9443,' \
    "$dir/portal.conf.example" >/etc/turncred/portal.conf
  "$dir/portal" key $own/signing.pem && echo 'a password of hers' | "$dir/portal" user alice || rc=1
  chown -R portal $own
  setpriv --reuid=portal --regid=portal --clear-groups "$dir/portal" check || rc=1
  setpriv --reuid=portal --regid=portal --clear-groups "$dir/portal" serve >"$work/portal.log" 2>&1 &
  pid=$!
  wait_for 20 portal_answers || { cat "$work/portal.log" && rc=1; }
  kill "$pid" && wait "$pid"
  userdel portal
  rm -r $own /etc/turncred/portal.conf && turncredctl caller remove shop && distrust_issuer && return $rc
}
portal_answers() {
  curl -sS --cacert /etc/turncred/portal/chain.pem --resolve portal.example.org:9443:127.0.0.1 https://portal.example.org:9443/healthz | grep -q ok
}
