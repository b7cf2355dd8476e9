#!/usr/bin/env bats
# Several realms on one server: chosen by listening address, by ORIGIN, by coturn's own default.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  turncred_up || return 0
  realm_add turn.test "mechanisms='{token,derived}'"
  key_add turn.test k1
  key_add turn.test d1 derived
  realm_add origin.test "mechanisms='{token,derived}'" "origins='{https://app.example,https://app.example:8443}'"
  key_add origin.test ok1
  key_add origin.test od derived
  realm_add address.test "mechanisms='{derived}'" "listen_addresses='{127.0.0.2}'" "server_name='second.example'"
  key_add address.test ad derived
  server_start main listening-ip=127.0.0.2
}
setup() { turncred_ready; }
teardown() { turncred_check; }
teardown_file() { turncred_down; }

@test "ORIGIN chooses the realm, its server name and its keys" {
  turn main <<'PY'
for origin, realm in (("https://app.example", "origin.test"), ("https://app.example:8443", "origin.test"),
                      ("https://other.example", "turn.test"), (None, "turn.test")):
    c = client(origin=origin)
    assert c.challenge().code == 401
    assert (c.realm, c.server_name) == (realm, realm + "-server"), (origin, c.realm, c.server_name)
c = client(derived(kid="od", realm="origin.test"), origin="https://app.example")
turnclient.need("allocate", c.allocate())
c = client(token("ok1", realm="origin.test"), origin="https://app.example")
turnclient.need("allocate", c.allocate())
# the keys of one realm do not work in another
assert client(derived(), origin="https://app.example").allocate().code == 401
assert client(derived(kid="od", realm="origin.test")).allocate().code == 401
PY
}

@test "the listening address chooses before ORIGIN does" {
  turn main <<'PY'
def at(ip, credential=None, **options):
    return turnclient.Client(transport.connect("udp", (ip, port())), credential, **options)


c = at("127.0.0.2", origin="https://app.example")
assert c.challenge().code == 401
assert (c.realm, c.server_name) == ("address.test", None), (c.realm, c.server_name)  # it offers no tokens
turnclient.need("allocate", at("127.0.0.2", derived(kid="ad", realm="address.test")).allocate())
assert at("127.0.0.2", derived()).allocate().code == 401
turnclient.need("allocate", at("127.0.0.1", derived()).allocate())
PY
}

@test "a client cannot choose another realm than the challenged one" {
  turn main <<'PY'
good = derived(kid="od", realm="origin.test")
c = client(good)
c.challenge()
c.realm = "origin.test"
r = c.allocate()
assert r.code in (401, 437, 441), r.code
PY
}

@test "a realm that is added, changed or removed while the server runs" {
  realm_add late.test "mechanisms='{derived}'" "origins='{https://late.example}'"
  key_add late.test ld derived
  synced
  turn main <<'PY'
c = client(derived(kid="ld", realm="late.test"), origin="https://late.example")
turnclient.need("allocate", c.allocate())
PY
  sql "UPDATE turncred.realm SET mechanisms = '{token}', server_name = 'late.example' WHERE name = 'late.test'"
  synced
  turn main <<'PY'
c = client(derived(kid="ld", realm="late.test"), origin="https://late.example")
assert c.allocate().code == 401
assert c.server_name == "late.example"
PY
  sql "DELETE FROM turncred.realm WHERE name = 'late.test'"
  synced
  turn main <<'PY'
c = client(origin="https://late.example")
c.challenge()
assert c.realm == "turn.test", c.realm
PY
}

@test "a key that is added works within a second, with no restart" {
  turn main <<'PY'
import subprocess
times = []
for i in range(5):
    subprocess.run(f"/usr/bin/python3 $TC_TOP/tests/integration/support.py key turn.test n{i} token A256GCM none"
                   " | psql -XqAt -v ON_ERROR_STOP=1", shell=True, check=True)
    times.append(wait_until(lambda: login(token(f"n{i}")) == 0, 3))
print("seconds:", " ".join(f"{t:.3f}" for t in times))
assert max(times) < 1.0, times
PY
}

@test "a row that does not open is refused, named once, and harms no other" {
  key_add turn.test swapped
  sql "UPDATE turncred.key SET wrapped = (SELECT wrapped FROM turncred.key WHERE realm = 'turn.test' AND kid = 'k1')
       WHERE realm = 'turn.test' AND kid = 'swapped'"
  synced
  turn main <<'PY'
expect(401, token("swapped"))
expect(401, token("swapped", k=key("k1")))
expect(0, token("k1"))
PY
  log_has main 'swapped'
  [[ $(grep -c swapped <(server_log main | grep -v refused)) -le 2 ]]
}
