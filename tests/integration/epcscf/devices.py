# SPDX-License-Identifier: BSD-3-Clause
"""The steps of devices.bats: one function each, called by phones_step."""

import asyncio
import json
import os
import signal
import subprocess
import sys

from phones import CTL, DIR, by_then, ctl, phone, probe, refused, run_step, sql, until

sys.path.insert(0, os.environ["TC_TOP"] + "/tests/integration")
import support  # noqa: E402


def rows(user):
    return sql(f"SELECT count(*) FROM turncred.credential WHERE user_id = '{user}'")


def device(user, instance=None, reg_id=1, contact="phone"):
    """A phone that tells its instance (RFC 5626), if it has one"""
    p = phone(user)
    parameters = f';+sip.instance="<urn:uuid:{instance}>";reg-id={reg_id}' if instance else ""
    p.contact_value = lambda: f"<sip:{contact}@{p.host};transport=ws>{parameters}"
    return p


async def pushed(p, **more):
    got = (await p.register("pushed", **more)).credential()
    assert got and got["user-id"] == p.user, got
    return got


async def each_its_own():
    """Two devices, two usernames; registering, renewing and asking anew at one leaves the other's as it is."""
    async with device("alice", "1") as p, device("alice", "2") as q, device("alice") as r:
        first, second, third = await pushed(p), await pushed(q), await pushed(r)
        assert len({got["username"] for got in (first, second, third)}) == 3
        assert len({got["password"] for got in (first, second, third)}) == 3
        for got in (first, second, third):
            probe(got)
        # the same again: renew_pushed
        assert (await pushed(q))["password"] == second["password"]
        assert (await p.options("pushed")).credential()["password"] == first["password"]
        new = (await q.options("pushed;new")).credential()
        assert new["username"] == second["username"] and new["password"] != second["password"]
        await refused(second)
        for got in (first, new, third):
            probe(got)
        assert rows("alice") == "3"
        listed = json.loads(subprocess.run([CTL, "credential", "list", "turn.test", "--user", "alice", "--json"], check=True,
                                           capture_output=True, timeout=60).stdout)
        assert {row["username"] for row in listed} == {got["username"] for got in (first, new, third)}
        assert {row["user_id"] for row in listed} == {"alice"}
        # the derived one is the user's
        assert (await p.register("derived")).credential()["username"].startswith("alice:")
        for one in (p, q, r):
            await one.register(expires=0)
    await until(lambda: rows("alice") == "0")


async def ended_in_three_ways():
    """Whichever way a registration ends, its own credential goes and the others stay."""
    async with device("bob", "stays") as other:
        stays = await pushed(other)
        async with device("bob", "a") as p:
            gone = await pushed(p)
            probe(gone)
            assert (await p.register(expires=0)).status == 200
            await refused(gone)
        probe(stays)
        async with device("bob", "b") as p:
            gone = await pushed(p, expires=2)
            await refused(gone, limit=30)
        probe(stays)
        async with device("bob", "c") as p:
            gone = await pushed(p)
            probe(gone)
        await refused(gone, limit=30)
        probe(stays)
        assert rows("bob") == "1"
        assert (await other.register(expires=0, contact="*")).status == 200
        await refused(stays)
    assert rows("bob") == "0"


async def what_a_device_is():
    """The username of a device stays, and no two devices have the same."""
    names = {}
    for what, more in (("one", {"instance": "1"}), ("one elsewhere", {"instance": "1", "contact": "other"}),
                       ("two", {"instance": "2"}), ("one, second flow", {"instance": "1", "reg_id": 2}),
                       ("none", {}), ("none elsewhere", {"contact": "other"})):
        async with device("carol", **more) as p:
            p.host = "fixed.invalid"
            names[what] = (await pushed(p))["username"]
            await p.register(expires=0)
    assert names["one"] == names["one elsewhere"]
    assert len(set(names.values())) == 5, names
    # what a client calls its instance does not reach anybody else, nor a log
    async with phone("carol") as p, device("alice", "1") as q:
        hostile = '<urn:uuid:1>" \\"; x=y ~alice \'or 1=1-- %00 $avp(aor) ../../alice'
        p.contact_value = lambda: f'<sip:carol@{p.host};transport=ws>;+sip.instance="{hostile}"'
        mine = await pushed(q)
        answer = await p.register("pushed")
        got = answer.credential()
        assert got is None or got["username"].startswith("carol~") and len(got["username"]) == 22, answer
        probe(mine)
        await q.register(expires=0)
        await p.register(expires=0)


