# SPDX-License-Identifier: BSD-3-Clause
"""The portal's client of turncredd: two calls on behalf of a user, with the portal's own key."""

import base64
import http.client
import json
import re
import ssl
import urllib.parse

from .settings import Wrong, secret

SECONDS = 8
MOST = 65536  # octets of an answer at most
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
# turncredd's refusals that the user may see; the portal only logs every other refusal
PASSED_ON = {403: 403, 429: 429, 503: 503}


class Refused(Exception):
    def __init__(self, status, error, description, retry_after=None):
        super().__init__(description)
        self.status, self.error, self.retry_after = status, error, retry_after


class Issuer:
    def __init__(self, settings, keys):
        self.settings, self.keys = settings, keys
        self.key = secret(settings.caller_key, "caller_key").decode("ascii", "replace").strip()
        if not re.fullmatch(r"[!-~]{16,}", self.key):
            raise Wrong(f"caller_key: {settings.caller_key} must hold the key that turncredctl caller add told")
        try:
            self.tls = ssl.create_default_context(cafile=settings.turncredd_ca)
        except OSError as wrong:  # ssl.SSLError is one
            raise Wrong(f"turncredd_ca: {settings.turncredd_ca}: {wrong}") from None
        parts = urllib.parse.urlsplit(settings.turncredd)
        self.host, self.port, self.base = parts.hostname, parts.port or 443, parts.path.rstrip("/")

    def ask(self, path, body, headers):
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=SECONDS, context=self.tls)
        try:
            connection.request("POST", self.base + path, body, headers)
            answer = connection.getresponse()
            octets = answer.read(MOST + 1)
            status, retry_after = answer.status, answer.headers.get("Retry-After")
            members = json.loads(octets) if len(octets) <= MOST else None
        except (OSError, http.client.HTTPException, ValueError) as why:
            raise Refused(503, "temporarily_unavailable", "turncredd does not answer") from why
        finally:
            connection.close()
        if not isinstance(members, dict):
            raise Refused(502, "bad_gateway", "turncredd's answer cannot be read")
        if status in (200, 201):
            return members
        description = str(members.get("error_description", ""))[:300]
        if status not in PASSED_ON:
            # the text goes to the log, not to the user: it says what the operator must change
            raise Refused(502, "bad_gateway", "turncredd refuses this portal") from Exception(
                f"turncredd: {status} {members.get('error')}: {description}"
            )
        raise Refused(PASSED_ON[status], str(members.get("error")), description, retry_after)

    def token(self, user):
        """Exchanges an access token of the portal for the user for a token of the TURN server (RFC 8693)."""
        s = self.settings
        form = {
            "grant_type": GRANT,
            "subject_token_type": ACCESS_TOKEN,
            "subject_token": self.keys.access_token(s.origin, s.audience, s.caller, user),
            "audience": s.turn_server,
            "realm": s.realm,
            "scope": "stun",
        }
        quoted = (urllib.parse.quote(part, safe="") for part in (s.caller, self.key))
        basic = base64.b64encode(":".join(quoted).encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("/oauth2/token", urllib.parse.urlencode(form), headers)

    def credential(self, user):
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        path = f"/v1/realms/{urllib.parse.quote(self.settings.realm, safe='')}/credentials"
        return self.ask(path, json.dumps({"user": user, "kind": "derived"}), headers)
