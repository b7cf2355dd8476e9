#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Modules and configurations that are wrong, each in one way: refused at start with a message of
its own and a non-zero exit, or survived."""

import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import abi_support  # noqa: E402, F401  (sets the path)
import server  # noqa: E402
import stun  # noqa: E402
import turnclient  # noqa: E402
from abi_support import ENDED, PATIENCE, REALM, Case, ModuleServer, password  # noqa: E402

ALICE = password("alice", "wonderland")


class Start(Case):
    """turnserver does not start, says why, and ends with another code than 0."""

    def refused(self, message, module="broken", config="", lines=(), broken=None, spoil=None):
        environment = {"BROKEN": broken} if broken else None
        running = ModuleServer(module, config, lines, environment=environment)
        self.addCleanup(running.__exit__)
        if spoil:
            spoil(running)
        try:
            running.start(8)
        except RuntimeError:
            pass
        else:
            self.fail(f"turnserver has started; it should have said {message!r}\n{running.log()}")
        self.assertNotIn(running.process.poll(), (None, 0), running.log())
        self.assertGreater(running.process.poll(), 0, "killed by a signal: " + running.log())
        self.assertRegex(running.log(), message)

    @staticmethod
    def path(running, module="broken"):
        return os.path.join(running.folder, module + ".so")


class Refused(Start):
    def test_missing_symbol(self):
        self.refused("does not export coturn_auth_module: it is not", "nosymbol")

    def test_unresolved_symbol(self):
        self.refused("cannot load: .*undefined symbol: nobody_has_this_function", "unresolved")

    def test_wrong_magic(self):
        self.refused(r"the module says 0xdeadbeef, this turnserver 0x4341553\d", broken="wrong-magic")

    def test_newer_major(self):
        self.refused(r"the module is made for 2\.5, this turnserver for 1\.0", broken="newer-major")

    def test_short_struct(self):
        self.refused(r"table has \d+ octets, this turnserver needs at least \d+", broken="short-table")

    def test_null_callbacks(self):
        self.refused(r"the module broken has no init\(\)", broken="no-init")
        self.refused(r"the module broken has no authenticate\(\)", broken="no-authenticate")

    def test_no_name_or_version(self):
        self.refused("the module has no name", broken="no-name")
        self.refused("the module has no version", broken="no-version")

    def test_the_module_refuses(self):
        self.refused(r"refuses this turnserver \(coturn-[0-9.]+, ABI 1\.0\)", broken="returns-null")

    def test_init_fails(self):
        self.refused(r"I do not feel like it[\s\S]*did not start: init\(\) returned -7", config="init-fails")

    def test_writable_file(self):
        self.refused(r"the file \S+broken\.so is writable by others \(mode 0757\)",
                     spoil=lambda r: os.chmod(self.path(r), 0o757))
        self.refused(r"the file \S+broken\.so is writable by its group \(mode 0775\)",
                     spoil=lambda r: os.chmod(self.path(r), 0o775))

    def test_writable_folder(self):
        self.refused(r"the folder \S+ is writable by others",
                     spoil=lambda r: os.chmod(r.folder, 0o777))

    def test_a_link_does_not_help(self):
        def link(running):
            elsewhere = os.path.join(running.folder, "open")
            os.mkdir(elsewhere)
            shutil.move(self.path(running), elsewhere)
            os.chmod(elsewhere, 0o777)
            os.symlink(os.path.join(elsewhere, "broken.so"), self.path(running))

        self.refused(r"the folder \S+/open is writable by others", spoil=link)

    def test_foreign_owner(self):
        if os.geteuid():
            self.skipTest("only root can give a file away")
        self.refused(r"belongs to user 65534, who is neither root nor the server's user \(0\)",
                     spoil=lambda r: os.chown(self.path(r), 65534, -1))

    def test_no_file(self):
        self.refused("cannot read .*broken.so: No such file", spoil=lambda r: os.unlink(self.path(r)))

    def test_a_folder(self):
        def folder(running):
            os.unlink(self.path(running))
            os.mkdir(self.path(running), 0o755)

        self.refused("is not a regular file", spoil=folder)

    def test_not_a_shared_object(self):
        def text(running):
            with open(self.path(running), "w") as file:
                file.write("#!/bin/sh\n")

        self.refused("cannot load: ", spoil=text)

    def test_relative_path(self):
        self.refused(r"the path is not absolute: lib/broken\.so", None,
                     lines=["auth-module=lib/broken.so"])


class Configuration(Start):
    def without_lt_cred_mech(self, extra):
        def spoil(running):
            with open(running.config) as file:
                text = file.read().replace("lt-cred-mech\n", extra)
            with open(running.config, "w") as file:
                file.write(text)

        return spoil

    def test_needs_lt_cred_mech(self):
        self.refused("auth-module needs lt-cred-mech", spoil=self.without_lt_cred_mech(""))
        self.refused("auth-module needs lt-cred-mech",
                     spoil=self.without_lt_cred_mech("user=own:secret\n"))
        self.refused("auth-module needs lt-cred-mech",
                     spoil=self.without_lt_cred_mech("use-auth-secret\nstatic-auth-secret=x\n"))

    def test_no_auth(self):
        self.refused("auth-module and no-auth", lines=["no-auth"])
        self.refused("auth-module-only and no-auth", lines=["no-auth", "auth-module-only"])

    def test_only_and_observe(self):
        self.refused("auth-module-only and auth-module-observe",
                     lines=["auth-module-only", "auth-module-observe"])

    def test_options_without_a_module(self):
        for option in ("only", "observe", "config=x"):
            self.refused(f"auth-module-{option[:6].split('=')[0]}.* is given, but auth-module is not",
                         None, lines=[f"auth-module-{option}"])


class Survived(Case):
    """The server goes on, and lets the next client in."""

    def broken(self, config, **options):
        return self.serve("broken", config, **options)

    def code(self, running, credential=ALICE, kind="udp"):
        return self.client(running, credential, kind).allocate().code

    def alive(self, running):
        self.assertIsNone(running.process.poll(), running.log())
        self.assertTrue(self.client(running).binding().ok)

    def test_nothing_wrong(self):
        running = self.broken("")
        self.assertEqual(self.code(running), 0)
        self.assertEqual(self.code(running, password("alice", "liar")), 401)
        # an empty denial is 401
        self.assertEqual(self.code(running, password("bob", "x")), 401)

    def test_older_and_newer_tables(self):
        for broken in ("oldest-table", "newer-minor"):
            running = self.broken("", environment={"BROKEN": broken})
            self.assertEqual(self.code(running), 0)

    def test_unusable_grants(self):
        for config, message in (
            ("key-of-0", "key_len is 0"),
            ("key-of-65", "key_len is 65"),
            ("odd-policy", "expiry_policy is 77"),
            ("long-identity", "identity_len is 1000"),
        ):
            with self.subTest(config):
                running = self.broken(config)
                self.assertEqual(self.code(running), 500)
                running.wait_log(f"the grant of module broken is not usable: {message}")
                running.wait_log("code=500 reason=module_error")
                self.alive(running)

    def test_names_without_end(self):
        running = self.broken("names-without-end")
        self.assertEqual(self.code(running), 0)
        running.wait_log("realm=<r{127}>, username=<d{400}")
        running = self.broken("denial-without-end")
        self.assertEqual(self.code(running), 500)
        running.wait_log("code=500 reason=module_error")

    def test_odd_verdict(self):
        running = self.broken("odd-verdict")
        self.assertEqual(self.code(running), 500)
        running.wait_log("reason=module_error")

    def test_odd_reason_of_session_bound(self):
        running = self.broken("odd-reason")
        self.assertEqual(self.code(running), 401)
        running.wait_log("reason=module_error")

    def test_completes_twice(self):
        running = self.broken("completes-twice")
        self.assertEqual(self.code(running), 0)
        running.wait_log("first completion 0")
        running.wait_log("second completion -1")
        self.alive(running)

    def test_completes_after_the_session_is_gone(self):
        until = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "until")
        running = self.broken("completes-after-the-end", environment={"BROKEN_UNTIL": until})
        client = self.client(running, ALICE, "tcp")
        client.challenge()
        client.transport.send(client.build("ALLOCATE", [
            stun.Attribute("REQUESTED-TRANSPORT", stun.requested_transport(stun.UDP))]))
        running.wait_log("broken: waits 0")
        port = client.transport.local[1]
        client.close()
        running.wait_log(r"closed \(2nd stage\), user <> .*remote 127.0.0.1:%d," % port)
        pathlib.Path(until).touch()
        running.wait_log("first completion -1", seconds=10)
        self.alive(running)

    def test_completes_inside(self):
        running = self.broken("completes-inside")
        self.assertEqual(self.code(running), 0)
        running.wait_log("inside 0")
        running.wait_log("inside again -1")

    def test_completes_and_answers(self):
        running = self.broken("completes-and-answers")
        self.assertEqual(self.code(running), 0)
        self.alive(running)

    def test_completes_what_is_not_its_own(self):
        running = self.broken("completes-another")
        self.assertEqual(self.code(running), 0)
        for what in ("another session", "another request", "no grant", "pending"):
            running.wait_log(f"broken: {what} -1")

    def test_never_completes(self):
        running = self.broken("never-completes")
        client = self.client(running, ALICE)
        client.challenge()
        start = time.monotonic()
        response = client.request("ALLOCATE", [
            stun.Attribute("REQUESTED-TRANSPORT", stun.requested_transport(stun.UDP))])
        self.assertEqual(response.code, 500)
        self.assertTrue(4 < time.monotonic() - start < 5 + 2 * PATIENCE)
        running.wait_log("code=500 reason=timeout")

    def test_too_many_pending_of_one_session(self):
        running = self.broken("never-completes")
        client = self.client(running, ALICE, "tcp")
        client.challenge()
        codes = []
        for _ in range(4):
            client.transport.send(client.build("REFRESH"))
        codes.append(client.exchange(client.build("REFRESH")).code)
        self.assertEqual(codes, [500])
        running.wait_log("reason=too_many_pending")
        self.alive(running)

    def test_a_grant_of_an_older_module(self):
        running = self.broken("old-grant")
        self.assertEqual(self.code(running), 0)

    def test_challenges(self):
        running = self.broken("challenge-pends")
        self.assertEqual(self.client(running, ALICE).challenge().code, 500)
        running = self.broken("challenge-without-end")
        client = self.client(running, ALICE)
        client.challenge()
        self.assertEqual((client.realm, client.server_name), ("r" * 127, "s" * 255))
        self.assertTrue(client.allocate().ok)

    def test_check_integrity(self):
        running = self.broken("wild-integrity")
        self.assertEqual(self.code(running), 0)
        for what in ("key of 0 -1", "key of 65 -1", "no key -1", "wrong key 0", "right key 1"):
            running.wait_log("broken: " + what)

    def test_calls_outside_their_time(self):
        running = self.broken("calls-outside")
        for what in ("check outside", "check nothing", "close nothing", "complete nothing"):
            running.wait_log(f"broken: {what} -1")
        self.assertEqual(self.code(running), 0)

    def test_too_much(self):
        running = self.broken("too-many-counters")
        taken = int(running.wait_log(r"counters taken (\d+)").group(1))
        self.assertTrue(400 < taken < 512, taken)
        self.assertEqual(self.code(running), 0)

    def test_counters(self):
        running = self.broken("odd-counters")
        for what in ("first counter 0", "other label 0", "newer counter 0", "same counter -1", "counter of the host -1",
                     "counter without value -1", "counter without header -1", "short counter -1", "no counter -1",
                     r"counters with a header \d+"):
            running.wait_log("broken: " + what)

    def test_of_many_denied_peers_the_oldest_give_way(self):
        running = self.broken("many-peers")
        for what in ("peers taken 1000", "unix peer -1", "no peer -1"):
            running.wait_log("broken: " + what)
        client = self.client(running, ALICE)
        self.assertTrue(client.allocate().ok)
        codes = [client.create_permission((peer, 9)).code
                 for peer in ("10.0.0.0", "10.0.3.168", "10.0.3.169", "10.0.3.231", "10.1.0.0")]
        self.assertEqual(codes, [0, 0, 403, 403, 403])

    def test_only_1_lets_a_client_allocate(self):
        for fault in ("allocates-nothing", "odd-allocate"):
            running = self.broken(fault)
            self.assertEqual(self.code(running), 401)
            running.wait_log("reason=module_error")

    def test_log_injection(self):
        running = self.broken("log-injection")
        running.wait_log(r"auth-module: one\?auth-module: refused client=6.6.6.6 \?\[31mred %s%n")
        self.assertNotRegex(running.log(), r"(?m)^\S*auth-module: refused")

    def test_reload_fails(self):
        running = self.broken("reload-fails")
        running.signal(signal.SIGUSR2)
        running.wait_log("auth-module: reload: failed, the old settings stay")
        self.assertEqual(self.code(running), 0)

    def test_calls_back_while_it_is_stopped(self):
        running = self.broken("")
        self.assertEqual(self.code(running), 0)
        running.signal(signal.SIGTERM)
        self.assertIn(running.process.wait(20), ENDED)

    def test_nobody_is_turned_away_while_it_is_stopped(self):
        running = self.broken("stops-slowly")
        known, new = self.client(running), self.client(running)
        self.assertEqual(known.challenge().code, 401)
        if server.version(running.program) >= (4, 6, 2):
            # every thread looks every 5 s whether it is to end: here the main one does so while the others serve
            running.signal(signal.SIGUSR2)
            running.wait_log("reload: done")
            time.sleep(3.9)
        running.signal(signal.SIGTERM)
        running.wait_log("stops slowly")
        for client in (known, new):
            client.rto, client.rc = 0.2, 2
            with self.assertRaises(turnclient.NoAnswer):
                client.allocate()
        self.assertIsNone(running.process.poll(), "it has ended before the requests came")
        self.assertIn(running.process.wait(20), ENDED)

    def test_a_configuration_of_ours_in_stock_coturn_lets_nobody_in(self):
        program = server.stock()
        if not program:
            self.skipTest("no unpatched turnserver")
        lines = ["lt-cred-mech", f"realm={REALM}", "auth-module=/usr/lib/coturn/module.so",
                 "auth-module-config=x", "auth-module-only", "no-session-reports"]
        running = server.Server(program, lines)
        self.addCleanup(running.__exit__)
        running.start()
        client = running.client("udp", ALICE)
        self.addCleanup(client.close)
        self.assertEqual(client.allocate().code, 401)
        self.assertIn("Bad configuration format: auth-module", running.log())


if __name__ == "__main__":
    unittest.main()
