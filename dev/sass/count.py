# SPDX-License-Identifier: Apache-2.0
"""Verifies what a fill costs in machine instructions and what bounds it, on a GPU that need not be here (dev/sass/README.md).

The library is built, its launches are recorded, and some blocks of each are executed by an interpreter of machine code; what they
write is compared with the CPU back end, bit for bit. Counted is what is issued, and how the memory instructions' addresses fall on
banks, lines and sectors. Not a benchmark: nothing here is a time.

Exit status 1: an element differs, a kernel spills registers or uses local memory otherwise, or a figure misses its bar. 77: nvcc or nvdisasm cannot be had.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import functools
import json
import math
import os
import pathlib
import subprocess
import sys

from . import build, disassembly, hardware, launch, lines
from .disassembly import Refused

# Functions, by name, that handle rejected elements, with all that is inlined into them or called by them alone.
RESAMPLING = {"resample", "redo"}
PARTS = MAIN, RESAMPLED, WARP = ["main loop", "resampling", "per warp"]

# The reading of IMAD.WIDE that decides, and the other one (hardware.py).
TWO_SLOTS, ONE_SLOT = "FMA-heavy", "FMA-heavy, wide in one slot"
PORT, DRAM = "stores to L2", "memory"


@dataclasses.dataclass(frozen=True)
class Workload:
    """The fill of columns [0, part) of a matrix with `columns`; by default of all."""
    initializer: str
    dtype: str
    elements: int
    columns: int = 1024
    part: int = 0
    offset: int = 0  # of the addresses, in bytes
    pitch: int = 0  # elements from a row to the next one, if they are apart in memory
    copies: tuple = ()  # their dtypes

    @property
    def name(self):
        size = f"2^{self.elements.bit_length() - 1}" if self.elements & (self.elements - 1) == 0 else str(self.elements)
        layout = f" [:, :{self.part}] of {self.columns}" if self.part else ""
        names = " + ".join((self.dtype,) + self.copies)
        return (f"{self.initializer} {names} {size}{layout}" + (f" {self.pitch} apart" if self.pitch else "") +
                (" unaligned" if self.offset else ""))

    @property
    def sizes(self):
        """Of an element in each tensor."""
        return [{"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}.get(dtype, 1) for dtype in (self.dtype,) + self.copies]

    @property
    def size(self):
        """The bytes that are written for an element."""
        return sum(self.sizes)

    def words(self, elements, expected):
        """The workload program's arguments for so many elements."""
        count = self.part or self.columns
        return [self.initializer, self.dtype, elements // count, self.columns, 0, count, self.offset, self.pitch, expected, *self.copies]


LARGE, SMALL = 1 << 28, 1 << 20
WORKLOADS = [Workload("HeNormal", "float32", LARGE), Workload("HeNormal", "float32", SMALL), Workload("HeNormal", "float32", 1 << 16),
             Workload("HeNormal", "bfloat16", LARGE), Workload("HeNormal", "float64", LARGE), Workload("RandomNormal", "float32", LARGE),
             Workload("HeUniform", "float32", LARGE), Workload("HeUniform", "bfloat16", LARGE), Workload("HeUniform", "float64", LARGE),
             Workload("Zeros", "float32", LARGE),
             Workload("HeNormal", "float32", 1 << 26, 2048, 1024), Workload("HeNormal", "float32", 1 << 26, 512, 64),
             Workload("HeNormal", "float32", LARGE, offset=4), Workload("TruncatedNormal[1,2]", "float32", LARGE),
             Workload("HeNormal", "float32", LARGE, copies=("float32",)), Workload("HeNormal", "float32", LARGE, copies=("bfloat16",)),
             Workload("HeNormal", "bfloat16", LARGE, copies=("float32",)),
             Workload("HeNormal", "float32", LARGE, copies=("bfloat16", "float8_e4m3fn", "float16")),
             Workload("HeNormal", "float32", LARGE, offset=4, copies=("bfloat16",)),
             Workload("HeUniform", "float32", LARGE, copies=("float32",)), Workload("HeUniform", "float32", LARGE, copies=("bfloat16",)),
             Workload("HeNormal", "float32", 1 << 26, 512, 64, pitch=512), Workload("HeNormal", "float32", 1 << 26, 2048, 1024, pitch=2048),
             Workload("Zeros", "bfloat16", 1 << 26, 1024, 1024, pitch=2048)]

# An original and a copy of all of it, in each pair of dtypes that one pass can write, and each tensor alone; left out unless asked for.
NARROW = ("float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2")
PAIRS = [Workload(initializer, dtype, LARGE, copies=copies) for initializer in ("HeNormal", "HeUniform") for dtype in NARROW
         for copies in [()] + [(copy,) for copy in NARROW]]

# At most so many instructions for a pair, by those of that one of its tensors that takes more alone.
PAIR = 1.3

# On sm_90. At most: instructions per element. At least: TB/s. Ratio: how many times the rate of HeNormal float32 2^28 is this one's, by
# the lowest bounds of both, at most.
DENSE = "HeNormal float32 2^28"
BARS = {
    # `all` should be 22: it is 22.2, of which resampling takes 4.2.
    DENSE: {"all": 22.3, "main_loop": 18.5, "alu": 12, hardware.LSU: 4.0},
    "HeNormal bfloat16 2^28": {"all": 24},
    "HeUniform float32 2^28": {"all": 14.5},
    "HeNormal float32 2^26 [:, :1024] of 2048": {"ratio": 1.25},
    "HeNormal float32 2^26 [:, :64] of 512": {"ratio": 2},
    "HeNormal float32 2^28 unaligned": {"ratio": 1.4},
    "TruncatedNormal[1,2] float32 2^28": {"ratio": 6},
}
# Of a kernel, instructions that use local memory, once a share: 5 on sm_90 (149 on sm_80, 69 on sm_100).
LOCAL_MEMORY = 40

# Of a large tensor about so many elements are filled, which are launched as a large one is, twice: with so many for each warp.
SAMPLE = 1 << 21
FEW, MORE = 1 << 12, 1 << 13  # powers of two: whole batches of quads, as all but a few are in the launch itself
WARPS = 16  # blocks of so many warps of a launch are executed


class NotAccepted(Exception):
    """The library refuses the workload."""


@functools.lru_cache(None)
def code(nvdisasm, path, kernel):
    """(function, source, cubin) of a kernel; each process reads it once."""
    cubin = disassembly.Cubin(pathlib.Path(path).read_bytes())
    return disassembly.function(nvdisasm, path, kernel), lines.Source(cubin, kernel), cubin


def kernels_of(cubins):
    """By kernel: the cubin's path, sizes of its parameters."""
    found = {}
    for path in cubins:
        cubin = disassembly.Cubin(path.read_bytes())
        for kernel in cubin.kernels():
            found[kernel] = (path, [size for _, size in cubin.parameters(kernel)[0]])
    return found


def recorded(program, arch, processors, workload, elements, kernels, expected=True):
    """The launch of a fill on a device with so many multiprocessors, and by tensor the address and what it must write there."""
    tag = f"{os.getpid()}-{arch}"
    record, wanted, sizes = (build.BUILD / f"{tag}.{end}" for end in ("record", "expected", "sizes"))
    record.unlink(missing_ok=True)
    sizes.write_text("".join(f"{name} {' '.join(map(str, s))}\n" for name, (_, s) in kernels.items()))
    environment = dict(os.environ, COUNT_RECORD=str(record), COUNT_PARAMETERS=str(sizes), COUNT_MEMORY=str(int(expected)),
                       COUNT_DEVICE=f"{processors} 4 {arch // 10} {arch % 10}")
    command = [program] + workload.words(elements, wanted if expected else "-")
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    if done.returncode == 3:
        raise NotAccepted(done.stderr.strip())
    if done.returncode != 0:
        raise Refused(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    launches, contents, tensors = launch.read(record), wanted.read_bytes() if expected else b"", []
    for line in done.stdout.splitlines():
        address, size = line.split()
        tensors.append((int(address, 16), contents[:int(size)]))
        contents = contents[int(size):]
    for path in (record, wanted, sizes):
        path.unlink(missing_ok=True)
    if len(launches) > 1:
        raise Refused(f"{len(launches)} launches instead of one")
    return (launches or [None])[0], tensors


COMPLEMENT = bytes(255 - i for i in range(256))


def written(got, wanted, unlike, size):
    """How many elements were written. Refuses any that are neither what is wanted nor what was there."""
    total, step = 0, 256
    for at in range(0, len(wanted), step):
        piece = got[at:at + step]
        if piece == wanted[at:at + step]:
            total += len(piece) // size
        elif piece != unlike[at:at + step]:
            for n in range(at, at + len(piece), size):
                element = got[n:n + size]
                if element == wanted[n:n + size]:
                    total += 1
                elif element != unlike[n:n + size]:
                    raise Refused(f"element {n // size} is {element.hex()} instead of {wanted[n:n + size].hex()}: either the kernel is "
                                  "wrong, perhaps only in this order of its warps, or dev/sass/machine.py is")
    return total


def count(nvdisasm, program, arch, gpu, kernels, workload):
    """Executes some blocks of a workload. Returns plain data, since it may run in a process of its own."""
    try:
        return counted(nvdisasm, program, arch, gpu, kernels, workload)
    except Refused as e:
        raise Refused(f"{workload.name} on sm_{arch}: {e}") from e


def counted(nvdisasm, program, arch, gpu, kernels, workload):
    architecture, processors = hardware.ARCHITECTURES[arch], hardware.GPUS[gpu][1]
    real = recorded(program, arch, processors, workload, workload.elements, kernels, expected=False)[0]
    result = dict(arch=arch, workload=workload, rows=[], traffic=1.0, unevenness=1.0)
    if real is None:
        return result  # the library writes it without a kernel
    path, _ = kernels[real.kernel]
    function, source, cubin = code(nvdisasm, str(path), real.kernel)
    warps_per_block = real.threads // 32

    def executed(elements, processors):
        """What some blocks of a launch for so many multiprocessors issue, how many elements they write and warps they are."""
        made, tensors = recorded(program, arch, processors, workload, elements, kernels)
        if (made.kernel, made.threads, made.shared) != (real.kernel, real.threads, real.shared):
            raise Refused(f"a sample of {elements} elements is launched otherwise than all {workload.elements}: {made.kernel}, "
                          f"{made.threads} threads, {made.shared} bytes instead of {real.kernel}, {real.threads}, {real.shared}")
        blocks = min(max(WARPS // warps_per_block, 1), made.grid)
        before = [(address, wanted.translate(COMPLEMENT)) for address, wanted in tensors]
        counts, memory = launch.execute(made, function, cubin, architecture, range(blocks), before)
        elements = [written(memory[address - made.base:][:len(wanted)], wanted, unlike, size)
                    for (address, wanted), (_, unlike), size in zip(tensors, before, workload.sizes)]
        return counts, elements[0], blocks * warps_per_block

    if workload.elements <= SMALL:
        runs = [executed(workload.elements, processors)]
    else:
        per_processor = math.ceil(real.grid / processors)
        runs = []
        for n in (FEW, MORE):
            of_processor = n * per_processor * warps_per_block
            some = max(SAMPLE // of_processor, 1)
            runs.append(executed(some * of_processor, some))
    counts, done, warps = runs[-1]

    def measures(run, i):
        traffic = run.traffic
        return [run.issued[i], run.threads[i], traffic.passes.get(i, 0), traffic.sectors.get(i, 0), traffic.partial.get(i, 0)]

    of_a_warp = real.grid * warps_per_block / workload.elements  # warps for an element, in the real launch
    resampled = resampling(function, source, counts)
    for i, instruction in enumerate(function.instructions):
        if not counts.issued[i]:
            continue
        # For an element and, besides, once by a warp of the real launch, by the line through two runs.
        each, once = [n / done for n in measures(counts, i)], [0.0] * 5
        if len(runs) == 2:
            each = [(n - few) / (done - runs[0][1]) for n, few in zip(measures(counts, i), measures(runs[0][0], i))]
            once = [(n - e * done) / warps for n, e in zip(measures(counts, i), each)]
        chain = source.chain(instruction.address)
        pipe, slots = hardware.pipe_of(instruction)
        result["rows"].append(dict(
            address=instruction.address, text=instruction.text, opcode=instruction.opcode, part=RESAMPLED if i in resampled else MAIN, pipe=pipe,
            slots=slots, element=[32 * n for n in each], warp=[32 * n * of_a_warp for n in once], chain=chain))
    registers, static = cubin.registers(real.kernel), cubin.static_shared(real.kernel)
    fits, limit = architecture.occupancy(registers, static + real.shared, real.threads)
    issued = counts.schedulers if warps >= 4 else [1]
    result.update(kernel=real.kernel, threads=real.threads, grid=real.grid, shared=real.shared + static, registers=registers, fitting=fits,
                  limited_by=limit, local=local_memory(function, source), traffic=len(counts.traffic.written) * 32 / (done * workload.size),
                  unevenness=max(issued) * len(issued) / sum(issued))
    return result


def resampling(function, source, counts):
    """Indices of the executed instructions that handle rejected elements."""
    executed = [i for i in function.instructions if counts.issued[i.index]]
    owner = {i.index: source.symbol(i.address) for i in executed}
    inside = {i.index for i in executed if RESAMPLING & {step[0] for step in source.chain(i.address)}}
    calls = [(i.index, source.symbol(function.instructions[function.target(i)].address)) for i in executed if i.opcode == "CALL"]
    while True:
        # A function that is called from there alone is part of it.
        called = {name for _, name in calls} - {name for at, name in calls if at not in inside}
        more = {n for n, name in owner.items() if name in called} - inside
        if not more:
            return inside
        inside |= more


def local_memory(function, source):
    """By function, inlined or not, how many instructions use the threads' own memory: for spilled registers, arguments or arrays. Not only of
    those that were executed."""
    return collections.Counter(source.chain(i.address)[-1][0] for i in function.instructions if i.opcode in ("STL", "LDL"))


def summarise(result, gpu, clock):
    """Instructions per element by part and pipe, and the bounds that follow for a GPU."""
    architecture, workload = hardware.ARCHITECTURES[result["arch"]], result["workload"]
    _, processors, usual_clock, bandwidth = hardware.GPUS[gpu]
    parts, pipes, main_pipes, slots = (collections.Counter() for _ in range(4))
    totals, wide = [0.0] * 5, 0.0
    for row in result["rows"]:
        both = [e + w for e, w in zip(row["element"], row["warp"])]
        totals = [t + b for t, b in zip(totals, both)]
        parts[row["part"]] += row["element"][0]
        parts[WARP] += row["warp"][0]
        pipes[row["pipe"]] += both[0]
        if row["part"] == MAIN:
            main_pipes[row["pipe"]] += row["element"][0]
        for pipe in (hardware.FMA, hardware.HEAVY) if row["pipe"] == hardware.BOTH else (row["pipe"],):
            slots[pipe] += max(both[0], both[2]) if pipe == hardware.LSU else both[0] * row["slots"]
        wide += both[0] if row["slots"] == 2 else 0
    issued, active, passes, sectors, partial = totals
    slots["issue"] = issued * result["unevenness"]
    # binary32 arithmetic goes to either half of the FMA pipe, the rest to the heavy one alone.
    slots[hardware.FMA] += slots[hardware.HEAVY]
    # TB/s of written bytes, from what 32 elements take.
    per_cycle = processors * (clock or usual_clock) * 1e-3 * 32 * workload.size
    bounds = {unit: per_cycle * rate / slots[unit] for unit, rate in architecture.rates.items() if slots[unit] > 0}
    if hardware.HEAVY in bounds and wide:
        bounds[ONE_SLOT] = per_cycle * architecture.rates[hardware.HEAVY] / (slots[hardware.HEAVY] - wide)
    if sectors:
        bounds[PORT] = per_cycle * 64 / (32 * sectors)
    bounds[DRAM] = bandwidth * 1e-3 / result["traffic"]
    binding = min((b for b in bounds if b != ONE_SLOT), key=bounds.get)
    return dict(all=issued, main_loop=parts[MAIN], resampling=parts[RESAMPLED], per_warp=parts[WARP], alu=pipes[hardware.ALU], bound_tb_s=bounds,
                binding=binding, passes=slots[hardware.LSU], sectors=sectors, partial_sectors=partial, active=active / issued / 32 if issued else 1.0,
                pipes=dict(pipes), main_pipes=dict(main_pipes))


def missed_bars(summaries):
    """What is missed, and what could not be judged, on sm_90; summaries by workload."""
    missed = []
    for name, bars in BARS.items():
        for what, bar in bars.items():
            if name not in summaries:
                continue
            s = summaries[name]
            if what == "ratio":
                if DENSE not in summaries:
                    continue
                ratio = min_bound(summaries[DENSE]) / min_bound(s)
                if ratio > bar:
                    missed.append(f"{name}: {ratio:.2f} times as long for a byte as {DENSE}, by the lowest bounds; at most {bar:g}")
            elif what == hardware.LSU:
                if s["bound_tb_s"][what] < bar:
                    missed.append(f"{name}: the {what} allows {s['bound_tb_s'][what]:.2f} TB/s, at least {bar:g}")
            elif s[what] > bar:
                missed.append(f"{name}: {what} {s[what]:.2f}, at most {bar:g}")
    for workload in PAIRS:
        ratio = pair_ratio(workload, summaries)
        if ratio is not None and ratio > PAIR:
            missed.append(f"{workload.name}: {ratio:.2f} times the instructions of the larger of both alone, at most {PAIR:g}")
    return missed


def pair_ratio(workload, summaries):
    """The instructions of an original and its copies by those of the one that takes most alone; None if that has not been counted."""
    alone = [dataclasses.replace(workload, dtype=dtype, copies=()).name for dtype in (workload.dtype,) + workload.copies]
    if workload.name not in summaries or not workload.copies or any(name not in summaries for name in alone):
        return None
    return summaries[workload.name]["all"] / max(summaries[name]["all"] for name in alone)


def min_bound(summary):
    return summary["bound_tb_s"][summary["binding"]]


PIPES = [hardware.ALU, hardware.FMA, hardware.HEAVY, hardware.BOTH, hardware.XU, hardware.LSU, hardware.ADU, hardware.CBU,
         hardware.UNIFORM, hardware.FP64, hardware.NONE]


def print_table(header, rows):
    widths = [max(len(str(r[i])) for r in [header] + rows) for i in range(len(header))]
    for r in [header] + rows:
        print("  ".join(str(c).rjust(w) if i else str(c).ljust(w) for i, (c, w) in enumerate(zip(r, widths))).rstrip())


def number(x):
    return f"{x:.2f}" if x else "-"


def report(chosen, gpu, clock):
    _, processors, usual_clock, bandwidth = hardware.GPUS[gpu]
    print(f"\nper element, warp instructions times 32; {MAIN}: all that is neither resampling nor done once by a warp")
    print_table(["workload", MAIN, RESAMPLED, WARP, "all"] + PIPES + ["active"],
                [[r["workload"].name, number(s["main_loop"]), number(s["resampling"]), number(s["per_warp"]), number(s["all"])] +
                 [number(s["pipes"].get(p, 0)) for p in PIPES] + [f"{s['active']:.0%}"] for r, s in chosen])
    print("\nof these in the main loop")
    print_table(["workload", MAIN] + PIPES, [[r["workload"].name, number(s["main_loop"])] + [number(s["main_pipes"].get(p, 0)) for p in PIPES]
                                             for r, s in chosen])
    print("\nmemory, for 32 elements: passes through the load/store unit, 32-byte sectors stored, of these written in part; sectors'\n"
          "bytes by the elements'; the busiest scheduler by the mean")
    print_table(["workload", "passes", "sectors", "in part", "bytes", "scheduler"],
                [[r["workload"].name, number(s["passes"]), number(s["sectors"]), number(s["partial_sectors"]), f"{r['traffic']:.3f}",
                  f"{r['unevenness']:.3f}"] for r, s in chosen])
    by_name = {r["workload"].name: s for r, s in chosen}
    ratios = [(r["workload"].name, pair_ratio(r["workload"], by_name)) for r, _ in chosen]
    if any(ratio for _, ratio in ratios):
        print("\ninstructions of an original with its copies, by those of the one of them that takes most alone")
        print_table(["workload", "ratio"], [[name, f"{ratio:.3f}"] for name, ratio in ratios if ratio])
    print(f"\nbounds in TB/s of written bytes on a {gpu}: {processors} multiprocessors at {clock or usual_clock} GHz, {bandwidth} GB/s of memory")
    units = list(dict.fromkeys(u for _, s in chosen for u in s["bound_tb_s"]))
    print_table(["workload", "binding", "lowest"] + units,
                [[r["workload"].name, s["binding"], number(min_bound(s))] + [number(s["bound_tb_s"].get(u, 0)) for u in units] for r, s in chosen])
    print("\nresources")
    print_table(["workload", "kernel", "registers", "shared", "threads", "blocks", "blocks that fit an SM", "limited by"],
                [[r["workload"].name, lines.demangled([r["kernel"]])[r["kernel"]]] +
                 [r[k] for k in ("registers", "shared", "threads", "grid", "fitting", "limited_by")] for r, _ in chosen if r["rows"]])


def profile(result, most):
    """Instructions per element by inlined function: those of the function itself, and with all that it has inlined."""
    own, whole, passes = (collections.Counter() for _ in range(3))
    where, opcodes = collections.Counter(), collections.Counter()
    for row in result["rows"]:
        n = row["element"][0] + row["warp"][0]
        names = [step[0] for step in row["chain"]]
        own[names[-1]] += n
        passes[names[-1]] += row["element"][2] + row["warp"][2]
        for name in set(names):
            whole[name] += n
        where[(row["part"],) + row["chain"][-1]] += n
        opcodes[row["opcode"]] += n
    print(f"\n{result['workload'].name} on sm_{result['arch']}: functions, with all they inline; itself; passes of its own")
    for name, n in whole.most_common(most):
        print(f"  {n:7.2f} {own[name]:7.2f} {passes[name]:7.2f}  {name}")
    print("lines")
    for (part, name, file, line), n in where.most_common(most):
        print(f"  {n:7.2f}  {part:10}  {name} {file}:{line}")
    print("opcodes: " + ", ".join(f"{name} {n:.2f}" for name, n in opcodes.most_common(most)))


def parse(words):
    parser = argparse.ArgumentParser(prog="count_instructions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", type=lambda t: [int(a) for a in t.split(",")], default=sorted(hardware.ARCHITECTURES), help="default: all that are known")
    parser.add_argument("--workload", default="", help="only the one of this name, or those whose name contains it")
    parser.add_argument("--pairs", action="store_true", help="instead: each pair of dtypes of an original and a copy")
    parser.add_argument("--gpu", choices=sorted(hardware.GPUS), help="for the bounds; default: " + ", ".join(hardware.USUAL.values()))
    parser.add_argument("--clock", type=float, help="its clock in GHz")
    parser.add_argument("--profile", type=int, default=0, const=25, nargs="?", metavar="N", help="also the N functions, lines and opcodes that cost most")
    parser.add_argument("--listing", type=pathlib.Path, metavar="FOLDER", help="write every executed instruction with its count there")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--nvdisasm", help="where nvdisasm is")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args(words)
    unknown = set(arguments.arch) - set(hardware.ARCHITECTURES)
    if unknown:
        parser.error(f"architectures known are {', '.join(map(str, hardware.ARCHITECTURES))}")
    chosen = {hardware.GPUS[arguments.gpu][0]: arguments.gpu} if arguments.gpu else {}
    arguments.gpu_of = lambda arch: chosen.get(arch, hardware.USUAL[arch])
    known = PAIRS if arguments.pairs else WORKLOADS
    arguments.workloads = ([w for w in known if arguments.workload == w.name] or [w for w in known if arguments.workload in w.name])
    if not arguments.workloads:
        parser.error("workloads are " + "; ".join(w.name for w in known))
    return arguments


def main(words):
    arguments = parse(words)
    build.BUILD.mkdir(parents=True, exist_ok=True)
    nvdisasm = build.find_nvdisasm(arguments.nvdisasm)
    program, cubins = build.build(arguments.arch)
    failures, figures = [], {}
    with concurrent.futures.ProcessPoolExecutor(arguments.jobs) as pool:
        kernels = {arch: kernels_of(cubins[arch]) for arch in arguments.arch}
        jobs = {(arch, w): pool.submit(count, nvdisasm, program, arch, arguments.gpu_of(arch), kernels[arch], w)
                for arch in arguments.arch for w in arguments.workloads}
        for arch in arguments.arch:
            print(f"sm_{arch}. Executed by dev/sass/machine.py; the elements are the CPU's to the bit.", flush=True)
            gpu, chosen = arguments.gpu_of(arch), []
            for w in arguments.workloads:
                try:
                    result = jobs[arch, w].result()
                    chosen.append((result, summarise(result, gpu, arguments.clock)))
                except NotAccepted as e:
                    print(f"{w.name}: refused by the library: {e}")
                except Refused as e:
                    failures.append(str(e))
            if not chosen:
                continue
            report(chosen, gpu, arguments.clock)
            by_name = figures[f"sm_{arch}"] = {r["workload"].name: s for r, s in chosen}
            if arch == 90:
                failures += missed_bars(by_name)
            for kernel, local in {r["kernel"]: r["local"] for r, _ in chosen if r["rows"]}.items():
                if sum(local.values()) > LOCAL_MEMORY:
                    failures.append(f"sm_{arch}: {sum(local.values())} instructions of {lines.demangled([kernel])[kernel]} use local memory: in " +
                                    ", ".join(f"{name} {n}" for name, n in local.most_common(8)))
            for result, _ in chosen:
                if arguments.profile and result["rows"]:
                    profile(result, arguments.profile)
                if arguments.listing:
                    write_listing(arguments.listing, result)
            print()
    if arguments.json:
        one = arguments.arch[0] if len(arguments.arch) == 1 else None
        arguments.json.write_text(json.dumps(figures.get(f"sm_{one}", {}) if one else figures, indent=1) + "\n")
    for line in failures:
        print(f"missed: {line}")
    return 1 if failures else 0


def write_listing(folder, result):
    folder.mkdir(parents=True, exist_ok=True)
    name = "".join(c if c.isalnum() or c in "-^." else "-" for c in result["workload"].name)
    with open(folder / f"{name}-sm_{result['arch']}.txt", "w") as out:
        for row in result["rows"]:
            function, file, line = row["chain"][-1]
            out.write(f"{row['element'][0]:8.3f} {row['warp'][0]:8.3f} {row['element'][2]:8.3f} {row['part']:10} {row['pipe']:15} {function} {file}:{line} "
                      f"/*{row['address']:05x}*/ {row['text']}\n")


def command(words):
    """The program's exit status."""
    try:
        return main(words)
    except build.Missing as e:
        print(f"count_instructions: {e}", file=sys.stderr)
        return 77
    except Refused as e:
        print(f"count_instructions: {e}", file=sys.stderr)
        return 1
