# SPDX-License-Identifier: BSD-3-Clause
"""A portal, turncredd, a patched turnserver and their database, each of them real.

Everything listens on the address that is given, and ends with stop(). start_edge() adds the eP-CSCF of
plugin/epcscf.
"""

import base64
import hashlib
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
TOP = pathlib.Path(os.environ.get("top_srcdir", HERE.parents[2]))
sys.path.insert(0, str(TOP / "tests" / "conformance"))

import patched  # noqa: E402
import server  # noqa: E402

PORTAL = TOP / "plugin" / "examples" / "portal" / "portal"
EDGE = TOP / "plugin" / "epcscf"
KAMAILIO = "/usr/sbin/kamailio"
REALM = "portal.example"
AUDIENCE = "https://turncredd.portal.example"
PASSWORDS = {"alice": "wonderland & looking-glass", "bob": "correct horse battery"}
SIP_PASSWORDS = {"alice": "white rabbit", "bob": "staple", "carol": "sherry"}


def daemon():
    build = os.environ.get("top_builddir") or os.environ.get("BUILDDIR") or TOP / "build"
    path = os.environ.get("TURNCREDD") or os.path.join(build, "turncredd")
    return path if os.access(path, os.X_OK) else None


def missing():
    if daemon() is None or patched.ctl() is None:
        return "no turncredd or no turncredctl: set top_builddir"
    try:
        import jwt  # noqa: F401
    except ImportError:
        return "python3-jwt is not installed"
    return patched.missing()


def no_edge():
    """The name of a missing program for the eP-CSCF; None if nothing is missing."""
    if not os.access(KAMAILIO, os.X_OK):
        return "kamailio is not installed"
    return None if (EDGE / "kamailio.cfg").exists() else "there is no plugin/epcscf"


MODULES = pathlib.Path(os.environ.get("top_builddir") or os.environ.get("BUILDDIR") or TOP / "build") / "npm-provider"


def no_provider():
    """Why there is no OpenID Connect provider; None if there is one."""
    if not shutil.which("node"):
        return "node is not installed"
    done = subprocess.run(
        [TOP / "scripts" / "npm-modules", HERE / "provider", MODULES], capture_output=True, text=True, timeout=600
    )
    return f"npm cannot have oidc-provider: {done.stdout.strip()}" if done.returncode else None


class Process:
    """A program with its log in a file; ends within its time or is killed."""

    def __init__(self, name, folder, command, **options):
        self.name, self.path = name, os.path.join(folder, name + ".log")
        self.log_file = open(self.path, "ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=self.log_file, **options
        )

    def log(self):
        return pathlib.Path(self.path).read_text(errors="replace")

    def wait_for(self, what, seconds=60):
        end = time.monotonic() + seconds
        while not what():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {self.log()}")
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name} is not ready after {seconds} s: {self.log()}")
            time.sleep(0.05)
        return self

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log_file.close()
        return self.process.returncode


