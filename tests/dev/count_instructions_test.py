# SPDX-License-Identifier: Apache-2.0
"""Tests dev/sass: results and counts of small kernels, the functions of instructions, passes of memory accesses, bars, single roundings.
Exit status 77: there is no CUDA compiler or no disassembler."""

import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
from fractions import Fraction

sys.dont_write_bytecode = True
PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(PROJECT / "dev"))
from sass import build, count, disassembly, hardware, launch, lines, machine, memory_model  # noqa: E402

KERNEL = """
__device__ const unsigned table[4] = {3, 5, 7, 11};
extern "C" __global__ void small(unsigned* out, unsigned rounds) {
  __shared__ unsigned total;
  if (threadIdx.x == 0) total = 0;
  __syncthreads();
  unsigned x = threadIdx.x + blockIdx.x * blockDim.x;
#pragma unroll 1
  for (unsigned r = 0; r < rounds; ++r) x = x * 2654435761u + r;
  unsigned long long wide = (unsigned long long)x * table[x & 3];
  if (threadIdx.x % 3 == 0) {  // the warp's threads part and meet again
#pragma unroll 1
    for (unsigned r = 0; r < threadIdx.x % 5; ++r) wide = wide * 6364136223846793005ull + 1;
    atomicAdd(&total, (unsigned)wide);
  }
  __syncthreads();
  const float f = __fmaf_rn((float)(int)x, 1.1f, __uint2float_rn((unsigned)(wide >> 32)));
  out[threadIdx.x + blockIdx.x * blockDim.x] = total ^ __float_as_uint(f);
}
"""
BLOCKS, THREADS, ROUNDS = 3, 96, 17

# Accesses of one warp with known costs.
PATTERNS = """
extern "C" __global__ void patterns(unsigned* out, uint4* wide) {
  __shared__ uint4 quads[32 * 8];
  volatile unsigned* const words = reinterpret_cast<unsigned*>(quads);
  words[threadIdx.x * 2] = threadIdx.x;
  __syncwarp();
  atomicAdd(reinterpret_cast<unsigned*>(quads) + threadIdx.x % 4, threadIdx.x);
  __syncwarp();
  wide[threadIdx.x] = quads[threadIdx.x];
  if (threadIdx.x % 2 == 0) out[threadIdx.x * 16] = 1;
}
"""

# Functions in a header that are called, inlined and shared.
HEADER = """
namespace {
template <class T> __device__ __forceinline__ T stirred(T x) { return x * 2654435761u ^ x >> 7; }
__device__ __noinline__ unsigned alone(unsigned x) { return stirred(x) & x * 3; }
__device__ __noinline__ unsigned shared_by_both(unsigned x) { return x * x ^ x >> 3; }
__device__ __noinline__ unsigned resample(unsigned x) { return alone(x + 1) + shared_by_both(x); }
}  // namespace
"""
FUNCTIONS = """
#include "functions.cuh"
__global__ void entry(unsigned* out) {
  const auto made = [](unsigned x) { return resample(x) * 5; };
  out[threadIdx.x] = made(threadIdx.x) + shared_by_both(threadIdx.x + 1);
}
"""


def rounded(x):
    """A rational number as binary32 bits, with integer arithmetic; only for normal numbers and zero."""
    if x == 0:
        return 0
    n, e = abs(x), 0
    while n >= 1 << 24:
        n, e = n / 2, e + 1
    while n < 1 << 23:
        n, e = n * 2, e - 1
    m = int(n)
    rest = n - m
    m += rest > Fraction(1, 2) or rest == Fraction(1, 2) and m & 1
    return (0x80000000 if x < 0 else 0) + ((e + 150) << 23) + m - (1 << 23)


def expected():
    word, values = 0xFFFFFFFF, []
    for block in range(BLOCKS):
        total, xs = 0, []
        for thread in range(THREADS):
            x = thread + block * THREADS
            for r in range(ROUNDS):
                x = x * 2654435761 + r & word
            wide = x * (3, 5, 7, 11)[x & 3]
            if thread % 3 == 0:
                for _ in range(thread % 5):
                    wide = wide * 6364136223846793005 + 1 & (1 << 64) - 1
                total += wide & word
            xs.append((x, wide))
        for x, wide in xs:
            a, c = (machine.f32(rounded(Fraction(n))) for n in (machine.signed(x), wide >> 32))
            values.append(total & word ^ rounded(Fraction(a) * Fraction(machine.f32(rounded(Fraction(11, 10)))) + Fraction(c)))
    return b"".join(v.to_bytes(4, "little") for v in values)


