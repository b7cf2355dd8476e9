# SPDX-License-Identifier: BSD-3-Clause
"""Hands and eyes on the client page in Chromium."""

import shutil
import tempfile
import time

import browser

try:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select
except ImportError:  # browser.missing() says so
    pass


class Page:
    """passwords, sip_passwords: by user. keys: SHA-256 of servers' public keys that the browser trusts."""

    def __init__(self, url, keys, passwords, sip_passwords):
        self.url, self.passwords, self.sip_passwords = url, passwords, sip_passwords
        self.folder = tempfile.mkdtemp(prefix="turncred-page-")
        self.driver = browser.launch(self.folder, f"ignore-certificate-errors-spki-list={','.join(keys)}")
        self.driver.set_page_load_timeout(60)

    def open(self):
        """Signed out, and without what an earlier test left."""
        self.driver.get(self.url + "/healthz")
        self.driver.delete_all_cookies()
        self.driver.get(self.url + "/")
        self.until(lambda: self.text("call-state") == "Get a credential first." or self.id("sign-in").is_displayed())

    def js(self, function, *arguments):
        return self.driver.execute_script(f"return ({function})(...arguments)", *arguments)

    def id(self, name):
        return self.driver.find_element(By.ID, name)

    def text(self, name):
        return self.driver.execute_script("return document.getElementById(arguments[0]).textContent", name)

    def shown(self, name):
        return self.id(name).is_displayed()

    def until(self, what, seconds=60, every=0.05):
        end = time.monotonic() + seconds
        while True:
            got = what()
            if got:
                return got
            if time.monotonic() > end:
                body = self.driver.find_element(By.TAG_NAME, "body").text
                raise AssertionError(f"not within {seconds} s; the page says:\n{body}\n{self.console()}")
            time.sleep(every)

    def console(self):
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def sign_in(self, user="alice", password=None):
        for name, value in (("user", user), ("password", password or self.passwords[user])):
            self.id(name).clear()
            self.id(name).send_keys(value)
        self.id("password").send_keys(Keys.ENTER)

    def ready(self, user="alice"):
        """Signed in, with a credential over HTTPS."""
        self.open()
        self.sign_in(user)
        self.until(lambda: self.shown("get-https"))
        self.id("get-https").click()
        self.until(lambda: self.shown("https"))

    def credential(self, way="https"):
        """What the page shows as names and values, with the password uncovered."""
        return self.driver.execute_script(
            """const list = document.getElementById(arguments[0]);
            for (const button of list.querySelectorAll('button')) if (button.textContent === 'Show') button.click();
            const names = [...list.querySelectorAll('dt')].map((e) => e.textContent);
            const values = [...list.querySelectorAll('dd')].map((e) => (e.querySelector('code') || e).textContent);
            return Object.fromEntries(names.map((name, i) => [name, values[i]]));""",
            way,
        )

    def register(self, user="alice", password=None, ask="derived"):
        """Signed in, and asked the SIP edge."""
        self.open()
        self.sign_in(user)
        self.until(lambda: self.shown("register"))
        self.id("sip-password").send_keys(password or self.sip_passwords[user])
        Select(self.id("sip-ask")).select_by_value(ask)
        self.id("sip-password").send_keys(Keys.ENTER)

    def call(self, transport=""):
        Select(self.id("transport")).select_by_value(transport)
        self.id("start").click()

    def look(self, width, scheme):
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        size["height"] = self.driver.execute_script("return document.documentElement.scrollHeight")
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def unlook(self):
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    def screenshot(self, path):
        if not self.driver.save_screenshot(str(path)):
            raise RuntimeError(f"no screenshot at {path}")

    def quit(self):
        self.driver.quit()
        shutil.rmtree(self.folder, ignore_errors=True)
