# SPDX-License-Identifier: BSD-3-Clause
"""The steps of older.bats: one function each, called by turn_step."""

import os
import subprocess

import turnclient
from support import client, derived, login, password, rest, run_step, token, wait_until


def all_get_in():
    for credential in (token(), derived("ada"), rest("rob", order="user-id:timestamp"), password("pia", "a-password-of-128-bits")):
        got = login(credential)
        assert got == 0, (os.environ["TC_SERVER"], credential.username, got)


def ended_on_both(first, second, program):
    """A user with a call on each server is revoked: both calls end, and both servers refuse the credential."""
    credential = derived("rita")
    calls = [client(credential, name=name) for name in (first, second)]
    for call in calls:
        turnclient.need("allocate", call.allocate())
    subprocess.run([program, "revoke", "user", "turn.test", "rita", "--json"], check=True, stdout=subprocess.DEVNULL)
    for name, call in zip((first, second), calls):
        wait_until(lambda: not call.refresh(600).ok, 5)
        assert login(credential, name=name) == 401, name
        call.close()


if __name__ == "__main__":
    run_step(globals())
