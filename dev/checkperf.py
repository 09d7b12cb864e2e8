#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the speed of host fills with that of an earlier commit, on this machine.

    dev/checkperf.py [COMMIT] [--rounds N] [--filter REGEX]

COMMIT is the one before HEAD by default. Both are built below build/checkperf, the working tree as it is, the commit in a
worktree of git. Each round runs every benchmark of fill_benchmark once with each build, in alternating order, so that
changes of the machine's clock affect both. Printed are the medians in 10^9 elements a second and their ratio. The exit
status is 1 if a ratio is below 0.9.

It needs an idle machine, and the packages that scripts/benchmark installs.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "checkperf"
LEAST_RATIO = 0.9
OPTIONS = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DFANIN_CUDA=OFF", "-DFANIN_BENCHMARKS=ON", "-DFANIN_TESTS=OFF",
           "-DFANIN_TOOLS=OFF", "-DFANIN_EXAMPLES=OFF", "-DFANIN_INSTALL=OFF"]


def run(*command):
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\ndev/checkperf.py: failed: {' '.join(map(str, command))}")
    return done.stdout


def built(source, build):
    """The benchmark program of a source tree."""
    print(f"Building {source}", file=sys.stderr)
    run("cmake", "-S", source, "-B", build, *OPTIONS)
    run("cmake", "--build", build, "--parallel", str(os.cpu_count()), "--target", "fill_benchmark")
    return build / "bench" / "fill_benchmark"


def rates(program, pattern):
    """Elements a second, by the benchmark's name."""
    output = subprocess.run([program, "--benchmark_format=json", "--benchmark_min_time=0.05", f"--benchmark_filter={pattern}"],
                            check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return {row["name"]: row["items_per_second"] for row in json.loads(output)["benchmarks"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", nargs="?", default="HEAD~1")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--filter", default=".*", help="which benchmarks, as a regular expression")
    options = parser.parse_args()

    commit = run("git", "rev-parse", "--verify", "--short", options.commit + "^{commit}").strip()
    tree = WORK / "source"
    if not tree.exists():
        run("git", "worktree", "prune")
        run("git", "worktree", "add", "--detach", tree, commit)
    run("git", "-C", tree, "checkout", "--quiet", "--detach", commit)
    programs = [built(tree, WORK / "before"), built(ROOT, WORK / "now")]

    samples = [{}, {}]
    for number in range(options.rounds):
        for which in ((0, 1) if number % 2 == 0 else (1, 0)):
            for name, rate in rates(programs[which], options.filter).items():
                samples[which].setdefault(name, []).append(rate)
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)

    failed = False
    print(f"{'':52} {commit:>9}   {'now':>9}   ratio")
    for name in samples[0]:
        if name not in samples[1]:
            print(f"{name:52} only before")
            continue
        before, now = (statistics.median(side[name]) for side in samples)
        slow = now / before < LEAST_RATIO and not name.startswith("memset")
        failed = failed or slow
        print(f"{name:52} {before / 1e9:9.3f}   {now / 1e9:9.3f}   {now / before:5.2f}{'  slower' if slow else ''}")
    for name in samples[1]:
        if name not in samples[0]:
            print(f"{name:52} only now")
    if not set(samples[0]) & set(samples[1]):
        sys.exit("dev/checkperf.py: nothing was compared")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
