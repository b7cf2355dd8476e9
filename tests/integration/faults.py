#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The parts of ./faults: one function each, about the server and the daemon "main" that ./faults has configured.

A part prints what was tried, and a line for each thing that was wrong; exit 1 if there was one.

A death by a signal is wrong whenever it comes, at a start, in a request or at the end, and so is an exit code that is not
the program's own word. There is no exception: where a library dies of an allocation of its own, failalloc.c shows both
stacks, of the allocation that failed and of the death. Only where the same call of ours, by its address, stands on both is
the fault the library's alone: no function of it has returned in between, and no check of ours could have seen anything. A
NULL that a constructor has returned and we have passed on is ours. What was found so far, and is mended:
- OpenSSL 3.0 died of the lock of its default context (CRYPTO_THREAD_read_lock of NULL) where any of the 49 allocations for
  it failed: all in one call of ours. turncredd now makes that context first, and ends with a word (library_memory.c).
- uthash called exit(-1) in a thread of turncredd where a table could not be made. The rest of the process came to its end
  while other threads went on: within MHD_start_daemon, too.
"""
import base64
import collections
import hashlib
import http.client
import json
import mmap
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import urllib.parse

import support
import transport
from soak import Issuer

DIR = support.DIR
BUILD = pathlib.Path(os.environ["TC_BUILD"])
CTL, DAEMON, SERVER = os.environ["TC_CTL"], os.environ["TC_DAEMON"], os.environ["TC_TURNSERVER"]
STEP, TIMES = int(os.environ["FAULTS_STEP"]), int(os.environ["FAULTS_TIMES"])
KINDS = ("token", "derived", "rest", "pushed")
wrong, started = [], []


def bad(text):
    print(f"WRONG: {text}", flush=True)
    wrong.append(text)


# --- programs --------------------------------------------------------------------------------------


class Control:
    """What failalloc.c shares with the program: how many allocations there were, which one fails, and the descriptors closed twice."""

    def __init__(self, name, where=None):
        self.path = DIR / f"fail-{name}"
        self.path.write_bytes(bytes(24))
        self.file = self.path.open("r+b")
        self.map = mmap.mmap(self.file.fileno(), 24)
        self.environment = {"LD_PRELOAD": str(BUILD / "tests/integration/.libs/failalloc.so"), "FAIL_CONTROL": str(self.path)}
        if where:
            self.environment["FAIL_IN"] = where

    count = property(lambda self: struct.unpack_from("=q", self.map, 0)[0])
    failing = property(lambda self: struct.unpack_from("=q", self.map, 8)[0])
    closed_twice = property(lambda self: struct.unpack_from("=q", self.map, 16)[0])

    def fail(self, number):
        struct.pack_into("=q", self.map, 8, number)

    def reset(self, number=0):
        struct.pack_into("=qq", self.map, 0, 0, number)


# How a program ends that is sent SIGTERM (coturn 4.6 leaves that one to the system), and the exit codes of one that ends
# by itself and has said why. Any other code is not its own word: uthash and others call exit(-1).
TOLD = {"daemons": 0, "servers": -signal.SIGTERM}
BY_ITSELF = {"daemons": (1, 2), "servers": (255,)}


def has_ended(pid):
    try:
        return "\nState:\tZ" in pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


class Program:
    """The server or the daemon of ./faults, started by this process."""

    def __init__(self, kind, environment=None):
        self.folder = DIR / kind / "main"
        self.kind, self.environment, self.process = kind, environment or {}, None
        command = {"daemons": [DAEMON, "--config", str(self.folder / "conf")], "servers": [SERVER, "-c", str(self.folder / "turnserver.conf")]}
        self.command = command[kind]
        self.port = int((self.folder / "port").read_text())
        self.began = self.sizes()

    def stop_the_shells(self):
        """The one that ./faults has started."""
        file = self.folder / "pid"
        if file.exists():
            pid = int(file.read_text())
            file.unlink()
            os.kill(pid, signal.SIGTERM)
            support.wait_until(lambda: has_ended(pid), 30)

    def start(self, wait=True, seconds=30):
        """True if it serves; False if it has ended by itself."""
        self.began = self.sizes()
        with (self.folder / "faults.log").open("ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ, **self.environment))
        started.append(self.process)
        return self.serves(seconds) if wait else True

    def serves(self, seconds=30):
        end = time.monotonic() + seconds * float(os.environ.get("PATIENCE", "1"))
        while time.monotonic() < end:
            if self.process.poll() is not None:
                return False
            try:
                socket.create_connection(("127.0.0.1", self.port), 2).close()
                return True
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"{self.kind}: neither serves nor ends within {seconds} s")

    def stop(self, why="stop", seconds=40):
        """Sent SIGTERM, it ends as it should, or it is bad; also if it had ended before."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds * float(os.environ.get("PATIENCE", "1")))
        except subprocess.TimeoutExpired:
            self.kill()
            bad(f"{self.kind}: {why}: does not end within {seconds} s")
            return
        if code != TOLD[self.kind]:
            self.died(f"{self.kind}: {why}")

    def kill(self):
        self.process.kill()
        if self.process.wait() != -signal.SIGKILL:
            self.died(f"{self.kind}: kill -9")

    def alive(self):
        return self.process.poll() is None

    def sizes(self):
        return {name: (self.folder / name).stat().st_size if (self.folder / name).exists() else 0 for name in ("faults.log", "log")}

    def log(self, since=None):
        """What it has said, since its start or since the sizes of its logs."""
        said = b""
        for name, size in (since or self.began).items():
            if (self.folder / name).exists():
                said += (self.folder / name).read_bytes()[size:]
        return said.decode(errors="replace")

    def ended(self, why):
        """It has ended by itself at its start: how, in a word. That is good with an exit code that means it and a word in
        the log; anything else is bad, and None."""
        code = self.process.poll()
        if code not in BY_ITSELF[self.kind] or "error: " not in self.log().lower():
            return self.died(why)
        return f"exit {code}"

    def died(self, why):
        """It has ended as no program may. A fault of a library, too: see the head of this file."""
        code, said = self.process.poll(), self.log()
        stacks = re.search(r"^failed:\n.*^end$", said, re.M | re.S)
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        bad(f"{why}: {how}:\n{stacks[0] if stacks else said[-2000:]}")


