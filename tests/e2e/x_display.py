# SPDX-License-Identifier: GPL-3.0-or-later
"""An X display of its own with a window manager, driven by keys, and its pictures as PNG."""
import os
import pathlib
import shutil
import struct
import subprocess
import zlib

PROGRAMS = ["Xvfb", "openbox", "xdotool"]


def missing_programs():
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Display:
    """Xvfb and openbox; both end with the with-block."""

    def __init__(self, folder, width=1400, height=900):
        self.folder = pathlib.Path(folder)
        self.size = f"{width}x{height}x24"
        self.children = []

    def __enter__(self):
        read_end, write_end = os.pipe()
        self._start(["Xvfb", "-displayfd", str(write_end), "-screen", "0", self.size,
                     "-fbdir", str(self.folder), "-nolisten", "tcp"], pass_fds=[write_end])
        os.close(write_end)
        with os.fdopen(read_end) as numbers:  # Xvfb writes the number once it accepts clients
            number = numbers.readline().strip()
        if not number:
            raise RuntimeError("Xvfb did not start")
        self.environment = {**os.environ, "DISPLAY": f":{number}"}
        for name in ("WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
            self.environment.pop(name, None)
        self._start(["openbox", "--sm-disable"], env=self.environment)
        return self

    def __exit__(self, *unused):
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _start(self, command, **options):
        self.children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                              stderr=subprocess.DEVNULL, **options))

    def xdotool(self, *arguments, timeout=30):
        return subprocess.run(["xdotool", *map(str, arguments)], env=self.environment, check=True,
                              timeout=timeout, capture_output=True, text=True).stdout.strip()

    def wait_for_window(self, pid):
        """The window of this process, on top and with the keyboard."""
        window = self.xdotool("search", "--sync", "--onlyvisible", "--pid", pid, "--name", "Tandem").split()[0]
        self.xdotool("windowactivate", "--sync", window)
        return window

    def press(self, *keys):
        self.xdotool("key", "--delay", 60, *keys)

    def type(self, text):
        self.xdotool("type", "--delay", 20, text)

    def save_picture(self, path):
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_of((self.folder / "Xvfb_screen0").read_bytes()))


def png_of(dump):
    """The PNG of an XWD dump with 32 bits a pixel, as Xvfb keeps its screen in a file."""
    header = struct.unpack(">25I", dump[:100])
    header_size, width, height, line_bytes, colors = header[0], header[4], header[5], header[12], header[19]
    if header[11] != 32 or header[7] != 0:
        raise ValueError(f"a screen with {header[11]} bits a pixel, byte order {header[7]}")
    first = header_size + 12 * colors
    rows = bytearray()
    for y in range(height):
        line = dump[first + y * line_bytes: first + y * line_bytes + 4 * width]
        row = bytearray(3 * width)
        row[0::3], row[1::3], row[2::3] = line[2::4], line[1::4], line[0::4]
        rows += b"\0" + row

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(bytes(rows), 6)) + chunk(b"IEND", b""))
