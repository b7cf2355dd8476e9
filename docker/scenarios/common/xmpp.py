#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Asks an XMPP server for TURN servers, as Conversations, Dino and Jitsi Meet do: XEP-0215, with slixmpp.

  xmpp.py SERVER DOMAIN     logs in at DOMAIN without an account, prints the answer: a JSON list of services
"""

import asyncio
import json
import sys
import xml.etree.ElementTree as ET

import slixmpp

DISCO = "urn:xmpp:extdisco:2"


class Asker(slixmpp.ClientXMPP):
    def __init__(self, domain):
        super().__init__(domain, "")
        self.answer = asyncio.get_running_loop().create_future()
        self.add_event_handler("session_start", self.ask)
        for event in ("failed_all_auth", "connection_failed", "stream_error"):
            self.add_event_handler(event, self.give_up)

    def give_up(self, why):
        if not self.answer.done():
            self.answer.set_exception(RuntimeError(f"no session: {why}"))

    async def ask(self, _event):
        iq = self.make_iq_get(ito=self.boundjid.domain)
        iq.append(ET.Element(f"{{{DISCO}}}services"))
        try:
            answer = await iq.send(timeout=10)
            self.answer.set_result([dict(service.attrib) for service in answer.xml.iter(f"{{{DISCO}}}service")])
        except slixmpp.exceptions.XMPPError as error:
            self.give_up(error)


async def services(server, domain):
    asker = Asker(domain)
    if hasattr(asker, "enable_plaintext"):  # slixmpp from 1.9 on
        asker.enable_direct_tls = asker.enable_starttls = False
        asker.enable_plaintext = True
        asker.connect(server, 5222)
    else:
        asker.connect((server, 5222), disable_starttls=True)
    try:
        return await asyncio.wait_for(asker.answer, 20)
    finally:
        asker.abort()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(services(*sys.argv[1:])), indent=1))