def crashed(code):
    """Of a turncredctl, which nobody sends a signal."""
    return code < 0


def places(count):
    """The numbers of the allocations to fail: all, or every tenth from a random one on."""
    return range(1 if STEP == 1 else random.randrange(1, STEP + 1), count + 1, STEP)


def sql(statement):
    done = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement], capture_output=True, text=True, check=True)
    return done.stdout.strip()


# --- turncredctl -----------------------------------------------------------------------------------


def members(text):
    """The shape of a JSON answer: names and types, without values; which servers are late is a matter of time."""
    def shape(x):
        if isinstance(x, dict):
            return {k: shape(v) for k, v in x.items() if k != "late"}
        return [shape(v) for v in x] if isinstance(x, list) else type(x).__name__
    try:
        return json.dumps(shape(json.loads(text)), sort_keys=True)
    except ValueError:  # manual, completion
        return text


Command = collections.namedtuple("Command", "line before input", defaults=(None, None))


def ctl_commands(key, conf):
    """Every command; @ is another number each time."""
    instance = "INSERT INTO turncred.instance (id, kind, version, progress, database_state, last_seen) VALUES ('gone@', 'server', '0', '1', 'connected', now() - interval '1 day') ON CONFLICT DO NOTHING"
    spare = ("INSERT INTO turncred.realm (name, server_name, at_rest) VALUES ('spare', 'spare', 'plain') ON CONFLICT DO NOTHING; DELETE FROM turncred.key WHERE realm = 'spare';"
             " INSERT INTO turncred.key (realm, kid, use, alg, subject_tag, plain) VALUES ('spare', 's1', 'token', 'A256GCM', false, decode(repeat('ab', 32), 'hex'))")
    token = subprocess.run([CTL, "token", "issue", "turn.test", "alice", "--json"], capture_output=True, text=True, check=True).stdout
    file = DIR / "a-token.json"
    file.write_text(token)
    mac = DIR / "a-mac-key"
    mac.write_bytes(bytes(20))
    (DIR / "new-keks").mkdir(exist_ok=True)
    port = Program("servers").port
    return [Command(*c) if isinstance(c, tuple) else Command(c) for c in (
        "schema status", f"schema upgrade --directory {os.environ['TURNCRED_SCHEMA_DIR']}",
        "realm list", "realm show turn.test", "realm add added@ --mechanisms token,rest --origin https://a@.example --uri turn:a.example",
        "realm set turn.test --max-ttl 1d", ("realm remove spare --with-contents", spare),
        "key list turn.test", "key show turn.test k1", "key add turn.test added@", "key set turn.test k1 --accept-until +30d",
        ("key disable spare s1 --wait 0", spare), ("key rotate spare --wait 0", spare), ("key remove spare s1 --now", spare),
        "token issue turn.test alice", f"token encode --key-file {key} --server-name a.example --mac-key-file {mac} --lifetime 600",
        (f"token decode --key-file {key} --server-name a.example", None, json.loads(token)["access_token"]),
        "credential issue turn.test alice", "credential issue turn.test alice --kind rest", "credential push turn.test pushed@", "credential list turn.test",
        "credential remove turn.test gone@ --wait 0", f"credential derive --realm turn.test --user alice --key-file {key} --expiry 1764003600",
        "revoke user turn.test gone@ --wait 0", "unrevoke user turn.test gone@ --wait 0", "revocation list",
        "session list", "session show 1", "session end 1 --wait 0", "usage", "user forget turn.test gone@",
        "server list", ("server drain gone@ --wait 0", instance), ("server undrain gone@ --wait 0", instance), ("server forget gone@", instance), "caller list", "caller add caller@ --scopes token --realms turn.test",
        ("caller remove removed", "INSERT INTO turncred.caller (name, key_sha256, scopes, realms) VALUES ('removed', sha256('x'), '{token}', '{turn.test}') ON CONFLICT DO NOTHING"),
        "maintain", f"kek generate {DIR}/new-keks/kek@", "kek rewrap main --realm spare",
        f"probe --server 127.0.0.1:{port} --credential {file} --timeout 2s", f"doctor --server 127.0.0.1:{port}",
        f"import coturn dbname=coturn --turnserver-conf {conf}", "manual", "completion bash",
    )]