async def one_of_two_contacts():
    """Two Contacts over one connection are two devices; each ends by itself."""
    async with device("alice", "1") as p:
        kept = p.contact_value
        first = await pushed(p)
        p.contact_value = lambda: f'<sip:second@{p.host};transport=ws>;+sip.instance="<urn:uuid:2>"'
        second = await pushed(p)
        assert first["username"] != second["username"]
        answer = await p.register("pushed", contact=kept() + ";expires=0, " + p.contact_value())
        assert answer.status == 200
        await refused(first)
        probe(second)
        await p.register(expires=0)
        await refused(second)


async def back_at_once():
    """A page that is loaded again: the old connection's end takes nothing from the new registration."""
    for _ in range(3):
        async with device("bob", "page") as p:
            p.host = "same.invalid"
            await pushed(p)
    async with device("bob", "page") as p:
        p.host = "same.invalid"
        got = await pushed(p)
        # longer than usrloc takes to notice that the old connections are gone
        for _ in range(14):
            await asyncio.sleep(0.5)
            probe(got)
        await p.register(expires=0)
        await refused(got)


async def listed_for_long(control):
    """A device that stays registered for longer than the table keeps its list (31 days; here seconds), and renews its credential"""
    async with device("crowd-7", "1") as p:
        await pushed(p)
        subprocess.run(["kamcmd", "-s", "unix:" + control, "htable.setex", "devices", "crowd-7@ims.test", "3"], check=True, timeout=10)
        got = (await p.options("pushed;new")).credential()
        await asyncio.sleep(4)
        probe(got)
        await p.register(expires=0)
        await refused(got)


async def two_over_one_connection():
    """Two Contacts over one connection, written without brackets, so that the parameters are the header's: two devices"""
    async with phone("crowd-8") as p:
        seen = {}
        for name in "abab":
            got = await pushed(p, contact=f"sip:{name}@x.invalid;expires=600")
            assert seen.setdefault(name, got["username"]) == got["username"], (name, seen, got)
        assert seen["a"] != seen["b"], seen


async def no_gruu():
    """A call to a GRUU (RFC 5627) would have to reach one device alone."""
    async with device("alice", "1") as p:
        for _ in range(2):
            answer = await p.register(headers=["Supported: path, gruu, outbound"])
            assert answer.status == 200 and "gruu" not in answer.get("Contact"), answer.headers
        await p.register(expires=0)


async def quota_of_the_user():
    """user_quota 1: the allocation of one device leaves no room for another's."""
    async with device("carol", "1") as p, device("carol", "2") as q:
        first, second = await pushed(p), await pushed(q)
        client = support.client(support.password(first["username"], first["password"]), name="main")
        assert client.allocate().ok
        probe(second, 486)
        assert client.refresh(0).ok
        client.close()

        def room():
            try:
                probe(second)
            except AssertionError:
                return False
            return True

        await until(room)
        await p.register(expires=0)
        await q.register(expires=0)


async def revoked_with_all_devices():
    """Revoking alice ends what all her devices have."""
    async with device("alice", "1") as p, device("alice", "2") as q:
        first, second = await pushed(p), await pushed(q)
        ctl("revoke", "user", "turn.test", "alice")
        await refused(first)
        await refused(second)
        assert rows("alice") == "0"
        assert not (await p.options("pushed;new")).credential()
        ctl("unrevoke", "user", "turn.test", "alice")

        async def again():
            return (await q.options("pushed;new")).credential()

        new = await by_then(again)
        assert new["username"] == second["username"]
        probe(new)
        await refused(first)
        await p.register(expires=0)
        probe(new)
        await q.register(expires=0)
        await refused(new)


async def ended_while_it_hangs():
    """Both credentials are taken back as soon as turncredd answers again."""
    daemon = int((DIR / "daemons/main/pid").read_text())
    async with device("bob", "1") as p, device("bob", "2") as q, device("bob", "3") as r:
        first, second, third = await pushed(p), await pushed(q), await pushed(r)
        os.kill(daemon, signal.SIGSTOP)
        await p.register(expires=0)
        await q.register(expires=0)
        await asyncio.sleep(1)
        probe(first)
        os.kill(daemon, signal.SIGCONT)
        await refused(first, limit=30)
        await refused(second, limit=30)
        probe(third)
        await r.register(expires=0)


if __name__ == "__main__":
    run_step(globals())
