#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Janus, a media server that takes relays itself, called by aiortc: the data channel of its plugin echotest sends back
what it gets. Janus may use only the relay, and so does aiortc. The member "janus" of a case is Janus' configuration of TURN
(section nat of janus.jcfg); username and password are aiortc's."""

import asyncio
import json
import os
import pathlib
import re
import secrets
import shutil
import tempfile

import aiortc
import aiortc_peers
import cases
import websockets

LIBRARIES = next(pathlib.Path("/usr/lib").glob("*/janus"))
CONFIG = """
general: {{ configs_folder = "{folder}" plugins_folder = "{libraries}/plugins" transports_folder = "{libraries}/transports"
  events_folder = "{libraries}/events" loggers_folder = "{libraries}/loggers" debug_level = 4 no_webrtc_encryption = false }}
nat: {{ allow_force_relay = true {turn} }}
plugins: {{ disable = "{others}" }}
transports: {{ disable = "{transports}" }}
"""
SOCKET = "general: { ws = true ws_port = 8188 ws_interface = \"lo\" }\n"


def others(kind, wanted):
    return ",".join(path.name for path in (LIBRARIES / kind).glob("*.so") if path.name != wanted)


class Janus:
    """A running Janus, and a session with its echotest."""

    def __init__(self, case):
        self.case, self.folder, self.text = case, tempfile.mkdtemp(dir="/tmp"), ""

    async def __aenter__(self):
        config = CONFIG.format(
            folder=self.folder, libraries=LIBRARIES, turn=self.case["janus"],
            others=others("plugins", "libjanus_echotest.so"), transports=others("transports", "libjanus_websockets.so"),
        )
        pathlib.Path(self.folder, "janus.jcfg").write_text(config)
        pathlib.Path(self.folder, "janus.transport.websockets.jcfg").write_text(SOCKET)
        self.process = await asyncio.create_subprocess_exec(
            "janus", "-F", self.folder, "-C", f"{self.folder}/janus.jcfg", stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )
        self.reader = asyncio.create_task(self.read())
        while True:
            try:
                self.socket = await websockets.connect("ws://127.0.0.1:8188", subprotocols=["janus-protocol"])
                break
            except OSError:
                if self.process.returncode is not None:
                    raise RuntimeError(f"Janus ended: {self.text[-300:]}") from None
                await asyncio.sleep(0.05)
        self.ids = {"session_id": (await self.ask("create"))["data"]["id"]}
        attached = await self.ask("attach", plugin="janus.plugin.echotest", opaque_id=self.case["user"])
        self.ids["handle_id"] = attached["data"]["id"]
        return self

    async def read(self):
        async for line in self.process.stdout:
            self.text += line.decode(errors="replace")

    async def send(self, what, **members):
        transaction = secrets.token_hex(6)
        await self.socket.send(json.dumps({"janus": what, "transaction": transaction, **getattr(self, "ids", {}), **members}))
        return transaction

    async def ask(self, what, **members):
        return await self.event(await self.send(what, **members), "success")

    async def event(self, transaction, wanted):
        async for text in self.socket:
            message = json.loads(text)
            if message.get("transaction") != transaction or message["janus"] == "ack":
                continue
            if message["janus"] != wanted:
                raise RuntimeError(f"{message}")
            return message

    async def __aexit__(self, *_):
        if "handle_id" in getattr(self, "ids", {}):
            await self.send("hangup")
            await self.send("detach")
            while "WebRTC resources freed" not in self.text and "Handle and related resources freed" not in self.text:
                await asyncio.sleep(0.05)
        self.process.terminate()
        await self.process.wait()
        shutil.rmtree(self.folder)


async def call(case):
    async with Janus(case) as janus:
        peer = aiortc_peers.peer(case)
        back, over = [], asyncio.get_running_loop().create_future()
        pieces = cases.chunks()
        try:
            channel = peer.createDataChannel("JanusDataChannel")

            @channel.on("open")
            def opened():
                for piece in pieces:
                    channel.send(piece)

            @channel.on("message")
            def came_back(message):
                back.append(message)
                if len(back) == len(pieces) and not over.done():
                    over.set_result(None)

            ice = aiortc_peers.relay_only(peer)
            await aiortc_peers.gather(peer, await peer.createOffer())
            offer = {"type": "offer", "sdp": peer.localDescription.sdp, "force_relay": True}
            answer = await janus.event(await janus.send("message", body={"audio": False, "video": False}, jsep=offer), "event")
            sdp = answer["jsep"]["sdp"]
            kinds = sorted(set(re.findall(r" typ (\w+)", sdp)))
            if not kinds:
                raise cases.Refused("no relay candidate of Janus")
            await peer.setRemoteDescription(aiortc.RTCSessionDescription(sdp, "answer"))
            await over
            pair = ice._nominated[1]
            # the far end is Janus: what comes back was there
            return cases.relayed(back, back, f"{pair.local_candidate.type}/{pair.remote_candidate.type}, Janus has {'+'.join(kinds)}")
        except asyncio.CancelledError:
            print(janus.text[-3000:])
            raise
        finally:
            await peer.close()


if __name__ == "__main__":
    version = os.popen("dpkg-query -W -f '${Version}' janus").read()
    cases.run("janus", f"Janus {version}", call)
