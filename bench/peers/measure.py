#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures fanin's fills of host memory beside those of its rivals, in one run. bench/peers/run installs the rivals and
starts this program. Each rival is its own process, which waits, warm and pinned to one core. Each round runs every
measurement once, in a random order, one at a time."""
import argparse
import datetime
import json
import math
import os
import pathlib
import platform
import random
import subprocess
import sys
import time

import report
import rivals

FULL, QUICK, SMALL = 1 << 26, 1 << 22, 1 << 10  # elements
TOO_SLOW = 2.5  # seconds: a slower rival is measured on fewer elements, and the tables say so
LEAST = 0.02  # seconds: shorter runs are repeated


def arguments():
    parser = argparse.ArgumentParser(
        prog="bench/peers/run", description="Measures fanin's fills of host memory beside its rivals', in one run. Results: "
        "build/peers/results.md (to be read), results.json (every sample), cpu_rates.png (with --sizes).")
    parser.add_argument("--table", action="store_true", help="all rivals, and all of fanin's dtypes, distributions and targets, "
                        "at 2^26 elements; the bars. What is done if nothing else is asked for")
    parser.add_argument("--sizes", action="store_true", help="rate against size, 2^10 to 2^26 elements, and the plot")
    parser.add_argument("--threads", action="store_true", help="fanin and the ceiling on 1, 2, ... all cores")
    parser.add_argument("--small", action="store_true", help="time of 4 KiB fills")
    parser.add_argument("--all", action="store_true", help="all of these in one run")
    parser.add_argument("--quick", action="store_true", help="3 repetitions and at most 2^22 elements: a rehearsal, no result")
    parser.add_argument("--repetitions", type=int, metavar="N", help="default: 15")
    parser.add_argument("--only", metavar="NAMES", help="of the rivals only these: " + ", ".join(rivals.RIVALS))
    parser.add_argument("--core", type=int, help="where to measure; default: the last core that this process may use")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # only checks the arguments
    given = parser.parse_args()
    allowed = sorted(os.sched_getaffinity(0))
    if given.core is None:
        given.core = allowed[-1]
    if given.core not in allowed:
        parser.error(f"--core {given.core}: this process may use {allowed}")
    given.cores = [given.core] + [core for core in reversed(allowed) if core != given.core]
    if given.repetitions is None:
        given.repetitions = 3 if given.quick else 15
    if given.repetitions < 1:
        parser.error("--repetitions must be at least 1")
    given.only = [name.strip() for name in given.only.split(",")] if given.only else list(rivals.RIVALS)
    unknown = [name for name in given.only if name not in rivals.RIVALS]
    if unknown:
        parser.error(f"--only: there is no {', '.join(unknown)}; there are {', '.join(rivals.RIVALS)}")
    given.most = QUICK if given.quick else FULL
    if given.all:
        given.table = given.sizes = given.threads = given.small = True
    if not (given.sizes or given.threads or given.small):
        given.table = True
    return given


class Worker:
    """A rival in its own process; rivals.py lists the requests."""

    def __init__(self, name, given):
        self.name = name
        environment = {**os.environ, **rivals.ENVIRONMENT, **rivals.RIVALS[name].environment}
        if not name.startswith("fanin "):
            environment.pop("FANIN_CPU_TARGET", None)
        self.log = open(given.folder / "workers" / (name.replace(" ", "_") + ".log"), "w")
        self.process = subprocess.Popen(
            [sys.executable, rivals.__file__, name, ",".join(map(str, given.cores)), str(given.most)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment)
        first = self.read()
        self.version, self.cases = first["version"], first["cases"]

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"ended with status {self.process.wait()}; see {self.log.name}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.log.close()


class Measurement:
    """One case with one size and number of threads."""

    def __init__(self, worker, case, elements, threads=1):
        self.worker, self.case, self.wanted, self.elements, self.threads = worker, case, elements, elements, threads
        self.what, self.how, self.dtype, *_ = worker.cases[case]
        self.samples, self.on_core = [], []

    def which(self):
        columns = 1 << math.ceil(math.log2(self.elements) / 2)
        return [self.case, self.elements // columns, columns, self.threads]

    def prepare(self):
        full, self.elements = self.elements, min(self.elements, QUICK)
        seconds = self.worker.ask({"prepare": self.which()})["seconds"]
        while self.elements < full and seconds * 4 < TOO_SLOW:  # the next larger size must not take too long
            larger = self.elements * 4 if seconds * full / self.elements > TOO_SLOW else full
            self.elements = min(larger, full)
            seconds = self.worker.ask({"prepare": self.which()})["seconds"]
        self.repeats = max(1, math.ceil(LEAST / max(seconds, 1e-9)))

    def run(self):
        answer = self.worker.ask({"run": self.which(), "repeats": self.repeats})
        self.samples.append(answer["seconds"])
        self.on_core.append(answer["on core"])

    def result(self):
        return {"rival": self.worker.name, "what": self.what, "how": self.how, "dtype": self.dtype,
                "threads": self.threads, "wanted": self.wanted, "elements": self.elements,
                "repeats": self.repeats, "seconds": self.samples, "on core": self.on_core}


def wanted(worker, given):
    """(case, elements, threads) of each measurement of a rival, without duplicates."""
    few = sorted({1, min(2, len(given.cores))})
    counts = sorted({min(1 << j, len(given.cores)) for j in range(len(given.cores).bit_length() + 1)})
    found = {}
    one_target = worker.name.startswith("fanin ")
    for case, (what, how, dtype, threads, curve) in enumerate(worker.cases):
        main = curve and not one_target
        if given.table:
            for count in few if threads and main else [1]:
                found[case, given.most, count] = True
            if main and worker.name == "fanin":
                found[case, SMALL, 1] = True
        if given.sizes and main:
            for power in range(10, given.most.bit_length(), 2):
                found[case, 1 << power, 1] = True
        if given.threads and main and threads:
            for count in counts:
                found[case, given.most, count] = True
        if given.small and main:
            found[case, SMALL, 1] = True
    return list(found)


def say(text):
    print(text, file=sys.stderr, flush=True)


def start(given):
    """The workers that started, and the reasons of those that did not."""
    workers, left_out = [], {}
    for name in given.only:
        if name == "MKL forced" and not any(w.name == "MKL" and w.version.endswith("kernels: def") for w in workers):
            continue
        if name.startswith("fanin ") and not given.table:
            continue
        say(f"Starting {name}")
        try:
            workers.append(Worker(name, given))
        except Exception as problem:
            left_out[name] = str(problem)
            say(f"  left out: {problem}")
    return workers, left_out


def warm(workers, given, left_out):
    """Compiles, touches memory and finds the number of repeats of each run. Leaves out those that fail."""
    measurements = []
    for worker in workers:
        say(f"Warming up {worker.name}")
        for case in wanted(worker, given):
            measurement = Measurement(worker, *case)
            try:
                measurement.prepare()
                measurements.append(measurement)
            except Exception as problem:
                label = f"{worker.name}, {measurement.how}" + ("" if worker.process.poll() is None else " and what follows")
                left_out.setdefault(label, str(problem))
                say(f"  left out: {label}: {problem}")
                if worker.process.poll() is not None:
                    break
    return [m for m in measurements if m.worker.process.poll() is None]


def measure(measurements, given):
    order = random.Random(1)
    started = time.monotonic()
    for number in range(given.repetitions):
        order.shuffle(measurements)
        for measurement in measurements:
            measurement.run()
        done = time.monotonic() - started
        left = done / (number + 1) * (given.repetitions - number - 1)
        say(f"Round {number + 1} of {given.repetitions}; {left / 60:.1f} minutes left")


def first_line(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


# Widest first.
VECTORS = [("avx512f", "AVX-512"), ("avx2", "AVX2"), ("sse4_2", "SSE4.2"), ("sve", "SVE"), ("asimd", "NEON")]


def machine():
    """The machine and software that the figures come from."""
    info = {}
    with open("/proc/cpuinfo") as file:
        for line in file:
            key, _, value = line.partition(":")
            info.setdefault(key.strip(), value.strip())
    flags = info.get("flags", info.get("Features", "")).split()
    family = f", family {info['cpu family']} model {info['model']}" if "cpu family" in info else ""
    pages = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return {
        "processor": info.get("model name", platform.machine()) + family,
        "vector instructions": next((name for flag, name in VECTORS if flag in flags), "no vector instructions known"),
        "virtual": "hypervisor" in flags,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}",
        "huge pages": pages.read_text().split("[")[1].split("]")[0] if pages.exists() else "?",
        "compiler": first_line("c++", "--version"),
        "python": platform.python_version(),
    }


def main():
    given = arguments()
    if given.check:
        return
    given.folder = rivals.PROJECT / "build/peers"
    (given.folder / "workers").mkdir(parents=True, exist_ok=True)
    notes = given.folder / "not_installed.txt"
    begun = time.monotonic()
    workers, left_out = start(given)
    try:
        measurements = warm(workers, given, left_out)
        measure(measurements, given)
    finally:
        for worker in workers:
            worker.close()
    data = {
        "date": datetime.date.today().isoformat(),
        "command": "bench/peers/run " + " ".join(sys.argv[1:]),
        "commit": first_line("git", "-C", str(rivals.PROJECT), "describe", "--always", "--dirty"),
        "minutes": (time.monotonic() - begun) / 60,
        "repetitions": given.repetitions,
        "quick": given.quick,
        "most": given.most,
        "cores": given.cores,
        "machine": machine(),
        "versions": {worker.name: worker.version for worker in workers},
        "left out": left_out,
        "not installed": notes.read_text().splitlines() if notes.exists() else [],
        "results": [m.result() for m in sorted(measurements, key=lambda m: (m.worker.name, m.case, m.wanted, m.threads))],
    }
    (given.folder / "results.json").write_text(json.dumps(data, indent=1) + "\n")
    text = report.markdown(data)
    (given.folder / "results.md").write_text(text)
    if given.sizes:
        report.plot(data, given.folder / "cpu_rates.png")
    print(text)
    say(f"Written to {given.folder}: results.md, results.json" + (", cpu_rates.png" if given.sizes else ""))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
