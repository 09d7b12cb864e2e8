#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests the tests: builds the sources with the deliberate faults of mutants.toml, and runs for each the test that must fail.

    dev/mutants/run.py                 all mutants; those in device code need nvcc and FANIN_EMULATOR, a program that
                                       runs another one on an emulated CUDA device
    dev/mutants/run.py --only NAME...  some mutants
    dev/mutants/run.py --check         without a build: the faults still fit the sources, and docs/proof.md has the table
    dev/mutants/run.py --write         writes the table to docs/proof.md

All faults are in one build, and a number chooses one at run time: an expression becomes
`is(17) ? (mutated) : (original)` in a copy of the sources (mutant schemata: Untch, Offutt and Harrold, "Mutation analysis
using mutant schemata", 1993). Without a chosen mutant all named tests must pass. The exit status is 1 if a mutant survives.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = ROOT / "dev/mutants/mutants.toml"
PAGE = ROOT / "docs/proof.md"
BEGIN, END = "<!-- dev/mutants/run.py --write -->\n", "<!-- end of the mutants -->\n"
DEVICE_TESTS = ("gpu_test",)
DEVICE_NUMBER = 1000000000  # switch.h
SECONDS = 300  # for the tests of one mutant; a test that hangs has failed


class Mutant:
    def __init__(self, number, entry):
        self.number = number
        self.name, self.file, self.fault, self.test = (entry[key] for key in ("name", "file", "fault", "test"))
        self.was, self.becomes = entry["was"], entry["becomes"]
        self.place = entry.get("in", self.was)  # text that occurs once in the file, in which `was` occurs once
        self.program, _, self.filter = self.test.partition(" ")
        unknown = entry.keys() - {"name", "file", "fault", "test", "was", "becomes", "in"}
        if unknown:
            raise SystemExit(f"mutants.toml: {self.name} has the unknown keys {', '.join(sorted(unknown))}")

    @property
    def needs_device(self):
        return self.program in DEVICE_TESTS

    def span(self, text):
        """Where the original stands in the file, or None if it does not stand there exactly once."""
        if text.count(self.place) != 1 or self.place.count(self.was) != 1:
            return None
        begin = text.index(self.place) + self.place.index(self.was)
        return begin, begin + len(self.was)


def mutants():
    entries = tomllib.loads(TABLE.read_text(encoding="utf-8"))["mutant"]
    return [Mutant(number, entry) for number, entry in enumerate(entries, 1)]


def mutated(text, of_file):
    """The text of a file with a choice at each place: (is(1) ? (mutated) : (original)), or if and else for statements."""
    by_span = {}
    for mutant in of_file:
        by_span.setdefault(mutant.span(text), []).append(mutant)
    for (begin, end), here in sorted(by_span.items(), reverse=True):
        original = text[begin:end]
        for mutant in here:
            chosen = f"::fanin_mutants::is({mutant.number})"
            if mutant.was.endswith(";"):
                original = f"if ({chosen}) {{ {mutant.becomes} }} else {{ {original} }}"
            else:
                original = f"({chosen} ? ({mutant.becomes}) : ({original}))"
        text = text[:begin] + original + text[end:]
    return text


def test_exists(mutant):
    if mutant.program.endswith(".py"):
        suite, _, case = mutant.filter.partition(".")
        text = (ROOT / mutant.program).read_text(encoding="utf-8")
        return f"class {suite}(" in text and (not case or f"def {case}(" in text)
    tests = "".join(source.read_text(encoding="utf-8") for source in ROOT.glob("tests/*/*.cpp"))
    return all(re.search(rf"TEST(_F|_P)?\({suite}, {case}\)", tests)
               for suite, case in (name.strip("*").split(".") for name in mutant.filter.split(":")))


def table(all_mutants):
    rows = [f"| {m.fault} | `{m.file}` | `{m.test}` |" for m in all_mutants]
    return "\n".join(["| fault | file | test that fails |", "| --- | --- | --- |", *rows]) + "\n"


def page_with(all_mutants):
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}{table(all_mutants)}{END}{after}"


def check(all_mutants):
    wrong = []
    names = [m.name for m in all_mutants]
    wrong += [f"{name} occurs twice" for name in sorted(set(names)) if names.count(name) > 1]
    for mutant in all_mutants:
        path = ROOT / mutant.file
        if not path.is_file() or mutant.span(path.read_text(encoding="utf-8")) is None:
            wrong.append(f"{mutant.name}: the original is not in {mutant.file} exactly once; write it anew")
        if not test_exists(mutant):
            wrong.append(f"{mutant.name}: there is no test {mutant.test}")
    if page_with(all_mutants) != PAGE.read_text(encoding="utf-8"):
        wrong.append("docs/proof.md has another table; run dev/mutants/run.py --write")
    return wrong


