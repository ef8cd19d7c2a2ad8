#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real panel on a real X display: Start by keyboard, close, find again, chat, stop by tandemctl.

Usage: panel_test.py BIN_FOLDER SCREENS_FOLDER     exit 77: something that it needs is not installed
"""
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import x_display

SKIPPED = 77
PATIENCE_S = 60


class Failure(Exception):
    pass


def check(holds, claim):
    if not holds:
        raise Failure(claim)
    print(f"ok: {claim}", flush=True)


class Programs:
    """tandem and tandemctl with folders of their own, so that no engine of the user is touched."""

    def __init__(self, binaries, folder, display):
        self.binaries = pathlib.Path(binaries)
        runtime = pathlib.Path(folder, "run")
        runtime.mkdir(mode=0o700)
        self.environment = {**display.environment, "XDG_RUNTIME_DIR": str(runtime),
                            "XDG_STATE_HOME": str(pathlib.Path(folder, "state"))}
        self.panel = None

    def open_panel(self, *arguments):
        self.panel = subprocess.Popen([self.binaries / "tandem", *arguments], env=self.environment,
                                      stdout=subprocess.PIPE, text=True)
        return self.panel

    def control(self, *arguments):
        return subprocess.run([self.binaries / "tandemctl", *arguments], env=self.environment, text=True,
                              capture_output=True, timeout=PATIENCE_S)

    def status(self):
        answer = self.control("status", "--json")
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    def wait_until_ready(self):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            status = self.status()
            if status and status["state"] == "ready":
                return status
            time.sleep(0.05)  # there is nothing to wait on before the engine has made its socket
        raise Failure(f"the engine is not ready after {PATIENCE_S} s: {self.control('status').stderr}")

    def clean_up(self):
        if self.panel and self.panel.poll() is None:
            self.panel.kill()
            self.panel.wait()
        stopped = self.control("stop", "--force")
        if stopped.returncode != 0:
            print(stopped.stderr, file=sys.stderr)


def process_lives(pid):
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # in a container nobody may collect the dead


def run(display, programs, screens):
    started = time.monotonic()
    panel = programs.open_panel("--demo", "--port", "0")
    display.wait_for_window(panel.pid)
    print(f"the window is there after {time.monotonic() - started:.1f} s")
    check(programs.status() is None, "opening the window starts no engine")
    display.save_picture(screens / "x11-stopped.png")

    started = time.monotonic()
    display.press("Return")  # the Start button has the keyboard
    status = programs.wait_until_ready()
    print(f"ready {time.monotonic() - started:.1f} s after the key")
    pid, endpoint = status["pid"], status["endpoint"]
    check(len(status["stats"]["ranks"]) == 2, "Start brings two ranks to Ready")
    time.sleep(1.5)  # a picture with the numbers of the first seconds
    display.save_picture(screens / "x11-ready.png")

    display.press("ctrl+2")
    display.type("What is Tandem?")
    display.press("Return")
    deadline = time.monotonic() + PATIENCE_S
    while programs.status()["stats"]["requests_finished"] < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    check(programs.status()["stats"]["requests_finished"] >= 1, "a question typed into the window is answered")
    time.sleep(0.5)  # for the last words to be painted
    display.save_picture(screens / "x11-chat.png")
    display.press("ctrl+3")
    time.sleep(1.5)
    display.save_picture(screens / "x11-monitor.png")

    display.press("alt+F4")
    said = panel.communicate(timeout=PATIENCE_S)[0]
    check(panel.returncode == 0, "closing the window ends the panel")
    check(f"process {pid}" in said and "tandemctl stop" in said, "it says that the engine goes on, and how to end it")
    with urllib.request.urlopen(f"{endpoint}/models", timeout=10) as answer:
        check(answer.status == 200, "the engine still serves /v1 without the window")

    started = time.monotonic()
    panel = programs.open_panel("--theme", "light")
    display.wait_for_window(panel.pid)
    print(f"the second window is there after {time.monotonic() - started:.1f} s")
    time.sleep(1.5)
    display.save_picture(screens / "x11-found.png")
    check(programs.status()["pid"] == pid, "a second window attaches to the same engine")

    stopped = programs.control("stop")
    check(stopped.returncode == 0, "tandemctl stops it")
    check(not process_lives(pid), "the engine's process is gone")
    time.sleep(1)
    display.save_picture(screens / "x11-stopped-from-outside.png")
    display.press("alt+F4")
    check(panel.communicate(timeout=PATIENCE_S)[0] == "", "without an engine there is nothing to say at the end")
    check(panel.returncode == 0, "the second window closes too")


def main():
    missing = x_display.missing_programs()
    if missing:
        print(f"skipped: {', '.join(missing)} not installed")
        return SKIPPED
    screens = pathlib.Path(sys.argv[2])
    # ctest ends a test that takes too long with a signal: clean up then, too.
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder, x_display.Display(folder) as display:
        programs = Programs(sys.argv[1], folder, display)
        try:
            run(display, programs, screens)
        except (Failure, subprocess.SubprocessError) as problem:
            display.save_picture(screens / "x11-failed.png")
            print(f"FAILED: {problem}", file=sys.stderr)
            return 1
        finally:
            programs.clean_up()
    return 0


if __name__ == "__main__":
    sys.exit(main())