def check_kernel(nvdisasm, arch, folder):
    source, cubin = folder / "small.cu", folder / f"small-{arch}.cubin"
    source.write_text(KERNEL)
    subprocess.run(["nvcc", "-lineinfo", "-cubin", f"-arch=sm_{arch}", str(source), "-o", str(cubin)], check=True)
    elf = disassembly.Cubin(cubin.read_bytes())
    function = disassembly.function(nvdisasm, cubin, "small")
    want = expected()
    base = 0x7E0000000000
    made = launch.Launch("small", BLOCKS, THREADS, 0, base.to_bytes(8, "little") + ROUNDS.to_bytes(4, "little"), base, bytes(len(want)))
    counts, memory = launch.execute(made, function, elf, hardware.ARCHITECTURES[arch], range(BLOCKS), [(base, bytes(len(want)))])
    assert bytes(memory) == want, f"sm_{arch}: wrong results"
    warps = BLOCKS * THREADS // 32
    issued = {i.opcode: [] for i in function.instructions}
    for i, n in zip(function.instructions, counts.issued):
        issued[i.opcode].append(n)
        if n:
            hardware.pipe_of(i)
    assert issued["BAR"] == [warps, warps], f"sm_{arch}: barriers {issued['BAR']}"
    assert sum(issued["STG"]) == warps, f"sm_{arch}: stores {issued['STG']}"
    # In the first loop's line, each instruction of the loop is issued once per round, and those around it once.
    loop = next(n for n, text in enumerate(KERNEL.splitlines(), 1) if "2654435761u" in text)
    source = lines.Source(elf, "small")
    on_line = [n for i, n in zip(function.instructions, counts.issued) if source.chain(i.address)[-1][2] == loop]
    assert max(on_line) == warps * ROUNDS, f"sm_{arch}: rounds {on_line}"
    # At most 11 of a warp's threads run the second loop, up to four times.
    inner = [n for i, n in zip(function.instructions, counts.issued) if "IMAD.WIDE" in i.text and n > warps]
    assert all(n <= 4 * warps for n in inner), f"sm_{arch}: divergent rounds {inner}"


def compiled(nvdisasm, arch, folder, name, text, kernel):
    source, path = folder / f"{name}.cu", folder / f"{name}-{arch}.cubin"
    source.write_text(text)
    subprocess.run(["nvcc", "-lineinfo", "-cubin", f"-arch=sm_{arch}", str(source), "-o", str(path)], check=True)
    cubin = disassembly.Cubin(path.read_bytes())
    assert cubin.kernels() == [kernel], cubin.kernels()
    return cubin, disassembly.function(nvdisasm, path, kernel)


def executed(cubin, function, arch, parameters, memory):
    base = 0x7E0000000000
    made = launch.Launch(function.name, 1, 32, 0, b"".join((base + p).to_bytes(8, "little") for p in parameters), base, bytes(memory))
    return launch.execute(made, function, cubin, hardware.ARCHITECTURES[arch], range(1), [])[0]


def check_patterns(nvdisasm, arch, folder):
    cubin, function = compiled(nvdisasm, arch, folder, "patterns", PATTERNS, "patterns")
    traffic = executed(cubin, function, arch, (0, 4096), 8192).traffic
    found = {(i.opcode, "128" in i.modifiers): tuple(counter.get(i.index, 0) for counter in (traffic.passes, traffic.sectors, traffic.partial))
             for i in function.instructions if i.index in traffic.passes and i.opcode != "LDC"}
    assert found == {("STS", False): (2, 0, 0),  # every second bank is used twice
                     ("ATOMS", False): (8, 0, 0),  # eight threads share each of four words
                     ("LDS", True): (4, 0, 0), ("STG", True): (4, 16, 0),
                     ("STG", False): (16, 16, 16)}, f"sm_{arch}: {found}"  # each access takes one line
    assert len(traffic.written) == 32


def check_functions(nvdisasm, arch, folder):
    (folder / "functions.cuh").write_text(HEADER)
    cubin, function = compiled(nvdisasm, arch, folder, "functions", FUNCTIONS, "_Z5entryPj")
    counts = executed(cubin, function, arch, (0,), 256)
    source = lines.Source(cubin, function.name)
    resampled = count.resampling(function, source, counts)
    names = {True: set(), False: set()}
    for i in function.instructions:
        if counts.issued[i.index]:
            chain = source.chain(i.address)
            names[i.index in resampled].add(chain[0][0])
            assert chain[-1][0] != "stirred" or chain[0][0] == "alone" and chain[-1][1] == "functions.cuh", chain
    assert names == {True: {"resample", "alone"}, False: {"entry", "shared_by_both"}}, f"sm_{arch}: {names}"


def check_extraction(folder):
    source, made = folder / "small.cu", folder / "small.o"
    source.write_text(KERNEL)
    code = ["--generate-code=arch=compute_90,code=[compute_90,sm_90]", "--generate-code=arch=compute_80,code=sm_80"]
    subprocess.run(["nvcc", "-c", *code, "--no-compress", str(source), "-o", str(made)], check=True)
    archive = b"!<arch>\n" + made.read_bytes() + b"?" + made.read_bytes()
    found = [(arch, disassembly.Cubin(cubin).kernels()) for arch, cubin in build.machine_code(archive)]
    assert sorted(found) == [(80, ["small"])] * 2 + [(90, ["small"])] * 2, found


