# SPDX-License-Identifier: BSD-3-Clause
"""An unpatched turnserver that knows a token key and a REST secret, from a database of its own."""

import base64
import os
import sqlite3
import time

import credentials
import server

SCHEMA = """
CREATE TABLE turnusers_lt (realm varchar(127), name varchar(512), hmackey char(128),
  PRIMARY KEY (realm, name));
CREATE TABLE turn_secret (realm varchar(127), value varchar(256), PRIMARY KEY (realm, value));
CREATE TABLE allowed_peer_ip (realm varchar(127), ip_range varchar(256),
  PRIMARY KEY (realm, ip_range));
CREATE TABLE denied_peer_ip (realm varchar(127), ip_range varchar(256),
  PRIMARY KEY (realm, ip_range));
CREATE TABLE turn_origin_to_realm (origin varchar(127), realm varchar(127), PRIMARY KEY (origin));
CREATE TABLE turn_realm_option (realm varchar(127), opt varchar(32), value varchar(128),
  PRIMARY KEY (realm, opt));
CREATE TABLE oauth_key (kid varchar(128), ikm_key varchar(256), timestamp bigint, lifetime integer,
  as_rs_alg varchar(64), realm varchar(127), PRIMARY KEY (kid));
CREATE TABLE admin_user (name varchar(32), realm varchar(127), password varchar(127),
  PRIMARY KEY (name));
"""


class TokenServer:
    """Tokens (--oauth) with a key in the database, as coturn's documentation describes it."""

    realm = "example.org"
    server_name = "turn.example.org"
    kid = "key1"

    def __init__(self, program, lines=()):
        self.k = os.urandom(32)
        self.server = server.Server(
            program,
            ["lt-cred-mech", "oauth", f"realm={self.realm}", f"server-name={self.server_name}"]
            + list(lines),
        )
        with sqlite3.connect(os.path.join(self.server.folder, "userdb.sqlite")) as database:
            database.executescript(SCHEMA)
            database.execute(
                "INSERT INTO oauth_key VALUES (?, ?, 0, 0, 'A256GCM', ?)",
                (self.kid, base64.b64encode(self.k).decode(), self.realm),
            )
        database.close()

    def token(self, age=0, lifetime=600, **options):
        return credentials.make_token_credential(
            self.kid, self.k, self.server_name, time.time() - age, lifetime, **options
        )

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *error):
        self.server.__exit__(*error)


class SecretServer:
    """user-id:timestamp with a shared secret (--use-auth-secret, the TURN REST draft)."""

    realm = "example.org"

    def __init__(self, program, lines=()):
        self.secret = "a-secret-of-this-test"
        self.server = server.Server(
            program,
            ["use-auth-secret", f"static-auth-secret={self.secret}", f"realm={self.realm}"]
            + list(lines),
        )

    def timed(self, user_id, left=600):
        """A credential user-id:timestamp that runs out in so many seconds; or a whole name."""
        name = user_id if left is None else f"{user_id}:{int(time.time()) + left}"
        password = credentials.rest_password(self.secret.encode(), name)
        return credentials.Credential(name, password=password)

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *error):
        self.server.__exit__(*error)
