# SPDX-License-Identifier: Apache-2.0
"""Which unit of a multiprocessor takes which instruction, how fast, and how many blocks fit.

Sources, by the letters used below:
 N  Nsight Compute's Kernel Profiling Guide, "Pipelines": ALU does logic, compares, integer operations but for IMAD and IMUL, and
    since Ampere fast conversions from binary32 to binary16; XU does transcendental functions and conversions between integers and
    floating point; ADU address divergence, constant loads and block barriers; CBU branches and convergence; LSU memory and shuffles.
    "Metrics Decoder", L1TEX: a request is worked off in wavefronts, which follow one another; a line has 128 bytes, a sector 32.
 F  G. Smith (NVIDIA), forums.developer.nvidia.com/t/302018: on GA100 the FMA pipe takes IMAD, IDP and binary32; on GH100 FMAheavy
    takes IMAD, IDP and binary32, FMAlite binary32 alone, and packed half precision both at once.
 T  CUDA C++ Programming Guide, "Throughput of Native Arithmetic Instructions": results per cycle and multiprocessor: integer
    multiplication 64 on 8.0, 9.0, 10.0; binary32 64, 128, 128; logic, compares, minima, shifts 64; population count, conversions 16;
    shuffles 32. "Compute Capabilities": four schedulers, each of which issues an instruction of a warp in a cycle, and warps are
    spread over them evenly; shared memory has 32 banks of 4 bytes a cycle.
 B  microbenchmarks of a B300 with Nsight Compute's counters, published on GitHub: LOP3, PRMT, SHF, FMNMX, ISETP, FSETP, SEL, I2FP, F2FP,
    VOTE 2 warp instructions per cycle, all on ALU; IMAD, IDP 2 on FMAheavy, IMAD.HI.U32 1; FFMA 4 on both; FFMA2 both at once;
    POPC, FLO, BREV, MUFU, F2I on XU; LDS, STS, LDG, STG, ATOMS, SHFL 1 on LSU; BAR, MATCH, S2R 0.5 on ADU; S2UR about 1 on uniform.
 P  G. Smith (NVIDIA), forums.developer.nvidia.com/t/77228: L1 and shared memory return 128 bytes a cycle; LDS.128 takes four requests
    (two where neighbouring threads have the same address, which is not modelled). t/49571: the tag stage looks up 4 lines a
    cycle (Volta), of 128 bytes each, with 4 sectors.
 D  data sheets of A100, H100, H200, B200: multiprocessors, clock, bandwidth of the memory.
 W  NVIDIA's A100 white paper: the second-level cache reads 5120 bytes a cycle, 64 for each multiprocessor's port.
 A  assumed: nothing found.

Of IMAD.WIDE nothing was found: it takes two slots of FMA-heavy as IMAD.HI does by B, or one as IMAD does. Both bounds are given, and the one with
two slots counts. A multiprocessor sends 64 bytes of stores a cycle to the second-level cache (A, from W's reads), in whole sectors.
"""

import math

from .disassembly import Refused

ALU, FMA, HEAVY, BOTH, XU, LSU, ADU, CBU, UNIFORM, FP64, NONE = (
    "ALU", "FMA", "FMA-heavy", "FMA both", "XU", "load/store unit", "ADU", "CBU", "uniform", "FP64", "none")

