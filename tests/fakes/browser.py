"""A headless Chromium, driven over the WebDriver protocol with the standard library alone."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

TIMEOUT_S = 60.0
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key that the protocol gives to elements
_ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


class Browser:
    """One window of a browser."""

    def __init__(
        self, port: int, *, dark: bool = True, size: tuple[int, int] = (1100, 760)
    ) -> None:
        self._port = port
        arguments = [*_ARGUMENTS, f"--window-size={size[0]},{size[1]}"]
        arguments += ["--force-dark-mode"] if dark else []
        options = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        self._path = ""
        answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": options}})
        self._path = f"/session/{answer['sessionId']}"

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        with contextlib.closing(connection):
            text = None if body is None else json.dumps(body)
            connection.request(method, self._path + path, text)
            value = json.loads(connection.getresponse().read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{path}: {value['message']}")
        return value

    def go(self, url: str) -> None:
        """Open a page, and wait until it is loaded."""
        self._call("POST", "/url", {"url": url})

    def url(self) -> str:
        """Return the address of the page."""
        return str(self._call("GET", "/url"))

    def run(self, script: str) -> Any:
        """Run the body of a function in the page, and return its value."""
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def text(self) -> str:
        """Return the text that a person sees."""
        return str(self.run("return document.body.innerText"))

    def click(self, selector: str) -> None:
        """Click what a person could click."""
        self._call("POST", f"/element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Type into a field."""
        self._call("POST", f"/element/{self._find(selector)}/value", {"text": text})

    def wait(self, condition: Callable[[], Any]) -> None:
        """Wait for a condition of the page."""
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline, f"it did not come true on:\n{self.text()}"
            time.sleep(0.1)

    def complaints(self) -> list[str]:
        """Return the errors that the browser has met in the pages, such as refused scripts."""
        log = self._call("POST", "/se/log", {"type": "browser"})
        return [str(each["message"]) for each in log if each["level"] == "SEVERE"]

    def screenshot(self) -> bytes:
        """Return the window as PNG."""
        return base64.b64decode(self._call("GET", "/screenshot"))

    def close(self) -> None:
        """Close the browser."""
        self._call("DELETE", "")

    def _find(self, selector: str) -> str:
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        return str(found[_ELEMENT])


@contextlib.contextmanager
def headless_browser(**options: Any) -> Iterator[Browser]:
    """Run a browser for the length of a block; skip the test where there is none."""
    driver = shutil.which("chromedriver")
    if driver is None:
        pytest.skip("Chromium with its driver is not installed (scripts/setup browser)")
    process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = None
        while port is None:
            line = process.stdout.readline()
            assert line, "the driver of the browser did not start"
            port = re.search(r"successfully on port ([1-9]\d*)", line)
        browser = Browser(int(port[1]), **options)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)
        process.stdout.close()
