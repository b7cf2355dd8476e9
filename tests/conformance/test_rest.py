#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""TURN REST usernames: whoever stock coturn lets in is let in by the module, but for the differences named here.
Some thousand generated names, orders, separators and secrets are put to coturn's own functions and to libturncred;
a sample of them goes over the wire, to an unpatched turnserver and to the module."""

import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path.insert(0, str(HERE))

import credentials  # noqa: E402
import patched  # noqa: E402
import probes  # noqa: E402
import server  # noqa: E402

MAX_TTL, SLACK = 86400, 300
ORDERS = ("timestamp:user-id", "user-id:timestamp", "either")
SEPARATORS = ":::@|!/"

# What differs, and why. The first four: coturn lets in, the module does not.
DIFFERENCES = {
    "time": "a time further ahead than max_ttl and 5 minutes, at or above 2^31, negative, or of this very second",
    "order": "the order that the key does not have",
    "chosen": "user-id:timestamp or either order with several separators: coturn reads at the first, so that a user id "
              "such as alice:9999999999 is its own expiry",
    "both": "either order, and both readings are possible, or the time is followed by something else",
    "longer": "more than 508 octets (RFC 8489 14.3)",
    # the module lets in, coturn does not
    "behind": "user-id:timestamp with a separator or digits in the user id (SIP URIs, MSISDNs)",
    # both let in, under another user id
    "nameless": "an empty user id: coturn counts all such users as one or none, the module each by its whole name",
}

STOCK = """
#define _GNU_SOURCE
#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "ns_turn_defs.h"
#define turn_strdup strdup /* from 4.15 */
typedef uint32_t turn_time_t;
static struct { int rest_api_separator, use_auth_secret_with_timestamp; } turn_params = {':', 1};
@FUNCTIONS@
int stock_accepts(char *username, char separator, long now) {
  turn_params.rest_api_separator = separator;
  if (!is_secure_string((const uint8_t *)username, 1) || strlen(username) > 512) {
    return 0;
  }
  turn_time_t ctime = (turn_time_t)now;
  turn_time_t ts = get_rest_api_timestamp(username);
  return !turn_time_before(ts, ctime);
}
char *stock_user(char *username, char separator) {
  turn_params.rest_api_separator = separator;
  return get_real_username(username);
}
char *stock_password(const char *username, const char *secret) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  HMAC(EVP_sha1(), secret, (int)strlen(secret), (const unsigned char *)username, strlen(username), mac, &n);
  char *text = calloc(1, 64);
  EVP_EncodeBlock((unsigned char *)text, mac, (int)n);
  return text;
}
"""


def setUpModule():
    if not server.stock() or not (tree() / "src/apps/relay/userdb.c").exists():
        raise unittest.SkipTest("no unpatched turnserver built by scripts/build-coturn")


def tree():
    return pathlib.Path(server.stock()).resolve().parents[1] / "src"


def function_of(path, head):
    """A function of coturn's source, from the line that begins with head to the brace that ends it."""
    text = (tree() / path).read_text()
    return re.search(r"^" + re.escape(head) + r".*?^}$", text, re.M | re.S).group()


class Oracle:
    """coturn's functions and libturncred in one process."""

    def __init__(self, folder):
        functions = [function_of("src/apps/relay/userdb.c", "static turn_time_t get_rest_api_timestamp("),
                     function_of("src/apps/relay/userdb.c", "static char *get_real_username("),
                     "static " + function_of("src/apps/common/ns_turn_utils.c", "int is_secure_string(")]
        source = os.path.join(folder, "stock_rest.c")
        with open(source, "w") as file:
            file.write(STOCK.replace("@FUNCTIONS@", "\n".join(functions)))
        self.program = os.path.join(folder, "oracle")
        core = sorted(str(path) for path in (TOP / "plugin/core").glob("*.c"))
        subprocess.run(
            [os.environ.get("CC", "cc"), "-O1", "-w", "-D_GNU_SOURCE", "-include", "stdbool.h", "-o", self.program]
            + [str(HERE / "rest_oracle.c"), source, *core, f"-I{TOP / 'plugin'}", f"-I{TOP / 'plugin/core'}"]
            + [f"-I{tree() / 'src'}", "-lcrypto"],
            check=True,
        )

    def ask(self, questions):
        """For each (now, separator, order, secret, name): coturn's and the library's (user or None, password)."""
        text = "".join(
            f"{now} {MAX_TTL} {separator} {order} {secret.encode().hex()} {name.encode().hex() or '-'}\n"
            for now, separator, order, secret, name in questions
        )
        done = subprocess.run([self.program], input=text, capture_output=True, text=True, check=True)
        for line in done.stdout.splitlines():
            field = line.split()
            yield tuple(
                (bytes.fromhex(user.strip("-")).decode() if accepted == "1" else None, password)
                for accepted, user, password in (field[:3], field[3:])
            )


