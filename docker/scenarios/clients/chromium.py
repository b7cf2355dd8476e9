#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Chromium, by selenium: the calls of call.js in an empty page."""

import base64
import pathlib
import subprocess

import cases
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

HERE = pathlib.Path(__file__).parent

# turns: is checked against the authorities of the user's database of certificates
DATABASE = pathlib.Path("/tmp/.pki/nssdb")
DATABASE.mkdir(parents=True)
for words in (["-N", "--empty-password"], ["-A", "-n", "scenario", "-t", "C,,", "-i", "/secrets/tls/ca.pem"]):
    subprocess.run(["certutil", *words, "-d", f"sql:{DATABASE}"], check=True)

options = webdriver.ChromeOptions()
for word in ("headless=new", "no-sandbox", "disable-dev-shm-usage"):
    options.add_argument(f"--{word}")
driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
driver.set_script_timeout(cases.SECONDS + 5)
script = (HERE / "call.js").read_text()


async def call(case):
    given = {**case, "payload": base64.b64encode(cases.payload()).decode()}
    function = script[script.index("async (") :]
    return driver.execute_async_script(
        f"const [given, done] = arguments; ({function})(given).then(done, (e) => done({{failed: `${{e}}`}}));", given
    )


driver.get("about:blank")
try:
    cases.run("chromium", f"Chromium {driver.capabilities['browserVersion']}", call)
finally:
    driver.quit()
