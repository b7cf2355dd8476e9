# SPDX-License-Identifier: BSD-3-Clause
"""The steps of realms.bats: one function each, called by turn_step."""

import subprocess

from support import client, derived, login, port, run_step, token, transport, turnclient, wait_until, within_a_second


def origin_chooses():
    """ORIGIN chooses the realm, its server name and its keys."""
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


def listening_address_first():
    """The listening address chooses before ORIGIN does."""

    def at(ip, credential=None, **options):
        return turnclient.Client(transport.connect("udp", (ip, port())), credential, **options)

    c = at("127.0.0.2", origin="https://app.example")
    assert c.challenge().code == 401
    assert (c.realm, c.server_name) == ("address.test", None), (c.realm, c.server_name)  # it offers no tokens
    turnclient.need("allocate", at("127.0.0.2", derived(kid="ad", realm="address.test")).allocate())
    assert at("127.0.0.2", derived()).allocate().code == 401
    turnclient.need("allocate", at("127.0.0.1", derived()).allocate())


def challenged_realm_alone():
    """A client cannot choose another realm than the challenged one."""
    good = derived(kid="od", realm="origin.test")
    c = client(good)
    c.challenge()
    c.realm = "origin.test"
    r = c.allocate()
    assert r.code in (401, 437, 441), r.code


def offered_to_everybody():
    """Each challenge names the server, whatever the client has shown."""
    for shown in None, "", "turn.test-server":
        c = client(wants_token=shown)
        assert c.challenge().code == 401
        assert c.server_name == "turn.test-server", (shown, c.server_name)


def offered_to_who_shows():
    """Challenges name the server to clients alone that send THIRD-PARTY-AUTHORIZATION; tokens and passwords log in as before."""
    for shown, name in ((None, None), ("", "turn.test-server"), ("turn.test-server", "turn.test-server")):
        c = client(wants_token=shown)
        assert c.challenge().code == 401
        assert c.server_name == name, (shown, c.server_name)
    for shown in None, "":
        turnclient.need("allocate", client(token("k1"), wants_token=shown).allocate())
        turnclient.need("allocate", client(derived(), wants_token=shown).allocate())
        assert client(token("k1", k=b"x" * 32), wants_token=shown).allocate().code == 401


def added_key_works():
    """A key that is added works within a second."""
    times = []
    for i in range(5):
        subprocess.run(f"/usr/bin/python3 $TC_TOP/tests/integration/support.py key turn.test n{i} token A256GCM none"
                       " | psql -XqAt -v ON_ERROR_STOP=1", shell=True, check=True)
        times.append(wait_until(lambda: login(token(f"n{i}")) == 0, 3))
    within_a_second(*times)


if __name__ == "__main__":
    run_step(globals())
