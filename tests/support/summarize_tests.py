#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts the test functions inside a ctest log and names every skipped one.

Usage: summarize_tests.py LastTest.log

ctest counts executables; Qt Test and node count their own cases inside. A case that was skipped does
not show in ctest's green line, so it is listed here with its reason.
"""
import pathlib
import re
import sys

QT_TOTALS = re.compile(r"^Totals: (\d+) passed, (\d+) failed, (\d+) skipped", re.M)
QT_SKIP = re.compile(r"^SKIP\s*: (.+?)\((.*?)\) (.*)$", re.M)
NODE_COUNTS = re.compile(r"^(?:# |ℹ )(pass|fail|skipped) (\d+)$", re.M)


def main(log):
    text = pathlib.Path(log).read_text(errors="replace")
    passed = failed = skipped = 0
    for match in QT_TOTALS.finditer(text):
        passed += int(match[1])
        failed += int(match[2])
        skipped += int(match[3])
    for kind, count in NODE_COUNTS.findall(text):
        passed += int(count) if kind == "pass" else 0
        failed += int(count) if kind == "fail" else 0
        skipped += int(count) if kind == "skipped" else 0
    for name, row, reason in QT_SKIP.findall(text):
        print(f"skipped: {name}({row}): {reason}")
    print(f"cases: {passed} passed, {failed} failed, {skipped} skipped")


if __name__ == "__main__":
    main(sys.argv[1])
