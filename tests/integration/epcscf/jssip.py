# SPDX-License-Identifier: BSD-3-Clause
"""The steps of jssip.bats: one function each, called by phones_step with a user and the file with its password."""

import asyncio
import contextlib
import json
import os
import time

from phones import ctl, DIR, EDGE, Message, probe, refused, run_step


@contextlib.asynccontextmanager
async def jssip(user, password_file):
    """JsSIP as that user; gives a function that tells it a command and has its answer."""
    node = await asyncio.create_subprocess_exec(
        "node",
        os.environ["TC_TOP"] + "/tests/integration/epcscf/jssip.cjs",
        f"wss://127.0.0.1:{(EDGE / 'port').read_text().strip()}",
        str(DIR / "tls/ca.pem"),
        user,
        "ims.test",
        password_file,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )

    async def say(line):
        node.stdin.write(line.encode() + b"\n")
        answer = json.loads(await asyncio.wait_for(node.stdout.readline(), 40))
        if answer.get("credential"):
            header = "Turn-Credential: " + answer["credential"]
            answer["credential"] = Message(f"SIP/2.0 200 OK\r\n{header}\r\n\r\n").credential()
        return answer

    yield say
    node.stdin.close()
    await node.wait()


async def both_kinds(*who):
    """Derived in the answer to REGISTER, pushed in that to OPTIONS; both allocate; the end of each."""
    async with jssip(*who) as say:
        answer = await say("register derived")
        assert answer["registered"] and answer["credential"]["kind"] == "derived", answer
        derived = answer["credential"]
        probe(derived)
        probe(derived, transport="tcp")
        answer = await say("options pushed")
        assert answer["status"] == 200 and answer["credential"]["kind"] == "pushed", answer
        pushed = answer["credential"]
        probe(pushed)
        assert await say("unregister") == {"unregistered": True}
        await refused(pushed)
        ctl("revoke", "user", "turn.test", "alice")
        await refused(derived)
        ctl("unrevoke", "user", "turn.test", "alice")


async def not_asked_for(*who):
    """Without asking there is no credential."""
    async with jssip(*who) as say:
        answer = await say("register")
        assert answer == {"registered": True, "status": 200, "credential": None}, answer
        answer = await say("options")
        assert answer == {"status": 200, "credential": None}, answer
        await say("unregister")


async def wrong_password(*who):
    """A wrong password gets no credential."""
    async with jssip(*who) as say:
        answer = await say("register derived")
        assert answer == {"registered": False, "status": 401, "credential": None}, answer
        answer = await say("options derived")
        assert answer == {"status": 403, "credential": None}, answer


async def hung(*who):
    """turncredd hangs: registered, without a credential."""
    async with jssip(*who) as say:
        start = time.monotonic()
        answer = await say("register derived")
        assert answer == {"registered": True, "status": 200, "credential": None}, answer
        assert time.monotonic() - start < 10


if __name__ == "__main__":
    run_step(globals())
