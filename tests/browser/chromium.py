"""A headless Chromium, driven by its DevTools protocol over a pipe: needs nothing but Chromium."""
import base64
import json
import os
import select
import shutil
import subprocess
import time

PATIENCE = 30  # seconds for something to happen
KEYS = {"Enter": ("Enter", 13, "\r"), "Tab": ("Tab", 9, ""), "Escape": ("Escape", 27, ""), "Backspace": ("Backspace", 8, ""),
        "ArrowDown": ("ArrowDown", 40, ""), "ArrowUp": ("ArrowUp", 38, ""), "ArrowLeft": ("ArrowLeft", 37, ""),
        "ArrowRight": ("ArrowRight", 39, ""), " ": ("Space", 32, " ")}
ALT, CONTROL, SHIFT = 1, 2, 8


def find_chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Chromium:
    """One page of one browser. `folder` is its home: a test does not touch the user's profile."""

    def __init__(self, folder):
        to_browser, self.to = os.pipe()
        self.of, of_browser = os.pipe()

        def keep_pipes():
            spare = [os.dup(to_browser), os.dup(of_browser)]  # they may be 3 and 4 the other way round
            os.dup2(spare[0], 3)
            os.dup2(spare[1], 4)

        self.process = subprocess.Popen(
            [find_chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--disable-dev-shm-usage", "--disable-background-networking", "--remote-debugging-pipe",
             f"--user-data-dir={folder}/chromium", "about:blank"],
            env=dict(os.environ, HOME=str(folder), XDG_CONFIG_HOME=str(folder)), preexec_fn=keep_pipes,
            pass_fds=(3, 4), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(of_browser)
        self.number, self.waiting, self.session = 0, b"", None
        self.complaints = []  # of the page: exceptions, refusals by its policy
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.of)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while True:
            answer = self.receive(end - time.monotonic())
            assert answer, f"{method}: no answer"
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def receive(self, seconds):
        end = time.monotonic() + seconds
        while b"\0" not in self.waiting:
            ready, _, _ = select.select([self.of], [], [], max(0, end - time.monotonic()))
            if not ready:
                return None
            data = os.read(self.of, 1 << 20)
            assert data, "Chromium has ended"
            self.waiting += data
        message, _, self.waiting = self.waiting.partition(b"\0")
        event = json.loads(message)
        if event.get("method") == "Runtime.exceptionThrown":
            details = event["params"]["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        if event.get("method") == "Log.entryAdded" and event["params"]["entry"]["source"] in ("security", "javascript"):
            self.complaints.append(event["params"]["entry"]["text"])
        return event

    def window(self, width, height, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, f"{expression}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def until(self, expression):
        """Waits until it is true, and returns its value."""
        end = time.monotonic() + PATIENCE
        while True:
            value = self.evaluate(expression)
            if value:
                return value
            assert time.monotonic() < end, f"{expression} stays {value!r}; the page: " + self.evaluate(
                "document.body.innerText.slice(0, 1500)")
            time.sleep(0.05)

    def key(self, name, modifiers=0):
        code, number, text = KEYS[name]
        parameters = {"key": name, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
        down = {"type": "keyDown", "text": text} if text and not modifiers else {"type": "rawKeyDown"}
        self.call("Input.dispatchKeyEvent", **parameters, **down)
        self.call("Input.dispatchKeyEvent", **parameters, type="keyUp")

    def type(self, text):
        for character in text:
            if character in KEYS:
                self.key(character)
            else:
                self.call("Input.dispatchKeyEvent", type="keyDown", key=character, text=character)
                self.call("Input.dispatchKeyEvent", type="keyUp", key=character)

    def click(self, selector, index=0):
        where = f"[...document.querySelectorAll({json.dumps(selector)})][{index}]"
        self.until(f"!!{where}")
        self.evaluate(f"{where}.scrollIntoView({{block: 'nearest'}})")
        box = self.evaluate(f"(box => [box.x + Math.min(box.width / 2, 30), box.y + box.height / 2])({where}.getClientRects()[0])")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def picture(self, path):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
