# SPDX-License-Identifier: Apache-2.0
"""A small client of the WebDriver protocol (https://www.w3.org/TR/webdriver2/), spoken to chromedriver by the standard library."""

import base64
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Missing(Exception):
    """The browser or its driver is not on this machine."""


class Browser:
    def __init__(self, width=1440, height=900, dark=False):
        driver = shutil.which("chromedriver")
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        if not driver or not chromium:
            raise Missing("chromium or chromedriver is not here: apt-get install chromium chromium-driver")
        self.profile = tempfile.mkdtemp(prefix="conf-browser.")
        # A group of its own: what the driver starts ends with it.
        self.process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, text=True)
        self.session = None
        try:
            self.port = self._port()
            args = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1",
                    "--user-data-dir=" + self.profile, f"--window-size={width},{height}"]
            if dark:
                args.append("--force-dark-mode")
            options = {"binary": chromium, "args": args}
            made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {"browserName": "chrome", "timeouts": {"script": 240000, "pageLoad": 240000}, "goog:chromeOptions": options,
                                                                                    "goog:loggingPrefs": {"browser": "ALL"}}}})
            self.session = "/session/" + made["sessionId"]
        except BaseException:
            self.close()
            raise

    def _port(self):
        for line in self.process.stdout:
            m = re.search(r"started successfully on port ([0-9]+)", line)
            if m:
                return int(m.group(1))
        raise Missing("chromedriver did not start")

    def _call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())["value"]
        connection.close()
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(f"{path}: {answer['error']}: {answer['message']}")
        return answer

    def call(self, method, path, body=None):
        return self._call(method, self.session + path, body)

    def close(self):
        if self.session:
            try:
                self.call("DELETE", "")
            except (OSError, RuntimeError):
                pass
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def js(self, script, *args):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def js_async(self, script, *args):
        """The script calls its last argument with what it comes to."""
        return self.call("POST", "/execute/async", {"script": script, "args": list(args)})

    def wait(self, script, *args, seconds=90):
        """Long, as the machine may have other work."""
        end = time.monotonic() + seconds
        while True:
            value = self.js(script, *args)
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"after {seconds} s still not: {script}")
            time.sleep(0.02)

    def find(self, css):
        return self.call("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css):
        self.call("POST", f"/element/{self.find(css)}/click", {})

    def type(self, css, text):
        self.call("POST", f"/element/{self.find(css)}/value", {"text": text})

    def key(self, *keys):
        """Keys to whatever has the focus, one after the other."""
        actions = []
        for k in keys:
            actions += [{"type": "keyDown", "value": k}, {"type": "keyUp", "value": k}]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def size(self, width, height):
        """Of what is seen of a page, as on a phone that narrow (a window is never below 500 wide)."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def cdp(self, command, **params):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def scheme(self, scheme):
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.call("GET", "/screenshot")))

    def log(self):
        """What the console said since the last time, without what is no error."""
        return [e["message"] for e in self.call("POST", "/se/log", {"type": "browser"}) if e["level"] == "SEVERE"]
