"""A headless Chromium that a test can ask, by WebDriver's protocol: plain HTTP, no library.

    with Browser() as browser:
        browser.open("file:///tmp/page.html", dark=True)
        browser.run("return document.title")
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request

DRIVER = shutil.which("chromedriver")
CHROMIUM = shutil.which("chromium")


def missing():
    """Why there is no browser here; empty: there is one."""
    return "" if DRIVER and CHROMIUM else "chromium and chromium-driver are not installed"


class Browser:
    def __enter__(self):
        # Port 0: the driver chooses one, and says which.
        self.process = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        start_new_session=True)
        self.port = None
        for line in self.process.stdout:
            if "successfully on port" in line:
                self.port = int(line.rsplit("on port", 1)[1].strip(" .\n"))
                break
        assert self.port, "chromedriver did not start"
        options = {"binary": CHROMIUM,
                   "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]}
        answer = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.session = f"/session/{answer['sessionId']}"
        return self

    def __exit__(self, *_):
        try:
            self.ask("DELETE", self.session)
        finally:
            # The driver is the leader of a group of its own: the browser it started ends with it.
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(10)

    def ask(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"},
                                         method=method)
        for attempt in range(50):
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    return json.load(answer)["value"]
            except urllib.error.HTTPError as error:
                raise AssertionError(f"{method} {path}: {error.read().decode()[:500]}") from error
            except urllib.error.URLError:
                if attempt == 49:
                    raise
                time.sleep(0.1)
        return None

    def cdp(self, command, parameters):
        return self.ask("POST", self.session + "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, url, dark=False, width=1100, height=900):
        self.cdp("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        self.cdp("Emulation.setEmulatedMedia",
                 {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        self.ask("POST", self.session + "/url", {"url": url})

    def run(self, script):
        return self.ask("POST", self.session + "/execute/sync", {"script": script, "args": []})

    def complaints(self):
        """What the page's console says is wrong."""
        entries = self.ask("POST", self.session + "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def picture(self, path):
        shot = self.cdp("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True})
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))