class Build:
    """A copy of the sources with all mutants, and its programs."""

    def __init__(self, all_mutants, chosen, folder, cuda):
        self.folder, self.cuda = folder, cuda
        self.source, self.build = folder / "source", folder / ("cuda" if cuda else "host")
        self.copy(all_mutants)
        programs = {m.program for m in chosen}
        targets = {"fanin_program" if program.endswith(".py") else program for program in programs}
        include = f"-include {ROOT / 'dev/mutants/switch.h'}"
        options = ["-DFANIN_EXAMPLES=OFF", "-DFANIN_UNITY=ON", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
                   f"-DFANIN_CUDA={'ON' if cuda else 'OFF'}", f"-DCMAKE_CXX_FLAGS=-w {include}"]
        if cuda:  # the emulator executes PTX
            options += ["-DCMAKE_CUDA_ARCHITECTURES=90-virtual", f"-DCMAKE_CUDA_FLAGS=-w --no-compress {include}"]
        run = dict(check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cmake", "-G", "Ninja", "-S", self.source, "-B", self.build, *options], **run)
        subprocess.run(["cmake", "--build", self.build, "--target", *sorted(targets)], check=True)

    def copy(self, all_mutants):
        listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, text=True,
                                stdout=subprocess.PIPE).stdout.splitlines()
        by_file = {}
        for mutant in all_mutants:
            by_file.setdefault(mutant.file, []).append(mutant)
        for name in listed:
            original, copied = ROOT / name, self.source / name
            if not original.is_file():
                continue
            content = original.read_bytes()
            if name in ("tests/CMakeLists.txt", "cli/CMakeLists.txt"):  # quick to compile; slow loops are in the library
                content = b"set(CMAKE_CXX_FLAGS_RELEASE -O0)\n" + content
            if name in by_file:
                content = mutated(content.decode(), by_file[name]).encode()
            if copied.is_file() and copied.read_bytes() == content:
                continue  # the build need not make it again
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_bytes(content)
            shutil.copymode(original, copied)

    def command(self, program, tests, number):
        if program.endswith(".py"):
            return ["/usr/bin/python3", "-B", self.source / program, self.build / "bin/fanin", *tests]
        path = self.build / "tests" / program
        command = [path, f"--gtest_filter={':'.join(tests)}", "--gtest_brief=1"]
        if not self.cuda:
            return command
        patched = self.folder / f"{program}_mutant"
        content = path.read_bytes()
        here, there = (str(DEVICE_NUMBER + n).encode() for n in (0, number))
        if here not in content:
            raise SystemExit(f"{path} has no PTX with the switch of mutants")
        patched.write_bytes(content.replace(b"= " + here, b"= " + there))
        patched.chmod(0o755)
        return [os.environ["FANIN_EMULATOR"], patched, *command[1:]]

    def fails(self, program, tests, number):
        """Why the tests fail with this mutant, or an empty text if they pass."""
        environment = {**os.environ, "FANIN_MUTANT": str(number)}
        try:
            done = subprocess.run(self.command(program, tests, number), env=environment, cwd=self.folder, timeout=SECONDS,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        except subprocess.TimeoutExpired:
            return f"no end within {SECONDS} s"
        if done.returncode == 0:
            return ""
        return next((line.strip() for line in done.stdout.splitlines() if "Failure" in line or "Error" in line or "FAIL" in line),
                    f"status {done.returncode}")


def test(build, chosen):
    """The mutants that survive; exits if the tests fail without a mutant."""
    tests = {}
    for mutant in chosen:
        tests.setdefault(mutant.program, set()).update(mutant.filter.split(":"))
    for program, names in sorted(tests.items()):
        if reason := build.fails(program, sorted(names), 0):
            raise SystemExit(f"{program} {':'.join(sorted(names))} fails without a mutant: {reason}")
    survivors = []
    for mutant in chosen:
        start = time.monotonic()
        reason = build.fails(mutant.program, mutant.filter.split(":"), mutant.number)
        seconds = time.monotonic() - start
        print(f"{mutant.number:3} {'killed  ' if reason else 'SURVIVES'} {mutant.name:26} {seconds:5.1f} s  {reason}", flush=True)
        if not reason:
            survivors.append(mutant)
    return survivors


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of mutants, or beginnings of names")
    arguments = parser.parse_args()
    all_mutants = mutants()
    if arguments.write:
        PAGE.write_text(page_with(all_mutants), encoding="utf-8")
        return 0
    wrong = check(all_mutants)
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong or arguments.check:
        return 1 if wrong else 0

    chosen = [m for m in all_mutants if not arguments.only or m.name.startswith(tuple(arguments.only))]
    survivors, killed = [], 0
    for cuda in (False, True):
        here = [m for m in chosen if m.needs_device == cuda]
        if not here:
            continue
        if cuda and not ("FANIN_EMULATOR" in os.environ and shutil.which("nvcc")):
            print(f"{len(here)} mutants of device code are left out: they need nvcc and FANIN_EMULATOR")
            continue
        found = test(Build(all_mutants, here, ROOT / "build/mutants", cuda), here)
        survivors += found
        killed += len(here) - len(found)
    print(f"{killed} mutants killed, {len(survivors)} survive")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
