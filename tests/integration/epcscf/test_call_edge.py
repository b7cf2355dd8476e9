#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: Chromium and baresip; SIP.js and JsSIP, by npm
"""The calls of test_call.py with the eP-CSCF before a registrar of somebody else: one that keeps Path, and one that keeps none
and has the edge's own Contacts; and calls with a phone that registers at that registrar itself."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import baresip  # noqa: E402
import test_call  # noqa: E402
from test_call import place  # noqa: E402


def setUpModule():
    reason = baresip.missing()
    if reason:
        raise unittest.SkipTest(reason)
    test_call.start()


def tearDownModule():
    test_call.tearDownModule()


class Path(test_call.Call):
    @classmethod
    def setUpClass(cls):
        test_call.PLACE.before_registrar()


class OwnContact(test_call.Call):
    @classmethod
    def setUpClass(cls):
        test_call.PLACE.before_registrar("NO_PATH", settings=["EDGE_OWN_CONTACT yes"])


class Telephone:
    """alice's browser behind the edge, and carol's telephone at the registrar: the browser's media crosses the relay."""

    def setUp(self):
        here = test_call.PLACE
        ports = place.server.free_port(), place.server.free_port()
        account = ("carol", place.REALM, place.SIP_PASSWORDS["carol"], here.registrar)
        self.telephone = baresip.Telephone(here.folder / self.id(), here.ip, ports, account)
        self.addCleanup(self.telephone.stop)
        self.telephone.says(r"200 OK.*\[1 binding\]|1 binding")

    def call(self, stack, caller):
        page, telephone = test_call.PAGE, self.telephone
        given = {"server": test_call.PLACE.edge, "realm": place.REALM, "user": "alice", "password": place.SIP_PASSWORDS["alice"]}
        page.call("register", stack, given)
        try:
            for number, ends in enumerate(("alice", "carol"), 1):
                with self.subTest(ends=ends):
                    before = telephone.sounds()
                    if caller == "alice":
                        page.call("call", "alice", "carol")
                    else:
                        page.call("forget")
                        telephone.command("dial", f"sip:alice@{place.REALM}")
                    page.until("established", lambda state: state.get("established"), who=["alice"])
                    page.until("RTP both ways", lambda state: state["sent"] > 50 and state["got"] > 50, who=["alice"])
                    telephone.wait_for(lambda: telephone.sounds() > before + 0.2)
                    self.assertEqual(page.call("state", "alice")["pair"][0], "relay")
                    if ends == "alice":
                        page.call("hangUp", "alice")
                    else:
                        telephone.command("hangup")
                    page.until("ended", lambda state: state["ended"], who=["alice"])
                    self.assertEqual(page.call("state", "alice")["ended"], "local" if ends == "alice" else "remote")
                    telephone.says("(?i)terminated|call closed|session closed", number)
        except AssertionError as error:
            lines = "\n".join(test_call.summary(page.messages()))
            raise AssertionError(f"{error}\n{lines}\n{telephone.log()[-2000:]}") from error
        finally:
            page.call("stop")

    def test_sipjs_calls_telephone(self):
        self.call("SIP.js", "alice")

    def test_jssip_calls_telephone(self):
        self.call("JsSIP", "alice")

    def test_telephone_calls_sipjs(self):
        self.call("SIP.js", "carol")

    def test_telephone_calls_jssip(self):
        self.call("JsSIP", "carol")


class PathTelephone(Telephone, unittest.TestCase):
    setUpClass = Path.setUpClass


class OwnContactTelephone(Telephone, unittest.TestCase):
    setUpClass = OwnContact.setUpClass


if __name__ == "__main__":
    unittest.main(verbosity=2)
