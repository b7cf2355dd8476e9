# SPDX-License-Identifier: BSD-3-Clause
"""What a comparison runs: turnservers with one relay thread, and a PostgreSQL of its own."""
import os
import pathlib
import secrets
import signal
import subprocess

REALM = "bench.example"


class Trouble(Exception):
    """The comparison cannot be made."""


def find_program(name, variables, places):
    for variable, tail in variables:
        if os.environ.get(variable):
            path = pathlib.Path(os.environ[variable]) / tail if tail else pathlib.Path(os.environ[variable])
            if os.access(path, os.X_OK):
                return path
            raise Trouble(f"{variable} is set, but {path} is no program")
    for path in places:
        if os.access(path, os.X_OK):
            return path
    names = ", ".join(variable for variable, _ in variables)
    raise Trouble(f"no {name}: set {names}, or build it ({places[0]})")


def free_port():
    """One that no UDP and no TCP socket of this machine uses: two servers can share one silently."""
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
    """PostgreSQL on a unix socket of its own, with our schema, one realm and one key of each kind."""

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