COTURN_TABLES = """
CREATE TABLE turnusers_lt (realm varchar(127), name varchar(512), hmackey char(128), PRIMARY KEY (realm, name));
CREATE TABLE turn_secret (realm varchar(127), value varchar(256), PRIMARY KEY (realm, value));
CREATE TABLE oauth_key (kid varchar(128), ikm_key varchar(256), timestamp bigint DEFAULT 0, lifetime integer DEFAULT 0, as_rs_alg varchar(64) DEFAULT '', realm varchar(127), PRIMARY KEY (kid));
CREATE TABLE turn_realm_option (realm varchar(127), opt varchar(32), value varchar(128), PRIMARY KEY (realm, opt));
CREATE TABLE turn_origin_to_realm (origin varchar(127), realm varchar(127), PRIMARY KEY (origin));
INSERT INTO turnusers_lt VALUES ('turn.test', 'old', '0123456789abcdef0123456789abcdef');
INSERT INTO turn_secret VALUES ('turn.test', 'a-secret-of-coturn');
INSERT INTO oauth_key VALUES ('north', 'MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=', 0, 0, 'A256GCM', 'turn.test');
INSERT INTO turn_realm_option VALUES ('turn.test', 'user-quota', '5');
INSERT INTO turn_origin_to_realm VALUES ('https://old.example', 'turn.test');
"""


def ctl():
    key = DIR / "a-key"
    key.write_bytes(os.urandom(32))
    conf = DIR / "turnserver-to-import.conf"
    conf.write_text("realm=turn.test\nuser=imported:secret\nstatic-auth-secret=north\n")
    # coturn's own tables, as its schema.sql has them
    sql("CREATE DATABASE coturn")
    subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", "coturn"], input=COTURN_TABLES, text=True, check=True, capture_output=True)
    commands = ctl_commands(key, conf)
    known = set(x.strip() for x in re.findall(r"^  ((?:[a-z]+ ?)+?)(?: [A-Z\[]|  )", subprocess.run([CTL, "--help"], capture_output=True, text=True, check=True).stdout.split("Options of")[0], re.M))
    for missing in sorted(name for name in known if not any(c.line.startswith(name) for c in commands)):
        bad(f"{missing}: this command is not tried")
    control = Control("ctl")
    total, odd = 0, collections.Counter()
    environment = dict(os.environ, **control.environment)
    for command in commands:
        def run(n):
            if command.before:
                sql(command.before.replace("@", str(n)))
            words = [w.replace("@", str(n)) for w in [CTL, *command.line.split(), "--json"]]
            return subprocess.run(words, capture_output=True, text=True, env=environment, timeout=60, input=command.input)
        control.reset()
        good = run(0)
        count = control.count
        if crashed(good.returncode) or good.returncode in (2, 6):
            bad(f"{command.line}: exit {good.returncode}: {good.stderr}")
            continue
        for n in places(count):
            control.reset(n)
            got = run(n)
            total += 1
            look_at(command, n, count, good, got)
            odd[got.returncode] += 1
    if total < len(commands):
        bad(f"only {total} allocations were seen")
    print(f"ctl: {total} failed allocations in {len(commands)} commands; exit codes {dict(sorted(odd.items()))}")