class Place:
    def __init__(self, ip="127.0.0.1", session="8h", edge=False, lines=(), provider=False):
        """lines: of portal.conf. provider: users sign in there, the portal has none"""
        self.ip, self.session = ip, session
        self.processes = {}
        self.turn = patched.Place(realm=REALM, ip=ip)
        try:
            self.folder = pathlib.Path(self.turn.folder)
            self.turn.realm(REALM)
            self.certificates()
            self.provider = f"https://{ip}:{server.free_port()}" if provider else None
            self.start_issuer()
            if provider:
                self.run_provider()
            self.turn.start()
            host, port = self.turn.server.address
            self.uris = [f"turn:{host}:{port}?transport={way}" for way in ("udp", "tcp")]
            self.ctl("realm", "set", REALM, *(word for uri in self.uris for word in ("--uri", uri)))
            if edge:
                self.edge_settings()
                self.run_edge()
                lines = [*lines, f"sip_websocket = {self.edge}/"]
            self.start_portal(lines)
        except BaseException:
            self.stop()
            raise

    def ctl(self, *arguments):
        return self.turn.database.ctl(*arguments)

    # --- certificates -----------------------------------------------------------------------

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.folder)

    def certificates(self):
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self.openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=CA", "-addext", "keyUsage=critical,keyCertSign",
                     "-keyout", "ca.key", "-out", "ca.pem")
        self.openssl("req", *key, "-subj", "/CN=test", "-keyout", "tls.key", "-out", "tls.csr")
        (self.folder / "names").write_text(f"subjectAltName=IP:{self.ip}\nauthorityKeyIdentifier=keyid\n")
        self.openssl(
            *"x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out tls.pem".split(),
            *["-extfile", "names"],
        )
        self.tls = ssl.create_default_context(cafile=self.folder / "ca.pem")

    def spki(self):
        """SHA-256 of the servers' public key, as Chromium wants it to trust this key and no other."""
        shown = subprocess.run(
            "openssl x509 -in tls.pem -noout -pubkey | openssl pkey -pubin -outform der",
            shell=True,
            check=True,
            capture_output=True,
            cwd=self.folder,
        )
        return base64.b64encode(hashlib.sha256(shown.stdout).digest()).decode()

    # --- the daemon -------------------------------------------------------------------------

    def secret(self, name, text):
        path = self.folder / name
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        return path

    def start_issuer(self):
        database = self.turn.database
        database.sql("CREATE ROLE issuer1 LOGIN IN ROLE turncred_issuer")
        me = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        with open(self.folder / "pg" / "data" / "pg_ident.conf", "a") as file:
            file.write(f"own {me} issuer1\n")
        database.sql("SELECT pg_reload_conf()")
        made = self.ctl("caller", "add", "portal", "--scopes", "exchange,derived", "--realms", REALM)
        self.secret("caller-key", made["key"] + "\n")
        self.portal = f"https://{self.ip}:{server.free_port()}"
        self.issuer = f"https://{self.ip}:{server.free_port()}"
        self.monitor = f"http://127.0.0.1:{server.free_port()}"
        if not self.provider:
            self.command("key", self.folder / "signing.pem")
            self.portal_settings([])
            jwks = self.command("--config", self.folder / "portal.conf", "jwks")
            (self.folder / "jwks.json").write_text(jwks)
        (self.folder / "state").mkdir(exist_ok=True)
        (self.folder / "turncredd.conf").write_text(
            f"""database = {database.conninfo.replace("turn1", "issuer1")}
kek = {self.folder}/main
instance = issuer
poll_interval = 1s
state_dir = {self.folder}/state
https = {self.issuer.split("//")[1]}
monitor = {self.monitor.split("//")[1]}
tls_certificate = {self.folder}/tls.pem
tls_key = {self.folder}/tls.key
push_wait = 1s
subject_rate = 600
cors_origins = {self.portal}

[issuer portal]
url = {self.provider or self.portal}
audience = {AUDIENCE}
jwks = {f"{self.provider}/jwks" if self.provider else f"{self.folder}/jwks.json"}
jwks_ca = {self.folder}/ca.pem
realms = *
"""
        )
        self.run_issuer()

    def run_issuer(self):
        command = [daemon(), "--config", str(self.folder / "turncredd.conf")]
        self.processes["turncredd"] = Process("turncredd", self.folder, command)
        self.processes["turncredd"].wait_for(lambda: self.status(self.monitor + "/readyz") == 200)

    # --- the OpenID Connect provider ---------------------------------------------------------

    def run_provider(self, **more):
        """more: settings of provider.mjs. It makes new keys at each start."""
        host, port = self.provider.split("//")[1].split(":")
        settings = {
            "issuer": self.provider,
            "listen": {"host": host, "port": int(port)},
            "certificate": str(self.folder / "tls.pem"),
            "key": str(self.folder / "tls.key"),
            "client": "portal",
            "redirect_uri": self.portal + "/",
            "resource": AUDIENCE,
            **more,
        }
        (self.folder / "provider.json").write_text(json.dumps(settings))
        program = MODULES / "provider.mjs"  # beside the modules that it imports
        shutil.copy(HERE / "provider" / "provider.mjs", program)
        command = ["node", str(program), str(self.folder / "provider.json")]
        self.processes["provider"] = Process("provider", self.folder, command)
        self.processes["provider"].wait_for(
            lambda: self.status(self.provider + "/.well-known/openid-configuration") == 200
        )

    # --- the eP-CSCF ------------------------------------------------------------------------

    def edge_settings(self):
        """The sample settings with this place's paths, and two subscribers."""
        made = self.ctl("caller", "add", "edge", "--scopes", "derived,push", "--realms", REALM)
        self.secret("edge-key", made["key"] + "\n")
        self.edge = f"wss://{self.ip}:{server.free_port()}"
        folder = self.folder / "edge"
        for name in ("run", "subscribers"):
            (folder / name).mkdir(parents=True)
        lines = ["username(string) domain(string) ha1(string)"]
        for user, password in SIP_PASSWORDS.items():
            ha1 = hashlib.md5(f"{user}:{REALM}:{password}".encode()).hexdigest()
            lines.append(f"{user}:{REALM}:{ha1}")
        (folder / "subscribers" / "subscriber").write_text("\n".join(lines) + "\n")
        changes = {
            "tls:0.0.0.0:8443": self.edge.replace("wss://", "tls:"),
            "https://turncredd.example.org:8443": self.issuer,
            "/etc/turncred/epcscf/turncredd-ca.pem": f"{self.folder}/ca.pem",
            "/etc/turncred/epcscf/turncredd-key": f"{self.folder}/edge-key",
            "/etc/turncred/epcscf/chain.pem": f"{self.folder}/tls.pem",
            "/etc/turncred/epcscf/key.pem": f"{self.folder}/tls.key",
            "/etc/turncred/epcscf": str(folder),
            "/run/kamailio/epcscf_ctl": f"{folder}/run/ctl",
            "example.org": REALM,
        }
        for name in ("kamailio.cfg", "edge.cfg", "settings.cfg", "realms.cfg", "tls.cfg"):
            text = (EDGE / name).read_text()
            for old, new in changes.items() if name not in ("kamailio.cfg", "edge.cfg") else ():
                text = text.replace(old, new)
            (folder / name).write_text(text)

    def before_registrar(self, *defines, settings=()):
        """The eP-CSCF, anew, before a registrar with the same subscribers: tests/integration/epcscf/registrar.cfg, with
        these defines. settings: lines of settings.cfg"""
        for name in "edge", "registrar":
            if name in self.processes:
                self.processes.pop(name).stop()
        folder = self.folder / "registrar"
        (folder / "run").mkdir(parents=True, exist_ok=True)
        self.registrar, inside = (f"{self.ip}:{server.free_port()}" for _ in "ab")
        words = [f"LISTEN=udp:{self.registrar}", f'SUBSCRIBERS="text://{self.folder}/edge/subscribers"', f'CONTROL="unix:{folder}/run/ctl"',
                 *defines]
        command = [KAMAILIO, "-f", str(EDGE.parents[1] / "tests" / "integration" / "epcscf" / "registrar.cfg"), "-DD", "-E", "-m", "32",
                   "-M", "4", "-Y", str(folder / "run"), *(w for word in words for w in ("-A", word))]
        self.processes["registrar"] = Process("registrar", self.folder, command)
        self.processes["registrar"].wait_for((folder / "run" / "ctl").exists)
        path = self.folder / "edge" / "settings.cfg"
        self.alone = getattr(self, "alone", None) or path.read_text()
        lines = [f'EDGE_REGISTRAR "sip:{self.registrar}"', f"LISTEN_EDGE udp:{inside}", f'EDGE_PATH "{inside}"', *settings]
        path.write_text(self.alone + "".join(f"#!define {line}\n" for line in lines))
        self.run_edge()

    def run_edge(self):
        folder = self.folder / "edge"
        command = [KAMAILIO, "-f", str(folder / "kamailio.cfg"), "-x", "fm", "-DD", "-E", "-m", "64", "-M", "8", "-Y", str(folder / "run")]
        self.processes["edge"] = Process("edge", self.folder, command, cwd=folder)
        self.processes["edge"].wait_for(self.edge_listens)

    def edge_listens(self):
        host, port = self.edge.split("//")[1].split(":")
        try:
            socket.create_connection((host, int(port)), timeout=2).close()
        except OSError:
            return False
        return (self.folder / "edge" / "run" / "ctl").exists()

    # --- the portal -------------------------------------------------------------------------

    def portal_settings(self, lines):
        users = f"""provider = {self.provider}
provider_client = portal
oauth4webapi = {MODULES}/node_modules/oauth4webapi/build/index.js
""" if self.provider else f"""users = {self.folder}/users
signing_keys = {self.folder}/signing.pem
caller = portal
caller_key = {self.folder}/caller-key
session = {self.session}
"""
        (self.folder / "portal.conf").write_text(
            f"""https = {self.portal.split("//")[1]}
origin = {self.portal}
tls_certificate = {self.folder}/tls.pem
tls_key = {self.folder}/tls.key
turncredd = {self.issuer}
turncredd_ca = {self.folder}/ca.pem
audience = {AUDIENCE}
realm = {REALM}
turn_server = turn.{REALM}
{users}"""
            + "".join(line + "\n" for line in lines)
        )

    def command(self, *arguments, text=None, check=True):
        done = subprocess.run(
            [PORTAL, *arguments], input=text or "", capture_output=True, text=True, timeout=60
        )
        if check and done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout if check else done

    def set_password(self, user, password):
        self.command("--config", self.folder / "portal.conf", "user", user, text=password + "\n")

    def start_portal(self, lines):
        self.portal_settings(lines)
        for user, password in () if self.provider else PASSWORDS.items():
            self.set_password(user, password)
        command = [PORTAL, "--config", str(self.folder / "portal.conf"), "serve"]
        self.processes["portal"] = Process("portal", self.folder, command)
        self.processes["portal"].wait_for(lambda: self.status(self.portal + "/healthz") == 200)

    def status(self, url):
        try:
            with urllib.request.urlopen(url, timeout=5, context=self.tls) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    # --- what tests ask ---------------------------------------------------------------------

    def issued(self):
        """(kind, subject, caller) of all that was issued and has been delivered."""
        rows = self.turn.database.sql("SELECT json_agg(l) FROM turncred.issue_log l")
        return [(r["kind"], r["subject"], r["caller"]) for r in json.loads(rows or "[]") or []]

    def revoke(self, user):
        return self.ctl("revoke", "user", REALM, user)

    def log(self, name):
        return self.processes[name].log()

    def stop(self):
        for name in reversed(list(self.processes)):
            self.processes.pop(name).stop()
        self.turn.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