class Names:
    """Usernames as issuers write them, or nearly."""

    def __init__(self, seed, now):
        self.random, self.now = random.Random(seed), now

    def time(self):
        choice = self.random.choice
        ahead = choice((3600, 3600, 3600, 600, 86000, 86400 + 250, 86400 + 350, 7 * 86400, -100, -86400, 0))
        text = str(choice((self.now + ahead,) * 12 + (2**31 + 5, 2**32 + self.now + 600, (self.now + 600) * 1000, 10**20, 5)))
        return choice(("",) * 8 + ("0", "000", "0" * 20, "+", "-", "\v")) + text + choice(("",) * 10 + (".25", "x", "-a"))

    def user(self, separator):
        return self.random.choice((
            "alice", "alice", "alice", "", "491711234567", "4102444800", "5060", "josé", "📞", "o'brien", "a b",
            "union-select", f"sip{separator}alice@ims.example", f"a{separator}5060", f"x{separator}{self.now + 900}",
            f"x{separator}{self.now - 900}", f"{self.now + 900}{separator}x", separator, "@alice:matrix.example.org",
            "a-b_c.d", str(self.now + 500), "y" * 490, "y" * 499, "y" * 510))

    def name(self, separator):
        time_, user = self.time(), self.user(separator)
        return self.random.choice((
            time_, time_ + separator, separator + time_, time_ + separator + user, time_ + separator + user,
            time_ + separator + user, user + separator + time_, user + separator + time_, user + separator + time_,
            user, time_ + self.random.choice("@-_.|") + user, separator + time_ + separator + user))


def atol(text):
    """What atol() reads."""
    match = re.match(r"[\v\f]*([+-]?[0-9]+)", text)
    return int(match.group(1)) if match else 0


def digits(text):
    return bool(re.fullmatch("[0-9]+", text))


def stock_time(name, separator):
    before, found, behind = name.partition(separator)
    if not found:
        return atol(name)
    return atol(behind) if not digits(before) else int(before)


def why_refused(now, separator, order, name):
    """The named difference that lets coturn's verdict yes become no."""
    read = stock_time(name, separator)
    if len(name.encode()) > 508:
        return "longer"
    if not now < read <= now + MAX_TTL + SLACK:
        return "time"
    if separator not in name:
        return None
    before, behind = name.partition(separator)[0], name.rpartition(separator)[2]
    if order == "timestamp:user-id":
        return None if digits(before) else "order"
    if order == "user-id:timestamp":
        if atol(behind) == read:
            return None
        return "chosen" if name.count(separator) > 1 else "order"
    left, right = (digits(text) and int(text) >= 10**9 for text in (before, behind))
    rest = name.partition(separator)[2] if left else name.rpartition(separator)[0]
    if left == right or digits(rest):
        return "both"
    return "chosen" if read != int(before if left else behind) else None


