# SPDX-License-Identifier: BSD-3-Clause
"""The steps of live.bats: one function each, called by turn_step."""

from support import client, credentials, DIR, password, run_step


def no_key_in_the_row(text):
    """No 16 octets of gerda's row are her key of MESSAGE-INTEGRITY, which her password makes."""
    row = (DIR / "stolen-credential").read_bytes()
    assert len(row) == 76

    def keyed(octets):
        c = client(password("gerda", "x"))
        c.credential.key = lambda realm: octets
        try:
            return c.allocate().code
        finally:
            c.close()

    assert keyed(credentials.long_term_md5("gerda", "turn.test", text)) == 0
    for at in range(len(row) - 15):
        assert keyed(row[at:at + 16]) == 401, at


if __name__ == "__main__":
    run_step(globals())
