# shellcheck shell=bash
# test-packages sources this file after boot.sh. It has functions for the eP-CSCF host of plugin/epcscf/HOST.md: turncredd and
# Kamailio on this machine, and a phone that registers.
# shellcheck disable=SC2034,SC2154 # work, port: test-packages and guide.sh

# host_block NAME: runs this block of HOST.md, and notes that it was run
host_block() {
  echo "HOST $1" >>"$work/pages"
  run_block "$top/plugin/epcscf/HOST.md" "$1"
}
# issuer_block NAME: runs this block of ISSUER.md with the names that HOST.md says
issuer_block() {
  sed 's/issuer1/edge1/g' "$top/scripts/packaging/ISSUER.md" >"$work/ISSUER.edge1.md" && run_block "$work/ISSUER.edge1.md" "$1"
}
# a machine that has had no turncredd
without_issuer() {
  systemctl disable --now turncredd
  rm -rf /etc/turncred/turncredd.conf /etc/turncred/tls /etc/systemd/system/turncredd.service.d
  [[ ! -d /var/lib/turncredd ]] || find /var/lib/turncredd -mindepth 1 -delete
  systemctl daemon-reload
}

# phone KIND: alice registers over wss and asks for a credential of this kind, which goes to $work/phone.json; 3 if she is
# registered without one
phone() {
  /usr/bin/python3 "$top/tests/integration/epcscf/phone.py" --url wss://edge1.example.org:8443 --ca /etc/turncred/epcscf/chain.pem \
    --user alice --domain example.org --password-file /etc/turncred/epcscf/alice.password --ask "$1" >"$work/phone.json"
}
# the phone gets a credential of this kind, and relays data with it at the host's coturn
phone_relays() { port=3478 && phone "$1" && jq -e --arg kind "$1" '.kind == $kind' "$work/phone.json" && in_as "$work/phone.json"; }
registered_without() {
  local rc=0
  phone "$1" || rc=$?
  [[ $rc == 3 && ! -s $work/phone.json ]]
}
wrong_password_is_refused() {
  local rc=0
  /usr/bin/python3 "$top/tests/integration/epcscf/phone.py" --url wss://edge1.example.org:8443 --ca /etc/turncred/epcscf/chain.pem \
    --user alice --domain example.org --password-file <(echo wrong) --ask derived 2>&1 | tee "$work/refusal" || rc=$?
  [[ $rc == 1 ]] && grep -q 'SIP/2.0 401' "$work/refusal"
}
# nobody but this host reaches turncredd, and Kamailio listens for clients alone
only_clients_port() {
  ss -Hlntu '( sport = :8443 or sport = :9443 or sport = :9642 or sport = :5060 or sport = :5061 )' | awk '{ print $1, $5 }' | sort -u | tee "$work/ports"
  [[ $(<"$work/ports") == "$(printf '%s\n' 'tcp 0.0.0.0:8443' 'tcp 127.0.0.1:9443' 'tcp 127.0.0.1:9642')" ]]
}
# the secrets of Kamailio are for its user alone, and it can read none of turncredd's
secrets_are_apart() {
  local file
  stat -c '%U %a %n' /etc/turncred/epcscf/{turncredd-key,key.pem,subscribers/subscriber} | tee "$work/modes" &&
    ! grep -v '^kamailio 400 ' "$work/modes" || return
  for file in /etc/turncred/{turncredd.pgpass,tls/key.pem,kek/main}; do
    [[ -s $file ]] && ! runuser -u kamailio -- cat "$file" || return
  done
}
delivered() { wait_for 60 ready '.database == true and .undelivered == 0'; }
edge_is_gone() {
  apt purge -y kamailio 'kamailio-*-modules' && gone /usr/sbin/kamailio && [[ ! -e /etc/turncred/epcscf ]] &&
    [[ -z $(ss -Hlnt '( sport = :8443 or sport = :9443 )') ]]
}
