# SPDX-License-Identifier: BSD-3-Clause
"""Chromium, headless, and an address at which it gathers candidates."""

import ctypes
import json
import shutil
import subprocess

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
except ImportError:
    webdriver = None

CLONE_NEWNET = 0x40000000


def missing():
    """The name of a missing program for a browser test; None if nothing is missing."""
    if webdriver is None or not shutil.which("chromedriver") or not shutil.which("chromium"):
        return "chromium, chromium-driver or python3-selenium is not installed"
    return None


def address():
    """Browsers gather no candidates on loopback. So this makes a non-loopback address of a network without other hosts
    (this process moves there); where that is not allowed, in a container, the container's own."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0:
        for command in (
            "link set lo up",
            "link add turn0 type veth peer name turn1",
            "addr add 10.213.7.1/24 dev turn0",
            "link set turn0 up",
            "link set turn1 up",
        ):
            subprocess.run(["ip", *command.split()], check=True)
        return "10.213.7.1"
    shown = subprocess.run(
        ["ip", "-json", "-4", "addr", "show", "scope", "global"],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(shown.stdout)[0]["addr_info"][0]["local"]


def launch(folder, *flags):
    """A WebDriver whose profile is in folder."""
    options = webdriver.ChromeOptions()
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-dev-shm-usage",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        f"user-data-dir={folder}/profile",
        *flags,
    ):
        options.add_argument("--" + flag)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
    driver.set_script_timeout(60)
    return driver
