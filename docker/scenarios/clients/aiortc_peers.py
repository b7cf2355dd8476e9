#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""aiortc: two peers that may use only the relay. Gathering is bound to the relay by aioice's own policy, which aiortc
1.4 does not hand on; aiortc takes one TURN server and ignores the others."""

import asyncio

import aiortc
import cases
from aioice import TransportPolicy
from aioice.stun import TransactionFailed


def peer(case):
    server = aiortc.RTCIceServer(urls=case["uris"][0], username=case["username"], credential=case["password"])
    return aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[server]))


def relay_only(connection):
    ice = connection.sctp.transport.transport.iceGatherer._connection
    ice._transport_policy = TransportPolicy.RELAY
    return ice


async def gather(connection, description):
    try:
        await connection.setLocalDescription(description)
    except TransactionFailed as refused:
        raise cases.Refused(refused.response.attributes["ERROR-CODE"]) from refused
    if " typ relay" not in connection.localDescription.sdp:
        raise cases.Refused("no relay candidate")


async def call(case):
    a, b = peer(case), peer(case)
    there, back, over = [], [], asyncio.get_running_loop().create_future()
    pieces = cases.chunks()
    try:
        channel = a.createDataChannel("data")

        @channel.on("open")
        def opened():
            for piece in pieces:
                channel.send(piece)

        @channel.on("message")
        def came_back(message):
            back.append(message)
            if len(back) == len(pieces) and not over.done():
                over.set_result(None)

        @b.on("datachannel")
        def arrived(other):
            @other.on("message")
            def came(message):
                there.append(message)
                other.send(message)

        ice = relay_only(a)
        await gather(a, await a.createOffer())
        await b.setRemoteDescription(a.localDescription)
        relay_only(b)
        await gather(b, await b.createAnswer())
        await a.setRemoteDescription(b.localDescription)
        await over
        pair = ice._nominated[1]
        return cases.relayed(there, back, f"{pair.local_candidate.type}/{pair.remote_candidate.type}")
    finally:
        await asyncio.gather(a.close(), b.close())


if __name__ == "__main__":
    cases.run("aiortc", f"aiortc {aiortc.__version__}", call)