class Property(unittest.TestCase):
    """coturn's own functions and the library, in one process."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.oracle = Oracle(folder.name)

    def setUp(self):
        self.seed = random.randrange(2**32)
        self.now = int(time.time())
        self.names = Names(self.seed, self.now)

    def difference(self, question, stock, ours):
        """The name of the difference between two verdicts; None: they agree; False: it has no name."""
        now, separator, order, _, name = question
        if stock[0] is not None and ours[0] is None:
            return why_refused(now, separator, order, name) or False
        if stock[0] is None and ours[0] is not None:
            several = order != "timestamp:user-id" and name.endswith(separator + str(atol(name.rpartition(separator)[2])))
            zeros = order != "timestamp:user-id" and atol(name.rpartition(separator)[2]) > now
            return "behind" if several or zeros else False
        if stock[0] is None or stock == ours:
            return None
        if stock[1] != ours[1]:
            return False
        nameless = name.endswith(separator) or name.startswith(separator)
        if nameless and ours[0] == name:
            return "nameless"
        # coturn has another user id where it has taken another time
        if order == "timestamp:user-id":
            return False
        return "behind" if digits(name.partition(separator)[0]) else name.count(separator) > 1 and "chosen"

    def questions(self, count):
        pick = self.names.random.choice
        for _ in range(count):
            separator, order = pick(SEPARATORS), pick(ORDERS)
            secret = "s" * pick((1, 20, 63, 64, 65, 128, 200, 256, 1000))
            yield self.now, separator, order, secret, self.names.name(separator)

    def test_as_stock_but_for_the_named_differences(self):
        questions = list(self.questions(6000))
        seen, agreed, unnamed = set(), {True: 0, False: 0}, []
        for question, (stock, ours) in zip(questions, self.oracle.ask(questions)):
            difference = self.difference(question, stock, ours)
            if difference is False:
                unnamed.append((question[1:], stock, ours))
            elif difference:
                seen.add(difference)
            else:
                agreed[ours[0] is not None] += 1
        self.assertEqual(unnamed[:5], [], f"seed {self.seed}")
        self.assertEqual(seen, set(DIFFERENCES), f"seed {self.seed}")
        # the generator makes many of each kind
        self.assertGreater(agreed[True], 500, f"seed {self.seed}")
        self.assertGreater(agreed[False], 500, f"seed {self.seed}")

    def test_a_user_id_never_becomes_an_expiry(self):
        """Whatever user id a user has chosen, the module reads the time that the issuer wrote, or refuses."""
        pick = self.names.random.choice
        questions = []
        for _ in range(3000):
            separator, order, user = pick(SEPARATORS), pick(ORDERS), self.names.user(":")
            expiry = self.now + pick((-5000, -50, 1800))
            first = order == "timestamp:user-id" or (order == "either" and pick((0, 1)))
            name = f"{expiry}{separator}{user}" if first else f"{user}{separator}{expiry}"
            questions.append((self.now, separator, order, "s", name))
        for question, (_, ours) in zip(questions, self.oracle.ask(questions)):
            expired = not re.search(f"(^|\\W){self.now + 1800}($|\\W)", question[4])
            self.assertFalse(expired and ours[0] is not None, f"seed {self.seed}: {question}")


class OnTheWire(unittest.TestCase):
    """The same names at an unpatched turnserver and at the module: each says what its functions say."""

    SECRET = "a-secret-that-is-longer-than-a-block-of-sha1-" + "x" * 60

    @classmethod
    def setUpClass(cls):
        reason = patched.missing()
        if reason:
            raise unittest.SkipTest(reason)
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.oracle = Oracle(folder.name)
        cls.place = patched.Place(realm="example.org")
        cls.addClassCleanup(cls.place.stop)
        cls.realm = cls.place.realm("example.org", mechanisms=["rest"], max_ttl=MAX_TTL)
        cls.realm.place.database.sql("DELETE FROM turncred.key")
        cls.place.start()

    def add_key(self, order, separator):
        self.place.database.sql("DELETE FROM turncred.key")
        self.place.database.call("key_add_plain", "example.org", "k", "rest", "sha1", self.SECRET.encode(), "none", order,
                                 "active", None, None, None, separator)
        self.place.synced()

    def test_the_same_names(self):
        seed = random.randrange(2**32)
        now = int(time.time())
        names = Names(seed, now)
        for order, separator in (("timestamp:user-id", ":"), ("either", ":"), ("user-id:timestamp", "@")):
            self.add_key(order, separator)
            lines = ["use-auth-secret", f"static-auth-secret={self.SECRET}", "realm=example.org",
                     f"rest-api-separator={separator}"]
            with server.Server(server.stock(), lines) as stock:
                sample = [names.name(separator) for _ in range(120)]
                # a name longer than coturn reads is another matter, and the second of the expiry may pass
                sample = [n for n in sample if n and len(n.encode()) <= 508 and str(now) not in n]
                questions = [(now, separator, order, self.SECRET, name) for name in sample]
                for question, verdicts in zip(questions, self.oracle.ask(questions)):
                    name = question[4]
                    login = credentials.Credential(
                        name, password=credentials.rest_password(self.SECRET.encode(), name))
                    said = [probes.login(place, login) for place in (stock, self.place.server)]
                    self.assertEqual([word == "ok" for word in said], [user is not None for user, _ in verdicts],
                                     f"seed {seed}: {name!r}, order {order}: {said}: {self.place.server.log()[-2000:]}")

    def test_forms_that_products_write(self):
        """Prosody and Jitsi write the time alone; Synapse and others time:user; some user:time."""
        expiry = int(time.time()) + 3600
        self.add_key("either", ":")
        for name in (f"{expiry}", f"{expiry}:", f"{expiry}:@bob:matrix.example.org", f"bob:{expiry}", f"0{expiry}:bob"):
            login = credentials.Credential(name, password=credentials.rest_password(self.SECRET.encode(), name))
            self.assertEqual(probes.login(self.place.server, login), "ok", name)
            self.assertEqual(probes.login(self.place.server, credentials.Credential(name, password="x")), "401", name)
        # a time that Names does not draw: a revoked name stays so for the other tests of this server
        self.assertEqual(self.revoked(f"{expiry - 1234}"), "401")
        self.assertEqual(self.revoked(f"{expiry}:bob", "bob"), "401")

    def revoked(self, name, user=None):
        """Who has no user id is revoked by the whole name."""
        login = credentials.Credential(name, password=credentials.rest_password(self.SECRET.encode(), name))
        self.assertEqual(probes.login(self.place.server, login), "ok")
        self.place.database.call("revoke", "user", "example.org", user or name)
        self.place.synced()
        return probes.login(self.place.server, login)


if __name__ == "__main__":
    unittest.main()