def look_at(command, n, count, good, got):
    """What a run with a failed allocation said."""
    name = f"{command.line}: allocation {n} of {count} fails"
    if crashed(got.returncode):
        bad(f"{name}: signal {-got.returncode}: {got.stderr}")
    elif got.returncode == 0 == good.returncode and (not got.stdout.strip() or members(got.stdout) != members(good.stdout)) and "list" not in command.line and command.line != "maintain":
        bad(f"{name}: exit 0 and another answer: {got.stdout[:300]}")
    elif got.returncode and not got.stderr.strip() and "doctor" not in command.line:
        bad(f"{name}: exit {got.returncode} without a word")


# --- turncredd -------------------------------------------------------------------------------------


def ask(issuer, what):
    """Status of one request."""
    bearer = {"Authorization": f"Bearer {issuer.key}"}
    if what in KINDS:
        return issuer.issue(what, "alice" if what != "pushed" else f"p{random.randrange(10**9)}")[0]
    if what in ("exchange", "certificate"):
        return exchange(what)
    method, path = {"rest call": ("GET", "/?service=turn&username=bob"), "metrics": ("GET", "/metrics"), "ready": ("GET", "/readyz"),
                    "delete": ("DELETE", "/v1/realms/turn.test/credentials/nobody"), "metadata": ("GET", "/.well-known/oauth-authorization-server"),
                    "revoke": ("DELETE", f"/v1/realms/turn.test/credentials/r{random.randrange(10**9)}?revoke=true")}[what]
    return issuer.ask(method, path, None, bearer)[0]


def exchange(what):
    """A token for a portal's token, asked for by a caller with a key, or by one with a certificate."""
    tls = ssl.create_default_context(cafile=DIR / "tls/ca.pem")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    form = {"grant_type": "client_credentials", "audience": "turn.test-server", "subject": "alice"}
    if what == "exchange":
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": "turn.test-server", "subject_token": (DIR / "jwt/token").read_text().strip(),
                "subject_token_type": "urn:ietf:params:oauth:token-type:access_token"}
        headers["Authorization"] = "Basic " + base64.b64encode(b"portal:" + (DIR / "callers/portal").read_bytes().strip()).decode()
    else:
        tls.load_cert_chain(DIR / "tls/client.pem", DIR / "tls/client.key")
    link = http.client.HTTPSConnection("127.0.0.1", int((DIR / "daemons/main/port").read_text()), timeout=30, context=tls)
    try:
        link.request("POST", "/oauth2/token", urllib.parse.urlencode(form), headers)
        return link.getresponse().status
    finally:
        link.close()


REQUESTS = KINDS + ("exchange", "certificate", "rest call", "metrics", "ready", "delete", "metadata", "revoke")


def asked(issuer, what):
    """Its status; 0: the connection was closed, libmicrohttpd's answer to a request without memory."""
    try:
        return ask(issuer, what)
    except (OSError, http.client.HTTPException):
        return 0


def outlived(daemon, why):
    """It closed a connection; if it died, that is bad, and it is started again."""
    if not daemon.serves():
        daemon.died(why)
        daemon.start()
        ready(daemon)


def in_requests(daemon, control):
    """Each allocation of each kind of request."""
    total, statuses = 0, collections.Counter()
    for what in REQUESTS:
        issuer = Issuer()
        usual = ask(issuer, what)
        if usual not in (200, 201, 202, 404):
            bad(f"{what}: {usual} without a failure")
        for k in range(1 + random.randrange(STEP), 400, STEP):
            control.fail(control.count + k)
            got = asked(issuer, what)
            reached = control.count >= control.failing
            control.fail(0)
            total += 1
            statuses[got] += 1
            # 202: the server's report is late; 404 of a delete is the usual one; 429: no room for the name in the limits
            if got not in (usual, 0, 429, 500, 503) and not (what in ("pushed", "revoke", "delete") and got in (200, 202)):
                bad(f"{what}: allocation {k} fails: {got} instead of {usual}")
            if not got:
                outlived(daemon, f"{what}: allocation {k} fails")
            if not reached:
                break
        if asked(Issuer(), what) not in (usual, 202):
            bad(f"{what}: stays broken")
    return total, dict(statuses)


