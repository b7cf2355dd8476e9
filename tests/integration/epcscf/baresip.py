# SPDX-License-Identifier: BSD-3-Clause
"""baresip as a phone that registers at a SIP registrar by UDP, with DTLS-SRTP and ICE, as WebRTC clients want it."""

import array
import glob
import json
import pathlib
import re
import shutil
import socket
import subprocess
import time

MODULES = "/usr/lib/baresip/modules"
CONFIG = """
sip_listen {host}:{sip}
audio_player aubridge,nil
audio_source ausine,440
audio_alert aubridge,nil
rtcp_mux yes
ausrc_srate 48000
auplay_srate 48000
ausrc_channels 2
auplay_channels 2
rtp_ports 30000-30100
snd_path .
module_path {modules}
ctrl_tcp_listen 127.0.0.1:{control}
module opus.so
module ausine.so
module aubridge.so
module sndfile.so
module srtp.so
module dtls_srtp.so
module stun.so
module ice.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
"""


def missing():
    return None if shutil.which("baresip") else "baresip is not installed"


class Telephone:
    """Answers every call; log() is what it says."""

    def __init__(self, folder, host, ports, account):
        """ports: for SIP and control. account: (user, domain, password, registrar's address)"""
        self.folder, (sip, self.control) = pathlib.Path(folder), ports
        self.folder.mkdir()
        user, domain, password, registrar = account
        line = (f"<sip:{user}@{domain}>;auth_user={user};auth_pass={password};outbound=\"sip:{registrar}\";regint=60;answermode=auto;"
                "audio_codecs=opus/48000/2;mediaenc=dtls_srtp;medianat=ice")
        config = CONFIG.format(host=host, sip=sip, control=self.control, modules=MODULES)
        for name, text in (("config", config), ("accounts", line), ("contacts", "")):
            (self.folder / name).write_text(text + "\n")
        self.said = self.folder / "log"
        with open(self.said, "wb") as log:
            # there, with "snd_path .": baresip cuts the names of its recordings, with their folder, at 127 octets
            self.process = subprocess.Popen(["baresip", "-f", self.folder], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.folder)

    def log(self):
        return re.sub(r"\x1b\[[0-9;]*[mKA-Z]", "", self.said.read_text(errors="replace"))

    def wait_for(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not (found := condition()):
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"baresip ({self.process.poll()}) after {seconds} s: {self.log()[-3000:]}")
            time.sleep(0.1)
        return found

    def says(self, pattern, times=1):
        self.wait_for(lambda: len(re.findall(pattern, self.log())) >= times)

    def command(self, command, params=""):
        text = json.dumps({"command": command, "params": params})
        with socket.create_connection(("127.0.0.1", self.control), timeout=10) as s:
            s.sendall(f"{len(text)}:{text},".encode())
            s.recv(4096)

    def sounds(self):
        """Seconds of sound that came: baresip writes what it has decoded into files."""
        seconds, window = 0.0, 4800
        for name in glob.glob(f"{self.folder}/*-dec.wav"):
            octets = pathlib.Path(name).read_bytes()[44:]
            samples = array.array("h", octets[: len(octets) // 4 * 4])[::2]
            for i in range(0, len(samples) - window, window):
                seconds += 0.1 * (max(samples[i : i + window]) > 300)
        return seconds

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