def check_names():
    for mangled, name in {"_ZN5fanin3gpu10fill_smallENS0_10ParametersILj1024EEE": "fill_small", "_Z1fv": "f",
                          "_ZZN1a4fillIfEEvT_ENKUliE_clEi": "fill", "_ZNK1a5QuadsclIiEEjT_": "Quads", "_ZN1aplERKNS_1QES2_": "operator+",
                          "__cuda_sm20_div_u64": "__cuda_sm20_div_u64"}.items():
        assert lines.demangled([mangled])[mangled] == name, (mangled, lines.demangled([mangled]))


def check_memory_model():
    every = list(range(32))
    assert memory_model.shared(every, [4 * n for n in every], 4) == 1
    assert memory_model.shared(every, [0] * 32, 4) == 1
    assert memory_model.shared(every, [4 * 32 * n for n in every], 4) == 32
    assert memory_model.shared(every, [n for n in every], 1) == 1
    assert memory_model.shared(every, [8 * n for n in every], 8) == 2
    assert memory_model.shared([0, 31], [0, 8], 8) == 2  # these are in different halves
    assert memory_model.shared([0, 1], [0, 8], 8) == 1
    assert memory_model.shared(every, [32 * n for n in every], 16) == 8  # a quarter's eight threads meet in half of the banks
    assert memory_model.atomic([0] * 7, False) == 7
    assert memory_model.atomic([0] * 7 + [128] * 2, False) == 9
    assert memory_model.atomic([0] * 7 + [128] * 2, True) == 2
    assert memory_model.lines(every, [4 * n for n in every], 4) == 1
    assert memory_model.lines(every, [4 * n + 4 for n in every], 4) == 2
    assert memory_model.lines(every, [16 * n for n in every], 16) == 4
    assert memory_model.lines(every, [16 * n + 16 for n in every], 16) == 8
    sectors, partial = memory_model.sectors([4 * n + 4 for n in every], 4)
    assert (len(sectors), partial) == (5, 2)


def check_bars():
    def summary(all_, bound, unit=hardware.LSU):
        return dict(all=all_, main_loop=18, alu=11, bound_tb_s={unit: bound, "memory": 4.8}, binding=unit)

    unaligned = "HeNormal float32 2^28 unaligned"
    assert count.missed_bars({count.DENSE: summary(22, 4.2), unaligned: summary(30, 3.1)}) == []
    missed = count.missed_bars({count.DENSE: summary(22.4, 3.9), unaligned: summary(30, 2.7)})
    assert [m.partition(":")[0] for m in missed] == [count.DENSE, count.DENSE, unaligned], missed
    assert set(count.BARS) <= {w.name for w in count.WORKLOADS}


def check_roundings():
    draw = random.Random(1)
    for _ in range(20000):
        a, b, c = (machine.f32(draw.choice((0, 1 << 31)) + (draw.randrange(100, 150) << 23) + draw.randrange(1 << 23)) for _ in range(3))
        if draw.random() < 0.5:  # close to a tie
            c = machine.f32(machine.b32(a * b * 2.0 ** draw.choice((-25, -24, 23, 24, 25))))
        exact = Fraction(a) * Fraction(b) + Fraction(c)
        assert machine.fma32(a, b, c) == rounded(exact), (a, b, c)
    for n in list(range(100)) + [draw.randrange(1 << 64) for _ in range(2000)] + [(1 << 24) + 1, (1 << 24) + 3, (1 << 64) - 1]:
        assert machine.from_integer(n, False) == rounded(Fraction(n)), n
    for format_, decode in {"F16": lambda v: machine.decode(v, "F16"), "BF16": lambda v: machine.decode(v, "BF16")}.items():
        for pattern in range(1, 0x7BFF, 7):
            low, high = decode(pattern), decode(pattern + 1)
            e, m, largest = machine.FORMATS[format_]
            assert machine.narrow(low, e, m, largest) == pattern
            tie = (low + high) / 2
            assert machine.narrow(tie, e, m, largest) == pattern + (pattern & 1), (format_, pattern)


def main():
    if sys.version_info < (3, 10) or not shutil.which("nvcc"):
        return 77
    try:
        nvdisasm = build.find_nvdisasm(install=False)
    except disassembly.Refused as e:
        print(e)
        return 77
    check_roundings()
    check_names()
    check_memory_model()
    check_bars()
    with tempfile.TemporaryDirectory() as folder:
        check_extraction(pathlib.Path(folder))
        for arch in hardware.ARCHITECTURES:
            check_kernel(nvdisasm, arch, pathlib.Path(folder))
            check_patterns(nvdisasm, arch, pathlib.Path(folder))
            check_functions(nvdisasm, arch, pathlib.Path(folder))
    text = "R1, P0, desc[UR4][R2.64+0x10], c[0x0][0x28], `(.L_x_1)"
    assert disassembly.split_operands(text) == re.split(", ", text)
    print("the interpreter agrees with the arithmetic")
    return 0


if __name__ == "__main__":
    sys.exit(main())
