#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""baresip: two telephones call each other, each with a tone of its own; what one sends must be heard by the other. The
member "nat" of a case says which of baresip's two ways to TURN they take: medianat turn, or ice."""

import array
import asyncio
import glob
import math
import pathlib
import re
import shutil
import signal
import socket
import tempfile

import cases

MODULES = "/usr/lib/baresip/modules"
NEEDED = 2.0  # seconds of tone
RATE = 48000
HOST = socket.gethostbyname(socket.gethostname())

CONFIG = """
sip_listen {host}:{port}
call_local_timeout 60
audio_player aubridge,nil
audio_source ausine,{tone}
audio_alert aubridge,nil
ausrc_srate 48000
auplay_srate 48000
ausrc_channels 2
auplay_channels 2
rtp_ports {rtp}-{rtp_end}
snd_path {folder}
module_path {modules}
module opus.so
module ausine.so
module aubridge.so
module sndfile.so
module stun.so
module turn.so
module ice.so
module_tmp account.so
module_app menu.so
"""


def loudness(samples, tone):
    """The part of a sound's energy that is in one tone (Goertzel's algorithm), 0 to 1."""
    factor, before, last = 2 * math.cos(2 * math.pi * tone / RATE), 0.0, 0.0
    for sample in samples:
        before, last = last, sample + factor * last - before
    power = before * before + last * last - factor * before * last
    energy = sum(sample * sample for sample in samples)
    return 2 * power / (len(samples) * energy) if energy else 0.0


class Telephone:
    def __init__(self, name, port, tone, case):
        self.name, self.port, self.tone, self.case = name, port, tone, case
        self.folder = tempfile.mkdtemp(prefix=f"{name}-", dir="/tmp")
        self.text, self.process = "", None

    async def start(self, *words):
        scheme, place = self.case["uris"][0].split(":", 1)
        account = (
            f'<sip:{self.name}@{HOST}:{self.port}>;regint=0;answermode=auto;audio_codecs=opus/48000/2;medianat={self.case["nat"]};'
            f'stunserver="{scheme}:{place}";stunuser="{self.case["username"]}";stunpass="{self.case["password"]}"'
        )
        config = CONFIG.format(host=HOST, port=self.port, tone=self.tone, folder=self.folder, modules=MODULES,
                               rtp=self.port + 1000, rtp_end=self.port + 1100)
        for file, text in (("config", config), ("accounts", account), ("contacts", "")):
            pathlib.Path(self.folder, file).write_text(f"{text}\n")
        self.process = await asyncio.create_subprocess_exec(
            "baresip", "-f", self.folder, *words, stdin=asyncio.subprocess.DEVNULL, cwd=self.folder,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )
        self.reader = asyncio.create_task(self.read())

    async def read(self):
        async for line in self.process.stdout:
            self.text += re.sub(r"\x1b\[[0-9;]*m", "", line.decode(errors="replace"))

    async def says(self, pattern):
        while not (found := re.search(pattern, self.text)):
            if self.process.returncode is not None:
                raise RuntimeError(f"{self.name} ended: {self.text[-300:]}")
            await asyncio.sleep(0.05)
        return found

    async def end(self):
        if self.process and self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(self.process.wait(), 5)
            except asyncio.TimeoutError:
                self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def heard(self, tone):
        """Seconds in which the other's tone was heard: baresip writes what it has decoded into a file."""
        seconds, window = 0.0, RATE // 10
        for name in glob.glob(f"{self.folder}/*-dec.wav"):
            octets = pathlib.Path(name).read_bytes()[44:]  # the sizes in the head are written at the end
            samples = array.array("h", octets[: len(octets) // 4 * 4])[::2]  # the left channel
            for i in range(0, len(samples) - window, window):
                seconds += 0.1 * (loudness(samples[i : i + window], tone) > 0.8)
        return seconds


REFUSAL = r"(?i)[^\n]*(?:40\d Unauthorized|allocation failed|turn: [^\n]*401|401 [^\n]*|Unauthorized|Operation not supported)[^\n]*"


async def call(case):
    """With ICE, baresip's re-INVITE may cross the far end's connectivity checks on a busy machine; then both ends are
    connected and silent for good. A call that stays silent is made again."""
    if case["nat"] != "ice":
        return await one_call(case)
    for tries in range(1, 4):
        try:
            seen = await asyncio.wait_for(one_call(case), cases.SECONDS / 3 - 1)
            return {**seen, "heard": seen["heard"] + f", call {tries}"}
        except asyncio.TimeoutError:
            if tries == 3:
                raise


async def one_call(case):
    alice, bob = Telephone("alice", 5070, 440, case), Telephone("bob", 5090, 880, case)
    try:
        await bob.start()
        await bob.says(r"baresip is ready")
        await alice.start("-e", f"/dial sip:bob@{HOST}:{bob.port}")
        established = asyncio.create_task(alice.says("Call established"))
        refused = asyncio.create_task(alice.says(REFUSAL))
        done, pending = await asyncio.wait((established, refused), return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if refused in done:
            raise cases.Refused(refused.result().group().strip())
        for task in done:
            task.result()
        while min(alice.heard(bob.tone), bob.heard(alice.tone)) < NEEDED:
            await asyncio.sleep(0.3)
        heard = f"{alice.heard(bob.tone):.1f} s of {bob.tone} Hz and {bob.heard(alice.tone):.1f} s of {alice.tone} Hz heard"
        return {"heard": heard, "path": f"medianat {case['nat']}"}
    except asyncio.CancelledError:
        print(alice.text[-1500:], bob.text[-1500:])
        raise
    finally:
        await asyncio.gather(alice.end(), bob.end())


if __name__ == "__main__":
    cases.run("baresip", "baresip", call)
