"""Browsers that are no Chromium: WebKit, the only engine of a telephone by Apple, and Firefox.

Each is spoken to in its own form of WebDriver (https://w3.org/TR/webdriver2), so that nothing has to be downloaded.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from widget_page import UNFINISHED

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the name that the standard gives to references
KEYS = {"Enter": "\ue007", "End": "\ue010", "Home": "\ue011", "Space": " "} | {
    f"Arrow{side}": code for side, code in zip(("Left", "Up", "Right", "Down"), "\ue012\ue013\ue014\ue015", strict=True)
}


class Window(ABC):
    """A window of a browser.

    Args:
        folder: An empty folder, for what the browser leaves behind.
    """

    programs: ClassVar[tuple[str, ...]]  # each with its other names
    packages: ClassVar[str]  # of Debian
    environment: ClassVar[dict[str, str]] = {}

    @classmethod
    def missing(cls) -> str | None:
        """Return what to do if a program is missing."""
        lacks = [names for names in cls.programs if not cls.path(names)]
        return f"no {', '.join(lacks)}: install it (Debian: apt-get install {cls.packages})" if lacks else None

    @staticmethod
    def path(names: str) -> str | None:
        """Return the path of the first of these names ("firefox-esr or firefox") that is a program here."""
        return next((path for name in names.split(" or ") if (path := shutil.which(name))), None)

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.output = folder / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self.command(folder),
                stdout=output,
                stderr=output,
                env=os.environ | self.environment,
                start_new_session=True,
            )
        for _ in range(300):
            try:
                self.begin()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise TimeoutError(f"{self.programs[0]}: {self.output.read_text('utf-8', 'replace')[-500:]}")

    @abstractmethod
    def command(self, folder: Path) -> list[str]:
        """Return the command that starts the browser or its driver, so that it listens to `self.port`."""

    @abstractmethod
    def begin(self) -> None:
        """Begin a session.

        Raises:
            OSError: Nothing listens yet.
        """

    @abstractmethod
    def resize(self, width: int, height: int) -> None:
        """Give the window another size, if it can be so narrow."""

    @abstractmethod
    def go(self, url: str) -> None:
        """Load a page."""

    @abstractmethod
    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a function and return its result."""

    @abstractmethod
    def press(self, element: dict[str, str], key: str) -> None:
        """Give an element the focus and press a key, as a person does."""

    def open(self, url: str, width: int = 1200, height: int = 1000) -> None:
        """Load a page in a window of this size and wait until it is laid out and its widgets are live."""
        self.resize(width, height)
        self.go(url)
        for _ in range(150):
            if not self.run("return document.querySelector(arguments[0])", f"{UNFINISHED}, .plm-block .plm-static"):
                return
            time.sleep(0.1)
        raise AssertionError(f"{url}: a widget did not come to life")

    def close(self) -> None:
        """Stop everything that was started."""
        os.killpg(self.process.pid, 15)
        self.process.wait()


class WebKit(Window):
    """WebKit in a browser with little more than a window, on a screen that nobody sees."""

    programs = ("WebKitWebDriver", "xvfb-run", "xauth")
    packages = "webkit2gtk-driver xvfb xauth"
    # No graphics card, no screen reader, and no sandbox, for which a container may lack the rights: all pages are ours.
    environment: ClassVar[dict[str, str]] = {
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "NO_AT_BRIDGE": "1",
        "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",
    }
    session = ""

    def command(self, folder: Path) -> list[str]:
        screen = ["xvfb-run", "--auto-servernum", "--server-args=-screen 0 2000x1400x24"]
        return [*screen, "WebKitWebDriver", f"--port={self.port}"]

    def begin(self) -> None:
        (browser,) = Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser")
        wanted = {"webkitgtk:browserOptions": {"binary": str(browser), "args": ["--automation"]}}
        found = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{found['sessionId']}"

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a command to the driver and return its value."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{self.session}{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {json.load(error)['value']}") from None

    def resize(self, width: int, height: int) -> None:
        self.ask("POST", "/window/rect", {"width": width, "height": height})

    def go(self, url: str) -> None:
        self.ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        return self.ask("POST", "/execute/sync", {"script": script, "args": arguments})

    def press(self, element: dict[str, str], key: str) -> None:
        self.ask("POST", f"/element/{element[ELEMENT]}/value", {"text": KEYS.get(key, key)})

    def close(self) -> None:
        self.ask("DELETE", "")
        super().close()


class Firefox(Window):
    """Firefox without a window that one could see; it is asked in Marionette, the protocol below its WebDriver."""

    programs = ("firefox-esr or firefox",)
    packages = "firefox-esr"
    preferences: ClassVar[dict[str, Any]] = {"datareporting.policy.dataSubmissionEnabled": False}
    asked = 0

    def command(self, folder: Path) -> list[str]:
        settings = {"marionette.port": self.port, **self.preferences}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in settings.items()]
        (folder / "user.js").write_text("".join(lines), "utf-8")
        firefox = self.path(*self.programs) or ""
        return [firefox, "--headless", "--marionette", "--no-remote", "--profile", str(folder)]

    def begin(self) -> None:
        self.line = socket.create_connection(("127.0.0.1", self.port), timeout=120).makefile("rwb")
        self._receive()  # what it is
        self.ask("WebDriver:NewSession", {})

    def _receive(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            length += self.line.read(1) or b":"
        return json.loads(self.line.read(int(length[:-1])))

    def ask(self, command: str, arguments: dict[str, Any]) -> Any:
        """Send a command and return its result."""
        self.asked += 1
        message = json.dumps([0, self.asked, command, arguments]).encode()
        self.line.write(b"%d:%s" % (len(message), message))
        self.line.flush()
        _, _, error, result = self._receive()
        if error:
            raise RuntimeError(f"{command}: {error}")
        return result

    def resize(self, width: int, height: int) -> None:
        self.ask("WebDriver:SetWindowRect", {"width": width, "height": height})

    def go(self, url: str) -> None:
        self.ask("WebDriver:Navigate", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        return self.ask("WebDriver:ExecuteScript", {"script": script, "args": arguments})["value"]

    def press(self, element: dict[str, str], key: str) -> None:
        self.ask("WebDriver:ElementSendKeys", {"id": element[ELEMENT], "text": KEYS.get(key, key)})

    def close(self) -> None:
        self.line.close()
        super().close()


class FirefoxWithLargerText(Firefox):
    """Firefox that enlarges texts by half, and nothing else: "Zoom Text Only"."""

    preferences: ClassVar[dict[str, Any]] = {"ui.textScaleFactor": 150, "browser.display.os-zoom-behavior": 2}
