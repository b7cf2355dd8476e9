#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""GStreamer's webrtcbin on libnice: two peers that may use only the relay. webrtcbin takes the TURN server as one URI
with user and password in it: what stands there must be percent-encoded, above all the colon of a REST username."""

import asyncio
import threading
import urllib.parse

import cases
import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

Gst.init(None)
threading.Thread(target=GLib.MainLoop().run, daemon=True).start()


def server_uri(case):
    """turn:HOST:PORT?transport=tcp with a user becomes turn://USER:PASSWORD@HOST:PORT?transport=tcp"""
    scheme, place = case["uris"][0].split(":", 1)
    user, password = (urllib.parse.quote(case[name], safe="") for name in ("username", "password"))
    return f"{scheme}://{user}:{password}@{place}"


class Peer:
    def __init__(self, case, loop):
        self.loop, self.candidates = loop, []
        self.gathered = loop.create_future()
        self.pipeline = Gst.Pipeline.new(None)
        self.bin = Gst.ElementFactory.make("webrtcbin", None)
        self.bin.set_property("ice-transport-policy", GstWebRTC.WebRTCICETransportPolicy.RELAY)
        self.bin.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.bin.set_property("turn-server", server_uri(case))
        self.pipeline.add(self.bin)
        self.bin.connect("on-ice-candidate", self.on_candidate)
        self.bin.connect("notify::ice-gathering-state", self.on_state)
        self.pipeline.set_state(Gst.State.READY)

    def on_candidate(self, _bin, line, candidate):
        if candidate:  # since 1.26 an empty one says that there are no more
            self.loop.call_soon_threadsafe(self.candidates.append, (line, candidate))

    def on_state(self, _bin, _property):
        if self.bin.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            self.loop.call_soon_threadsafe(lambda: self.gathered.done() or self.gathered.set_result(None))

    async def emit(self, signal, *arguments):
        """Emits a signal of webrtcbin that answers by a promise."""
        answer = self.loop.create_future()

        def replied(promise, *_):
            reply = promise.get_reply()
            self.loop.call_soon_threadsafe(answer.set_result, reply)

        self.bin.emit(signal, *arguments, Gst.Promise.new_with_change_func(replied))
        return await answer

    async def local(self, kind):
        reply = await self.emit(f"create-{kind}", None)
        description = reply.get_value(kind)
        await self.emit("set-local-description", description)
        return description.sdp.as_text()

    async def remote(self, kind, text):
        _, sdp = GstSdp.SDPMessage.new_from_text(text)
        await self.emit("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(kind, sdp))

    async def give_candidates(self, other):
        await self.gathered
        if not self.candidates:
            raise cases.Refused("no relay candidate")
        for line, candidate in self.candidates:
            other.bin.emit("add-ice-candidate", line, candidate)

    def kinds(self):
        return "+".join(sorted({c.split(" typ ")[1].split()[0] for _, c in self.candidates}))


async def call(case):
    loop = asyncio.get_running_loop()
    a, b = Peer(case, loop), Peer(case, loop)
    there, back, over = [], [], loop.create_future()
    pieces = cases.chunks()
    keep = []

    def came(channel, octets):
        there.append(octets.get_data())
        channel.emit("send-data", octets)

    def came_back(_channel, octets):
        back.append(octets.get_data())
        if len(back) == len(pieces):
            loop.call_soon_threadsafe(over.set_result, None)

    def arrived(_bin, channel):
        keep.append(channel)
        channel.connect("on-message-data", came)

    def opened(channel):
        for piece in pieces:
            channel.emit("send-data", GLib.Bytes.new(piece))

    try:
        channel = a.bin.emit("create-data-channel", "data", None)
        channel.connect("on-open", opened)
        channel.connect("on-message-data", came_back)
        b.bin.connect("on-data-channel", arrived)
        for peer in (a, b):
            peer.pipeline.set_state(Gst.State.PLAYING)
        await b.remote(GstWebRTC.WebRTCSDPType.OFFER, await a.local("offer"))
        await a.remote(GstWebRTC.WebRTCSDPType.ANSWER, await b.local("answer"))
        await asyncio.gather(a.give_candidates(b), b.give_candidates(a))
        await over
        return cases.relayed(there, back, f"{a.kinds()}/{b.kinds()}")
    finally:
        for peer in (a, b):
            peer.pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    cases.run("gstreamer", f"GStreamer {Gst.version_string().split()[-1]} webrtcbin", call)