def in_reloads(daemon, control):
    """Each allocation of a reload with a changed caller: a caller that is good is never unknown."""
    issuer, total = Issuer(), 0
    for k in range(1, 400, 3 * STEP):
        target = control.count + k
        control.fail(target)
        sql("UPDATE turncred.caller SET not_after = now() + interval '1 day' * random() + interval '1 day' WHERE name = 'portal'")
        daemon.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 1.5
        while time.monotonic() < end and control.count < target:
            got = asked(issuer, "derived")
            if not got:
                outlived(daemon, f"reload: allocation {k} fails")
            if got not in (0, 201, 429, 500, 503):
                bad(f"reload: allocation {k} fails: a good caller gets {got}")
                break
        reached = control.count >= target
        control.fail(0)
        got = asked(issuer, "derived")
        total += 1
        if got == 401:
            bad(f"reload: allocation {k} fails: the caller is unknown afterwards")
        if not reached:
            break
    sql("UPDATE turncred.caller SET not_after = NULL WHERE name = 'portal'")
    return total


def fresh_start(daemon):
    """A start that allocates as often as the one before: the journal is read anew each time, and would grow."""
    state = daemon.folder / "state"
    shutil.rmtree(state)
    state.mkdir(mode=0o700)
    return daemon.start()


def in_starts(daemon, control):
    """Allocations of a start. OpenSSL makes thousands, in memory that turncredd gives it, nearly all before the first
    thread: half of those that fail are among the last tenth."""
    control.reset()
    assert fresh_start(daemon), "does not start"
    ready(daemon)
    count, ended = control.count, collections.Counter()
    daemon.stop()
    late = count - count // 10
    for n in sorted(random.sample(range(1, late), 300 // STEP) + random.sample(range(late, count + 1), 300 // STEP)):
        control.reset(n)
        serves = fresh_start(daemon)
        if serves:
            try:
                ready(daemon)
            except AssertionError:
                serves = daemon.alive()  # it may end when one of its listeners serves already
                if serves:
                    bad(f"start: allocation {n} of {count} fails: it serves, but never gets ready")
        if serves:
            ended["serves"] += 1
            daemon.stop(f"start: allocation {n} of {count} fails")
        else:
            ended[daemon.ended(f"start: allocation {n} of {count} fails")] += 1
    return dict(ended)


def turncredd():
    first = Program("daemons")
    first.stop_the_shells()
    control = Control("turncredd")
    daemon = Program("daemons", control.environment)
    if not daemon.start():
        return bad("does not start")
    ready(daemon)
    requests, statuses = in_requests(daemon, control)
    reloads = in_reloads(daemon, control)
    daemon.stop("after requests and reloads")
    starts = in_starts(daemon, control)
    print(f"turncredd: {sum(starts.values())} starts {starts}, {requests} requests {statuses}, {reloads} reloads with a failed allocation")
    again = Program("daemons")
    again.start()
    ready(again)
    (again.folder / "pid").write_text(str(again.process.pid))


def ready(daemon, seconds=30):
    """Until it is ready by its own word, and a good caller gets a credential."""
    said = collections.Counter()

    def is_ready():
        assert daemon.alive(), f"it has ended: {daemon.process.poll()}"
        try:
            issuer = Issuer()
            status, text = issuer.ask("GET", "/readyz", None, {})
            said[f"/readyz {status} {text[:200]}"] += 1
            if status != 200:
                return False
            status, answer = issuer.issue("derived", "ready")
            said[f"issue {status} {answer if status != 201 else ''}"] += 1
            return status == 201
        except (OSError, http.client.HTTPException) as e:
            said[repr(e)] += 1
            return False
    try:
        support.wait_until(is_ready, seconds)
    except AssertionError as e:
        raise AssertionError(f"{e}; what it said: {dict(said)}; its log: {daemon.log()[-2000:]}") from None


# --- turncred.so -----------------------------------------------------------------------------------


def credentials():
    push = f"pushed{random.randrange(10**9)}"
    made = {"token": support.token("k1"), "derived": support.derived(), "rest": support.rest(), "pushed": support.password(push, "0123456789abcdef-" + push)}
    done = subprocess.run(["/usr/bin/python3", support.__file__, "credential", "turn.test", push, "0123456789abcdef-" + push, "0", ""], capture_output=True, text=True, check=True)
    sql(done.stdout)
    return made


def code_of(credential):
    """The code of a login; None: nobody listens there."""
    try:
        return support.login(credential, name="main")
    except transport.Gone:
        return None


def lets_in(made, why, codes=(0,)):
    """Good credentials get one of the codes, wrong ones never 0."""
    for kind, credential in made.items():
        code = code_of(credential)
        if code not in codes:
            bad(f"{why}: {kind}: {code}")
    forged = support.token("k1", k=bytes(32))
    if code_of(forged) == 0:
        bad(f"{why}: a forged token is let in")


def settle(made, why, seconds=20):
    try:
        support.wait_until(lambda: all(code_of(c) == 0 for c in made.values()), seconds)
    except AssertionError:
        bad(f"{why}: a good credential is refused for {seconds} s")


def module():
    Program("servers").stop_the_shells()
    control = Control("module", "turncred.so")
    server = Program("servers", control.environment)
    if not server.start():
        return bad("does not start")
    made = credentials()
    settle(made, "start")
    count, total = control.count, collections.Counter()
    # logins: a decision that allocates may fail for want of memory, with 500, and is right the next time
    for kind, credential in made.items():
        for k in range(1, 20):
            target = control.count + k
            control.fail(target)
            code = code_of(credential)
            reached = control.count >= target
            control.fail(0)
            total[f"login {kind}"] += 1
            if code not in (0, 500):
                bad(f"login {kind}: allocation {k} fails: {code}")
            if not reached:
                break
    # reloads, with a revocation of another user on the way, which comes into force all the same
    for k in range(1, 400, 2 * STEP):
        target = control.count + k
        control.fail(target)
        user = f"revoked{k}"
        sql(f"SELECT turncred.revoke('user', 'turn.test', '{user}')")
        server.process.send_signal(signal.SIGUSR2)
        lets_in(made, f"reload: allocation {k} fails", (0, 500))
        try:
            support.wait_until(lambda: control.count >= target, 0.5)
        except AssertionError:
            pass
        reached = control.count >= target
        control.fail(0)
        total["reload"] += 1
        gone = support.derived(user)
        try:
            support.wait_until(lambda: code_of(gone) == 401, 10)
        except AssertionError:
            bad(f"reload: allocation {k} fails: a revocation is not in force after 10 s")
        if not reached:
            break
    settle(made, "reloads")
    server.stop("after logins and reloads")
    ended = collections.Counter()
    for n in places(count):
        control.reset(n)
        if server.start():
            settle(made, f"start: allocation {n} of {count} fails")
            ended["serves"] += 1
            server.stop(f"start: allocation {n} of {count} fails")
        else:
            ended[server.ended(f"start: allocation {n} of {count} fails")] += 1
    print(f"module: {sum(ended.values())} starts {dict(ended)}; with a failed allocation: {dict(total)}")
    keep(Program("servers"))


def keep(program):
    """The program as ./faults had it."""
    if not program.start():
        bad(f"{program.kind}: does not start any more: {program.log()[-500:]}")
    (program.folder / "pid").write_text(str(program.process.pid))


# --- disk, descriptors, clock, kill ----------------------------------------------------------------


def configured(kind, **settings):
    """Replaces lines of the program's settings, at the head of the file: a section may end it."""
    file = DIR / kind / "main" / ("conf" if kind == "daemons" else "module.conf")
    text = file.read_text()
    for name, value in settings.items():
        text = f"{name} = {value}\n" + re.sub(rf"^{name} = .*\n", "", text, flags=re.M)
    file.write_text(text)


def disk():
    small = DIR / "small"
    if not os.path.ismount(small):
        print("disk: mounting is not allowed here: left out")
        return
    (small / "state").mkdir(mode=0o700)
    before = (DIR / "daemons/main/conf").read_text()
    Program("daemons").stop_the_shells()
    configured("daemons", state_dir=small / "state", snapshot_file=small / "state/snapshot")
    daemon = Program("daemons")
    daemon.start()
    ready(daemon)
    issuer, answered = Issuer(), []
    for _ in range(max(1, TIMES // 10)):
        ballast = small / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        codes = collections.Counter()
        for n in range(30):
            status, answer = issuer.issue("derived", f"full{n}")
            codes[status] += 1
            if status == 201:
                answered.append(answer["username"])
        if set(codes) - {201, 503} or not codes[503]:
            bad(f"disk full: {dict(codes)}")
        status = issuer.ask("GET", "/readyz", None, {})[0]
        if status != 503:
            bad(f"disk full: /readyz says {status}")
        ballast.unlink()
        try:
            support.wait_until(lambda: issuer.issue("derived", "after")[0] == 201, 10)
            support.wait_until(lambda: issuer.ask("GET", "/readyz", None, {})[0] == 200, 10)
        except AssertionError:
            bad("disk: room again, but nothing is issued")
    daemon.stop()
    lost = [name for name in answered if sql(f"SELECT count(*) FROM turncred.issue_log WHERE subject = '{name.rpartition(':')[0]}'") == "0"]
    if lost:
        bad(f"disk: {len(lost)} credentials were answered and are not recorded")
    print(f"disk: full {max(1, TIMES // 10)} times, {len(answered)} credentials answered meanwhile, {len(lost)} lost")
    (DIR / "daemons/main/conf").write_text(before)
    keep(Program("daemons"))


def reloads_without_descriptors(program):
    """A reload that gets some descriptors and not all fails, and what is in service stays: a listening socket that
    libmicrohttpd shut down stayed deaf, and its threads busy."""
    pid = program.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    for extra in range(0, 40, 3):
        told = lambda: len(re.findall("settings in force stay|have been read again", program.log()))
        before = told()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")) + extra, hard))
        program.process.send_signal(signal.SIGHUP)
        support.wait_until(lambda: told() > before, 20)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        try:
            ready(program)
        except AssertionError as e:
            bad(f"turncredd: a reload with {extra} descriptors left, then with all: {e}")
            break


def descriptors():
    # coturn's own listeners go on asking for as long as a connection waits: of turnserver, CPU is not looked at
    for kind, name in (("daemons", "turncredd"), ("servers", "turnserver")):
        Program(kind).stop_the_shells()
        control = Control(f"descriptors-{name}", "nothing")
        program = Program(kind, control.environment)
        program.start()
        pid = program.process.pid
        made = credentials()
        settle(made, "start") if kind == "servers" else ready(program)
        if kind == "daemons":
            reloads_without_descriptors(program)
        used = len(os.listdir(f"/proc/{pid}/fd"))
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        for extra in (0, 1, 2, 3, 8):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + extra, hard))
            held = []
            for _ in range(extra + 10):
                try:
                    held.append(socket.create_connection(("127.0.0.1", program.port), 2))
                except OSError:
                    break
            if kind == "daemons":
                program.process.send_signal(signal.SIGHUP)
            else:
                program.process.send_signal(signal.SIGUSR2)
            if kind == "daemons":
                falls_asleep(pid, f"{name}: {used + extra} descriptors, all used")
            for one in held:
                one.close()
            if not program.alive():
                break
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
            if kind == "daemons":
                ready(program)
            else:
                settle(made, f"{name}: descriptors again")
        program.stop(f"{name}: after all")
        if control.closed_twice:
            bad(f"{name}: {control.closed_twice} descriptors were closed that were not open")
        keep(Program(kind))
    print("descriptors: used up five times in each program")


def falls_asleep(pid, what):
    """When what the signal costs is done, it waits. A thread that asks in vain again and again never does."""
    def asleep():
        before = cpu_ticks(pid)
        time.sleep(0.5)  # the time is the subject
        return (cpu_ticks(pid) - before) / os.sysconf("SC_CLK_TCK") < 0.05
    try:
        support.wait_until(asleep, 20)
    except AssertionError:
        bad(f"{what}: it does not come to rest")


def cpu_ticks(pid):
    words = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(words[11]) + int(words[12])


def clock():
    file = DIR / "clockstep"
    file.write_bytes(bytes(8))
    environment = {"LD_PRELOAD": str(BUILD / "tests/abi/.libs/clockstep.so"), "CLOCKSTEP": str(file)}
    programs = [Program(kind, environment) for kind in ("daemons", "servers")]
    for program in programs:
        program.stop_the_shells()
        program.start()
    ready(programs[0])
    steps = [3600, -3600, 86400, -86400, 365 * 86400, 0, 7, -7, 1, 0]
    if STEP > 1:
        steps = [3600, -86400, 365 * 86400, 0]
    for step in steps:
        with file.open("r+b") as f:
            f.write(struct.pack("=q", step))
        issuer = Issuer()
        for kind in KINDS:
            # the certificate of the daemon is not the subject: this process does not step
            status, answer = issuer.issue(kind, f"step{abs(step)}{kind}" if kind == "pushed" else "alice")
            if status not in (200, 201, 202):
                bad(f"clock {step:+}: {kind}: {status} {answer}")
                continue
            credential = support.credentials.Credential.from_json(json.dumps(answer))
            try:
                support.wait_until(lambda: code_of(credential) == 0, 5)
            except AssertionError:
                bad(f"clock {step:+}: {kind}: what turncredd issues, turnserver refuses: {support.login(credential, name='main')}")
    for program in programs:
        program.stop("clock")
        keep(Program(program.kind))
    print(f"clock: {len(steps)} steps of both programs")


def kill():
    programs = {kind: Program(kind) for kind in ("daemons", "servers")}
    before = {kind: program.sizes() for kind, program in programs.items()}
    for program in programs.values():
        program.stop_the_shells()
        program.start()
    ready(programs["daemons"])
    answered, logins, slow = [], 0, 0.0
    for n in range(TIMES):
        victim = programs[random.choice(("daemons", "servers"))]
        after, begun = random.uniform(0, 0.3), time.monotonic()
        issuer = Issuer()
        while time.monotonic() - begun < after:
            for kind in ("derived", "token"):
                status, answer = issuer.issue(kind, f"kill{n}")
                if status not in (200, 201):
                    bad(f"kill {n}: {kind}: {status}")
                    continue
                answered.append(answer)
        victim.kill()
        if n % 10 == 9:
            subprocess.run(["bash", "-c", f". {os.environ['TC_TOP']}/scripts/lib.sh; as_user \"$(pg_user)\" \"$(pg_bin)/pg_ctl\" -D {DIR}/pg/data -l {DIR}/pg/postgresql.log -m immediate -w -t 60 restart"],
                           check=True, capture_output=True, stdin=subprocess.DEVNULL)
        begun = time.monotonic()
        if not victim.start():
            bad(f"kill {n}: {victim.kind} does not start again: {victim.log()[-500:]}")
            break
        ready(programs["daemons"])
        if answered:
            # what was answered before the kill lets in after it
            credential = support.credentials.Credential.from_json(json.dumps(answered[-1]))
            try:
                support.wait_until(lambda: code_of(credential) == 0, 20)
                logins += 1
            except AssertionError:
                bad(f"kill {n}: a credential of before is refused: {support.login(credential, name='main')}")
        slow = max(slow, time.monotonic() - begun)
    support.wait_until(lambda: json.loads(Issuer().ask("GET", "/readyz", None, {})[1])["undelivered"] == 0, 60)
    names = collections.Counter(sql("SELECT CASE kind WHEN 'token' THEN fingerprint ELSE subject || ':' || extract(epoch FROM expiry)::bigint END FROM turncred.issue_log").splitlines())
    key = lambda a: fingerprint(a["access_token"]) if "access_token" in a else a["username"]
    wanted = [key(a) for a in answered]
    lost, twice = [w for w in wanted if w not in names], [k for k, v in names.items() if v > 1 and ":" not in k]
    if lost or twice:
        bad(f"kill: {len(lost)} lost, {len(twice)} tokens there twice: {(lost + twice)[:5]}")
    for program in programs.values():
        damaged = [line for line in program.log(before[program.kind]).splitlines() if re.search("(snapshot|journal|state_dir).*damaged", line)]
        if damaged:
            bad(f"{program.kind}: a file was damaged: {damaged[:3]}")
        program.stop()
        keep(Program(program.kind))
    print(f"kill: {TIMES} times, {len(answered)} credentials answered, {len(lost)} lost, {len(twice)} twice, {logins} logins afterwards, back after {slow:.1f} s at most")


def fingerprint(token):
    return hashlib.sha256(base64.b64decode(token)).hexdigest()[:32]


if __name__ == "__main__":
    try:
        {f.__name__: f for f in (ctl, turncredd, module, disk, descriptors, clock, kill)}[sys.argv[1]]()
    except AssertionError as failure:
        bad(f"{sys.argv[1]}: {failure}")
        for process in started:  # the next part would find their files and ports taken
            if process.poll() is None:
                process.kill()
                process.wait()
        for kind in ("daemons", "servers"):
            keep(Program(kind))
    sys.exit(bool(wrong))
