# SPDX-License-Identifier: BSD-3-Clause
"""Servers for comparisons: turnservers with one relay thread, and a PostgreSQL of its own."""
import hashlib
import os
import pathlib
import secrets
import shutil
import signal
import statistics
import subprocess

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("top_builddir", TOP / "build")).absolute()
REALM = "bench.example"


class Trouble(Exception):
    """The comparison cannot be made."""


def find_program(name, variables, places):
    for variable, tail in variables:
        if os.environ.get(variable):
            # absolute, since servers are started in folders of their own
            path = pathlib.Path(os.environ[variable], tail).absolute()
            if os.access(path, os.X_OK):
                return path
            raise Trouble(f"{variable} is set, but {path} is no program")
    for path in places:
        if os.access(path, os.X_OK):
            return path
    names = ", ".join(variable for variable, _ in variables)
    raise Trouble(f"no {name}: set {names}, or build it ({places[0]})")


def describe(program):
    digest = hashlib.sha256(program.read_bytes()).hexdigest()[:16]
    return f"{program} (sha256 {digest}...)"


def spread(values):
    """Median and quartiles."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def free_port():
    """A port that no UDP and no TCP socket of this machine uses: two servers can share a port without an error."""
    for _ in range(200):
        port = 10000 + secrets.randbelow(20000)
        used = subprocess.run(["ss", "-Hlntu", f"( sport = :{port} )"], capture_output=True, text=True, check=True)
        if not used.stdout:
            return port
    raise Trouble("no free port found")


class Server:
    """turnserver with one relay thread on loopback."""

    def __init__(self, program, folder, relay_ip, lines):
        self.program = program
        self.folder = folder
        self.port = free_port()
        self.process = None
        folder.mkdir()
        self.config = folder / "turnserver.conf"
        self.log = folder / "log"
        with open(os.open(self.config, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write("\n".join([
                f"listening-port={self.port}", "listening-ip=127.0.0.1", f"relay-ip={relay_ip}",
                "min-port=10000", "max-port=65000", "relay-threads=1", f"realm={REALM}",
                "lt-cred-mech", "no-tls", "no-dtls", "no-tcp", "no-cli", "simple-log",
                f"log-file={self.log}", f"pidfile={folder / 'pid'}", f"userdb={folder / 'turndb'}",
                *lines, ""]))

    def start(self):
        with open(self.folder / "output", "wb") as output:
            self.process = subprocess.Popen([self.program, "-c", self.config], stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=output, cwd=self.folder)

    def shown(self):
        return "".join(p.read_text(errors="replace") for p in (self.folder / "output", self.log) if p.exists())

    def threads(self):
        return [int(t) for t in os.listdir(f"/proc/{self.process.pid}/task")]

    def cpu_seconds(self):
        """CPU time of all threads so far, in nanoseconds' resolution where the kernel tells."""
        total = 0
        for thread in self.threads():
            path = f"/proc/{self.process.pid}/task/{thread}/"
            try:
                total += int(pathlib.Path(path + "schedstat").read_text().split()[0]) / 1e9
            except FileNotFoundError:
                fields = pathlib.Path(path + "stat").read_text().rpartition(")")[2].split()
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return total

    def pin(self, cpus):
        for thread in self.threads():
            os.sched_setaffinity(thread, cpus)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Database:
    """PostgreSQL on a unix socket of its own, with turncred's schema, one realm and one key of each kind."""

    ROLE = "bench_server"
    START = r"""
    . "$1/scripts/lib.sh"
    pg_start "$2" "$(id -un)=$3" || exit
    echo "shared_preload_libraries = 'pg_stat_statements'" >>"$2/data/postgresql.conf"
    as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$2/data" -l "$2/postgresql.log" -m fast -w -t 60 restart >/dev/null"""
    STOP = '. "$1/scripts/lib.sh"; pg_stop "$2"'

    def __init__(self, top, folder):
        self.top = top
        self.folder = folder
        self.environment = {**os.environ, "PGHOST": str(folder / "run"), "PGUSER": "postgres",
                            "PGDATABASE": "turncred", "PGOPTIONS": "-c client_min_messages=warning"}

    def script(self, text):
        run = subprocess.run(["bash", "-c", text, "bash", self.top, self.folder, self.ROLE],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if run.returncode:
            raise Trouble(f"PostgreSQL: {run.stdout}{run.stderr}")

    def psql(self, *arguments, text=None, database="turncred"):
        run = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database, *arguments], input=text,
                             env=self.environment, capture_output=True, text=True, check=False)
        if run.returncode:
            raise Trouble(f"SQL: {run.stderr}")
        return run.stdout.strip()

    def start(self):
        self.script(self.START)
        self.psql(text="CREATE DATABASE turncred", database="postgres")
        for file in sorted((self.top / "plugin/schema").glob("[0-9]*.sql")):
            self.psql("-1", "-f", file)
        self.psql(text=f"""
            CREATE EXTENSION pg_stat_statements;
            CREATE ROLE {self.ROLE} LOGIN IN ROLE turncred_server;
            INSERT INTO turncred.realm (name, server_name, at_rest) VALUES ('{REALM}', '{REALM}', 'plain')""")

    def add_key(self, kid, use, algorithm, octets):
        """Through the public SQL contract; on standard input, so that no argument list shows the key."""
        self.psql(text=f"SELECT turncred.key_add_plain('{REALM}', '{kid}', '{use}', '{algorithm}',"
                       f" decode('{octets.hex()}', 'hex'))")

    def statements(self):
        """So many the servers have sent until now."""
        return int(self.psql(text="SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements s"
                                  f" JOIN pg_roles r ON r.oid = s.userid WHERE r.rolname = '{self.ROLE}'"))

    def stop(self):
        self.script(self.STOP)


def write_secret(path, octets):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
        f.write(octets)
    return path


def prepare_module(folder, stack):
    """A database with keys in it, the lines that make patched coturn use it, and how turnload mints."""
    module = find_program("turncred.so", [("TURNCRED_MODULE", "")], [BUILD / ".libs/turncred.so"])
    database = Database(TOP, folder / "postgresql")
    stack.callback(database.stop)
    database.start()
    credentials = {}
    for use, algorithm in (("derived", "sha256"), ("token", "A256GCM")):
        key = secrets.token_bytes(32)
        database.add_key(f"{use}-1", use, algorithm, key)
        credentials[use] = ["--mint", use, "--key-file", write_secret(folder / f"key-{use}", key)]
    credentials["token"] += ["--kid", "token-1", "--server-name", REALM]
    # coturn loads nothing from a folder in which others may write
    shutil.copy(module, folder / "turncred.so")
    write_secret(folder / "main", secrets.token_bytes(32))
    (folder / "module.conf").write_text(
        f"database = host={folder / 'postgresql/run'} dbname=turncred user={Database.ROLE}\nkek = {folder / 'main'}\n")
    lines = [f"auth-module={folder / 'turncred.so'}", f"auth-module-config={folder / 'module.conf'}", "auth-module-only"]
    return database, lines, credentials
