# SPDX-License-Identifier: BSD-3-Clause
"""Reads portal.conf: lines of NAME = VALUE, as in turncredd.conf."""

import dataclasses
import os
import re
import urllib.parse

UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


class Wrong(Exception):
    """A fault of a setting or a file; the text names the fault and the remedy."""


def text(value):
    return value


def words(value):
    return tuple(value.split())


def duration(value):
    match = re.fullmatch(r"([1-9][0-9]{0,6}) *(s|min|h|d)", value)
    if not match:
        raise ValueError("a number with s, min, h or d, such as 8h")
    return int(match[1]) * UNITS[match[2]]


def address(value):
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]+)):([0-9]{1,5})", value)
    if not match or not 0 <= int(match[3]) <= 65535:
        raise ValueError("ADDRESS:PORT, such as 0.0.0.0:443 or [::]:443")
    return match[1] or match[2], int(match[3])


def url(*schemes):
    def check(value):
        try:
            parts = urllib.parse.urlsplit(value)
            good = parts.scheme in schemes and parts.hostname and parts.port != 0
        except ValueError:
            good = False
        if not good or parts.username or re.search(r"[\s;,'\"]", value):
            raise ValueError(f"a URL that begins with {schemes[0]}://")
        return value

    return check


def origin(value):
    url("https")(value)
    parts = urllib.parse.urlsplit(value)
    if value != f"https://{parts.netloc}".lower() or parts.port == 443:
        raise ValueError("https://HOST or https://HOST:PORT in lower case, as browsers send it in Origin")
    return value


@dataclasses.dataclass(frozen=True)
class Settings:
    https: tuple
    origin: str
    tls_certificate: str
    tls_key: str
    turncredd: str
    audience: str
    realm: str
    turn_server: str
    users: str = None
    signing_keys: tuple = ()
    caller: str = None
    caller_key: str = None
    provider: str = None
    provider_client: str = None
    provider_scope: str = "openid turn"
    oauth4webapi: str = None
    turncredd_ca: str = None
    sip_websocket: str = None
    sip_domain: str = None
    session: int = 8 * 3600


# who says who a user is: the portal, with its own users, or an OpenID Connect provider
OWN = ("users", "signing_keys", "caller", "caller_key")
PROVIDER = ("provider", "provider_client", "oauth4webapi")

KINDS = {
    "https": address,
    "origin": origin,
    "signing_keys": words,
    "turncredd": url("https"),
    "provider": url("https"),
    "sip_websocket": url("wss"),
    "session": duration,
}


def read(path):
    known = {field.name: field for field in dataclasses.fields(Settings)}
    values = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            name, equals, value = (part.strip() for part in line.partition("="))
            where = f"{path}, line {number}: {name}"
            if not equals or not value:
                raise Wrong(f"{where}: write NAME = VALUE")
            if name not in known:
                raise Wrong(f"{where}: there is no such setting; there are {', '.join(known)}")
            if name in values:
                raise Wrong(f"{where}: is given twice")
            try:
                values[name] = KINDS.get(name, text)(value)
            except ValueError as wrong:
                raise Wrong(f"{where}: must be {wrong}") from None
    for name, field in known.items():
        if field.default is dataclasses.MISSING and name not in values:
            raise Wrong(f"{path}: {name} is missing")
    for name in PROVIDER if any(name in values for name in PROVIDER) else OWN:
        if name not in values:
            raise Wrong(f"{path}: {name} is missing; users sign in by {', '.join(OWN)}, or at a provider by {', '.join(PROVIDER)}")
    values.setdefault("sip_domain", values["realm"])
    return Settings(**values)


def secret(path, name, most=65536):
    """The octets of a secret file; raises Wrong if others may read the file, or if it has more than most octets."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o007:
            raise Wrong(f"{name}: {path} is open to everybody; chmod o= {path}")
        octets = file.read(most + 1)
    if len(octets) > most:
        raise Wrong(f"{name}: {path} is larger than {most} octets")
    return octets