_TABLE = {
    ALU: "LOP3 PLOP3 IADD3 IADD ISETP FSETP FMNMX FMNMX3 HMNMX2 IMNMX VIMNMX VIMNMX3 VIADD VIADDMNMX SHF SEL FSEL PRMT LEA VOTE "  # N B
         "I2FP F2FP F2IP I2I SGXT BMSK IABS "  # B
         "MOV P2R R2P CS2R",  # A
    FMA: "FFMA FMUL FADD FSWZADD",  # F T
    HEAVY: "IMAD IMUL IDP",  # F
    BOTH: "HFMA2 HADD2 HMUL2 FFMA2 FMUL2 FADD2",  # F B
    XU: "MUFU POPC FLO BREV I2F F2I F2F FRND",  # N B
    LSU: "LDS STS ATOMS LDG STG ATOMG ATOM RED REDG LD ST LDL STL SHFL LDSM STSM MEMBAR CCTL FENCE",  # N B
    ADU: "LDC BAR B2R MATCH S2R REDUX",  # N B
    CBU: "BRA BRX BRXU CALL RET EXIT BSSY BSYNC BREAK WARPSYNC ENDCOLLECTIVE YIELD BMOV NANOSLEEP ELECT",  # N; ELECT, ENDCOLLECTIVE A
    UNIFORM: "R2UR S2UR ULDC LDCU VOTEU CREDUX",  # N B; and all whose names begin with U
    FP64: "DADD DMUL DFMA DSETP DMNMX",  # T
    NONE: "NOP DEPBAR ERRBAR LDGDEPBAR PREEXIT ACQBULK",  # A: they take an issue slot and nothing else
}
_PIPE = {opcode: pipe for pipe, opcodes in _TABLE.items() for opcode in opcodes.split()}


def pipe_of(instruction):
    """(pipe, slots of it)."""
    opcode = instruction.opcode
    pipe = _PIPE.get(opcode)
    if pipe is None and opcode.startswith("U"):
        pipe = UNIFORM
    if pipe is None:
        raise Refused(f"{instruction.text}: no pipe is known for {opcode}: add it to dev/sass/hardware.py, with a source")
    wide = opcode == "IMAD" and ("WIDE" in instruction.modifiers or "HI" in instruction.modifiers)
    return pipe, 2 if wide else 1


class Architecture:
    """Warp instructions per cycle and multiprocessor, of the load/store unit passes, and what a multiprocessor holds (Programming Guide,
    "Technical Specifications per Compute Capability")."""

    def __init__(self, name, fma, fma64, shared_kib, shared_base, driver):
        self.name, self.shared_per_sm, self.shared_base = name, shared_kib * 1024, shared_base
        self.driver = driver  # where in constant bank 0 the driver puts what
        self.rates = {"issue": 4, ALU: 2, FMA: fma, HEAVY: 2, XU: 0.5, LSU: 1, ADU: 0.5, UNIFORM: 1, FP64: fma64}
        self.registers, self.warps, self.blocks = 65536, 64, 32

    def occupancy(self, registers, shared, threads):
        """Blocks per multiprocessor: registers go by 256 to a warp, shared memory by 128 bytes and 1 KiB for the system."""
        warps = (threads + 31) // 32
        per_warp = math.ceil(registers * 32 / 256) * 256
        per_block = math.ceil((shared + 1024) / 128) * 128
        limits = {"warps": self.warps // warps, "blocks": self.blocks, "registers": self.registers // per_warp // warps,
                  "shared memory": self.shared_per_sm // per_block}
        by = min(limits, key=limits.get)
        return limits[by], by


# The driver's words are read off compiled code.
_AMPERE = dict(block=0x0, grid=0xC, local=0x20, stack=0x28, shared=0x18, parameters=0x40)
_HOPPER = dict(block=0x0, grid=0xC, local=0x20, stack=0x28, parameters=0x198)
_BLACKWELL = dict(block=0x360, grid=0x370, local=0x2F8, stack=0x37C, parameters=0x348)
ARCHITECTURES = {
    80: Architecture("sm_80", 2, 1, 164, 0, _AMPERE),  # one FMA pipe of 64 lanes
    90: Architecture("sm_90", 4, 2, 228, 0x400, _HOPPER),  # FMA-heavy and FMA-lite of 64 lanes each
    100: Architecture("sm_100", 4, 2, 228, 0x400, _BLACKWELL),
}

# Name: architecture, multiprocessors, clock in GHz, memory bandwidth in 10^9 bytes/s. Clocks are what the boards hold under load
# as far as their data sheets tell (A100, B200: boost; H200: 1.83, below its highest of 1.98).
GPUS = {
    "A100": (80, 108, 1.41, 2039),
    "H100": (90, 132, 1.83, 3350),
    "H200": (90, 132, 1.83, 4800),
    "B200": (100, 148, 1.85, 8000),
}
USUAL = {80: "A100", 90: "H200", 100: "B200"}
