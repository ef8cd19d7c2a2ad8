#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs clang-tidy over the tree, what changed last first.

Usage: tidy.py BUILD_FOLDER [--minutes N] [--full]

A fresh clone does not know what was checked before. So the files go in the order of their newest
commit, their own or that of a project header they include, and after N minutes no further file is
started: what a change touches is always checked, what is old only while there is time. The last
line says how far it came. Without --minutes every file is checked.
--full adds the two parts that cost as much as all others together: the analyzer, and
performance-unnecessary-value-param, which follows every parameter through the templates of the
JSON and the command line library.
"""
import argparse
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import time

SLOW = "-clang-analyzer-*,-performance-unnecessary-value-param"
CHECKED = ("app/", "engine/", "ui/", "tests/support/")
INCLUDE = re.compile(r'^#include "([^"]+)"', re.M)
FINDING = re.compile(r"^(/\S+:\d+:\d+: (?:warning|error): .*)$", re.M)


def git(*arguments):
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def ages():
    """How many commits ago each file changed; 0 for what is not committed."""
    age = {}
    commits = git("log", "--format=%x00", "--name-only").split("\0")[1:]
    for number, names in enumerate(commits, start=1):
        for name in names.split():
            age.setdefault(name, number)
    for name in git("diff", "--name-only", "HEAD").split():
        age[name] = 0
    return age


def newest_first(files):
    age = ages()

    def key(name):
        text = pathlib.Path(name).read_text(errors="replace")
        return min(age.get(one, 0) for one in [name, *INCLUDE.findall(text)]
                   if one == name or one in age)

    return sorted(files, key=lambda name: (key(name), name))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    root = pathlib.Path.cwd()
    commands = json.loads((root / options.build / "compile_commands.json").read_text())
    # Without the CUDA toolkit some files are not compiled here.
    files = newest_first({
        name for name in (str(pathlib.Path(c["file"]).relative_to(root)) for c in commands
                          if c["file"].startswith(f"{root}/"))
        if name.startswith(CHECKED) and name.endswith(".cpp")})
    deadline = time.monotonic() + 60 * options.minutes if options.minutes else None
    command = ["clang-tidy-14", "-p", options.build, "--quiet"]
    if not options.full:
        command.append(f"--checks={SLOW}")

    def check(name):
        """None when it was too late to start; else what clang-tidy found or why it did not run."""
        if deadline and time.monotonic() > deadline:
            return None
        ran = subprocess.run([*command, name], capture_output=True, text=True)
        found = FINDING.findall(ran.stdout)
        if ran.returncode != 0 and not found:
            found = [f"{name}: clang-tidy ended with {ran.returncode}: {ran.stderr[-2000:]}"]
        return found

    findings = set()
    checked = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for found in pool.map(check, files):
            if found is not None:
                checked += 1
                findings.update(found)
    for finding in sorted(findings):
        print(finding)
    left = len(files) - checked
    print(f"clang-tidy: {checked} files, {len(findings)} findings"
          + (f"; no time for the {left} files that changed longest ago" if left else ""))
    return 1 if findings or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
