# SPDX-License-Identifier: Apache-2.0
"""Executes a kernel's machine code (SASS of sm_80 to sm_100), warp by warp, and counts what is issued.

NVIDIA documents opcodes by a line each; what is here was read off compiled code and is held to by results: the caller
compares every element that a counted kernel wrote with the library's CPU back end. What is not known is refused. A warp
whose threads diverge runs one path after the other until they meet at the barrier that the compiler placed (BSSY, BSYNC),
as the hardware does since sm_70; a warp instruction counts as issued once, however many of its threads are active
or held back by a predicate.
"""

import bisect
import math
import re
import struct
from fractions import Fraction

from . import memory_model
from .disassembly import Refused

WORD = 0xFFFFFFFF
LONG = 0xFFFFFFFFFFFFFFFF
ALL = 0xFFFFFFFF
# The high words of generic addresses in shared and in a thread's own memory; the driver chooses them.
SHARED_WINDOW, LOCAL_WINDOW = 0x7F01, 0x7F02

_pack_i, _pack_f = struct.Struct("<I").pack, struct.Struct("<f").pack
_unpack_i, _unpack_f = struct.Struct("<I").unpack, struct.Struct("<f").unpack
_pack_q, _pack_d = struct.Struct("<Q").pack, struct.Struct("<d").pack
_unpack_q, _unpack_d = struct.Struct("<Q").unpack, struct.Struct("<d").unpack


def f32(bits):
    return _unpack_f(_pack_i(bits))[0]


def b32(value):
    """Rounded to nearest even."""
    if value != value:
        return 0x7FFFFFFF
    try:
        return _unpack_i(_pack_f(value))[0]
    except OverflowError:
        return 0xFF800000 if value < 0 else 0x7F800000


def f64(bits):
    return _unpack_d(_pack_q(bits))[0]


def b64(value):
    return 0xFFF8000000000000 if value != value else _unpack_q(_pack_d(value))[0]


_many = [(struct.Struct(f"<{n}I"), struct.Struct(f"<{n}f")) for n in range(33)]


def floats(words):
    """f32 of each, faster."""
    integers, numbers = _many[len(words)]
    return numbers.unpack(integers.pack(*words))


def words32(values):
    """b32 of each, faster."""
    total = sum(values)
    if total == total:
        integers, numbers = _many[len(values)]
        try:
            return list(integers.unpack(numbers.pack(*values)))
        except OverflowError:
            pass
    return [b32(v) for v in values]


def unrounded(a, b, c):
    """a * b + c of binary32 numbers as one of binary64 that rounds to the right one: the sum is rounded to odd."""
    p = a * b
    s = p + c
    t = s - p
    e = (p - (s - t)) + (c - t)
    # Infinite sums and NaN have an e that is NaN.
    if e != 0 and e == e and not b64(s) & 1:
        s = math.nextafter(s, math.inf if e > 0 else -math.inf)
    return s


def fma32(a, b, c):
    """binary32 a * b + c rounded once."""
    return b32(unrounded(a, b, c))


def fma64(a, b, c):
    if not all(map(math.isfinite, (a, b, c))):
        return b64(a * b + c)
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return b64(a * b + c)  # the sign of zero
    return b64(float(exact))


def signed(x):
    return x - (1 << 32) if x >> 31 else x


def signed64(x):
    return x - (1 << 64) if x >> 63 else x


def lut3(table, a, b, c):
    out = 0
    for i in range(8):
        if table >> i & 1:
            out |= (a if i & 4 else ~a) & (b if i & 2 else ~b) & (c if i & 1 else ~c)
    return out & WORD


def lut_expression(table, a, b, c):
    """The three-input logic function of a table as Python on non-negative words, and short where it is a common one."""
    common = {0xC0: f"({a}&{b})", 0xFC: f"({a}|{b})", 0x3C: f"({a}^{b})", 0x96: f"({a}^{b}^{c})", 0xF8: f"({a}|{b}&{c})", 0xEA: f"({a}&{b}|{c})",
              0xFE: f"({a}|{b}|{c})", 0x80: f"({a}&{b}&{c})", 0x33: f"({b}^{WORD})", 0x0F: f"({a}^{WORD})",
              0xC3: f"({a}^{b}^{WORD})", 0x0C: f"(({a}^{WORD})&{b})", 0x30: f"({a}&({b}^{WORD}))"}
    # Bit i of the table answers a = bit 2, b = bit 1, c = bit 0 of i.
    return common.get(table, f"lut3({table},{a},{b},{c})")


for _table in range(256):
    assert eval(lut_expression(_table, "0xF0", "0xCC", "0xAA")) & 255 == _table


def prmt(a, selector, b, mode=None):
    """Bytes of b:a chosen by the selector's nibbles; bit 3 of a nibble spreads the byte's sign."""
    if mode is not None:
        raise Refused(f"PRMT.{mode}")
    both, out = b << 32 | a, 0
    for i in range(4):
        n = selector >> 4 * i & 15
        byte = both >> 8 * (n & 7) & 255
        if n & 8:
            byte = 255 if byte & 128 else 0
        out |= byte << 8 * i
    return out


def shf(low, shift, high, right, kind, top, wrap):
    wide = kind.endswith("64")
    if wrap:
        shift &= 63 if wide else 31
    else:
        shift = min(shift, 64 if wide else 32)
    value = high << 32 | low
    if right:
        if top:
            # The high word alone is shifted; the low one is no part of it.
            return (signed(high) >> min(shift, 63) if kind[0] == "S" else high >> shift) & WORD
        return (signed64(value) >> shift if kind[0] == "S" else value >> shift) & WORD
    value <<= shift
    return value >> 32 & WORD if top else value & WORD


def flo(x, kind, shift_amount):
    if kind == "S32" and x >> 31:
        x ^= WORD
    if x == 0:
        return WORD
    top = x.bit_length() - 1
    return 31 - top if shift_amount else top


COMPARE = {"EQ": "{a}=={b}", "NE": "{a}!={b}", "LT": "{a}<{b}", "LE": "{a}<={b}", "GT": "{a}>{b}", "GE": "{a}>={b}"}
STRUCTS = {size: struct.Struct(f"<{size // 4}I") for size in (4, 8, 16)}
SIZES = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16}


def narrow(value, exponent_bits, mantissa_bits, largest):
    """Bits of a binary32 number as a small format, to nearest even; beyond its range the largest there is."""
    bits = b32(value)
    sign = bits >> 31 << (exponent_bits + mantissa_bits)
    magnitude = abs(value)
    if magnitude != magnitude:
        raise Refused("a conversion of NaN")
    bias = (1 << (exponent_bits - 1)) - 1
    if magnitude == 0:
        return sign
    if magnitude == math.inf:
        return sign | largest
    exponent = max(math.frexp(magnitude)[1] - 1, 1 - bias)
    scaled = round(math.ldexp(magnitude, mantissa_bits - exponent))  # Python rounds to nearest even
    pattern = scaled + ((exponent + bias - 1) << mantissa_bits)
    return sign | min(pattern, largest)


FORMATS = {"F16": (5, 10, 0x7C00), "BF16": (8, 7, 0x7F80), "E4M3": (4, 3, 0x7E), "E5M2": (5, 2, 0x7B)}


class Memory:
    """Allocations of a device's global memory."""

    def __init__(self):
        self.bases, self.arrays = [], []

    def add(self, base, data):
        at = bisect.bisect(self.bases, base)
        self.bases.insert(at, base)
        self.arrays.insert(at, data)

    def find(self, address, size, write=False):
        at = bisect.bisect(self.bases, address) - 1
        if at >= 0:
            offset = address - self.bases[at]
            if offset + size <= len(self.arrays[at]):
                if address % size:
                    raise Refused(f"misaligned access of {size} bytes at {address:#x}")
                return self.arrays[at], offset
        raise Refused(f"access of {size} bytes outside every allocation: {address:#x}")


LANES = {}


def lanes(mask):
    found = LANES.get(mask)
    if found is None:
        found = LANES[mask] = tuple(i for i in range(32) if mask >> i & 1)
    return found


class Warp:
    def __init__(self, block, number, threads):
        self.block, self.number = block, number
        self.r = [[0xDEADBEEF] * 32 for _ in range(256)]
        self.p = [0] * 7 + [ALL]
        self.u = [0] * 256
        self.up = [0] * 7 + [1]
        self.b = [0] * 32
        self.alive = (1 << threads) - 1
        self.groups = [[0, self.alive]]  # paths that can run: where, and which threads
        self.waiting = []                # paths that cannot: where they go on, which threads, and what for
        self.local = {}

    def resume(self):
        """Moves paths whose wait is over to those that can run."""
        again = True
        while again:
            again = False
            for kind in {w[2] for w in self.waiting if w[2] != "block"}:
                here = [w for w in self.waiting if w[2] == kind]
                arrived = 0
                for w in here:
                    arrived |= w[1]
                wanted = self.b[kind[1]] if kind[0] == "converge" else kind[1] & self.alive
                if arrived & wanted == wanted:
                    self.waiting = [w for w in self.waiting if w[2] != kind]
                    places = {}
                    for w in here:
                        places[w[0]] = places.get(w[0], 0) | w[1]
                    if kind[0] == "collective" and len(places) > 1:
                        raise Refused("threads meet for WARPSYNC.COLLECTIVE in several places")
                    self.groups += [[at, mask] for at, mask in places.items()]
                    again = True


class Block:
    def __init__(self, index, threads, shared):
        self.index, self.threads = index, threads
        self.shared = bytearray(b"\xcb" * shared)
        self.warps = [Warp(self, i, min(32, threads - 32 * i)) for i in range((threads + 31) // 32)]

    def barrier(self):
        """Releases the block's barrier if every thread that is left waits there."""
        for w in self.warps:
            at = 0
            for wait in w.waiting:
                at |= wait[1] if wait[2] == "block" else 0
            if at != w.alive:
                return
        for w in self.warps:
            w.groups += [[at, mask] for at, mask, kind in w.waiting if kind == "block"]
            w.waiting = [wait for wait in w.waiting if wait[2] != "block"]


class Compiler:
    """Turns instructions into Python functions f(w, m, L): a warp, the mask of the active threads, their numbers."""

    def __init__(self, function, constants, shared_start, shared_end, spaces, traffic):
        self.function, self.constants, self.traffic = function, constants, traffic
        self.shared_start, self.shared_end = shared_start, shared_end
        self.names = {"f32": f32, "b32": b32, "f64": f64, "b64": b64, "fma32": fma32, "floats": floats, "words32": words32, "unrounded": unrounded, "fma64": fma64, "signed": signed,
                      "signed64": signed64, "lut3": lut3, "prmt": prmt, "shf": shf, "flo": flo, "narrow": narrow, "math": math,
                      "memory": spaces, "lanes": lanes, "Refused": Refused, "load": self.load, "store": self.store,
                      "atomic": self.atomic, "from_bytes": int.from_bytes, "special": special, "shuffle": shuffle,
                      "constant": self.constant, "to_integer": to_integer, "from_integer": from_integer, "fmnmx": fmnmx, "hmnmx": hmnmx,
                      "dot": dot, "reciprocal": reciprocal}

    def compile(self, i):
        """(function, kind, guard, target) of an instruction."""
        try:
            body, kind, extra = self.instruction(i)
        except (IndexError, KeyError, ValueError, AttributeError) as e:
            raise Refused(f"cannot read the operands: {e!r}") from e
        exec("def step(w, m, L):\n  r=w.r; p=w.p; u=w.u; up=w.up\n" + "".join(f"  {line}\n" for line in body), self.names)
        return self.names["step"], kind, self.guard(i), extra

    @staticmethod
    def guard(i):
        """(is uniform, register, is negated), or None."""
        match = i.guard and re.match(r"(!?)(U?)P(\w)$", i.guard)
        if not match:
            return None
        return match.group(2) == "U", 7 if match.group(3) == "T" else int(match.group(3)), match.group(1) == "!"

    # Operands ------------------------------------------------------------------------------------

    def constant(self, bank, offset, size=4):
        data = self.constants.get(bank)
        if data is None or offset + size > len(data) or offset < 0:
            raise Refused(f"read of c[{bank:#x}][{offset:#x}], which nothing has set")
        return int.from_bytes(data[offset:offset + size], "little")

    def word(self, text, part=0, kind="int"):
        """A 32-bit source as a Python expression; part 1 is the high half of a 64-bit one. kind: int, float or double."""
        match = re.match(r"([-~]?)(\|?)([-~]?)(.*?)(\|?)$", text)
        sign = match.group(1) or match.group(3)
        absolute = match.group(2) == "|"
        core = match.group(4)
        selector = ""
        if re.match(r"U?R(\d|Z)", core):
            core, _, selector = core.partition(".")
        if selector not in ("", "64", "U32"):
            raise Refused(f"operand {text}")
        register = re.match(r"(U?)R(\d+|Z)$", core)
        if register:
            number = register.group(2)
            if number == "Z":
                value = "0"
            elif register.group(1):
                value = f"u[{int(number) + part}]"
            else:
                value = f"r[{int(number) + part}][l]"
        elif core.startswith("c["):
            value = self.constant_expression(core, part)
        elif re.match(r"c?x?\[", core):
            raise Refused(f"operand {text}")
        else:
            full = text[1:] if absolute else text
            value, sign = self.immediate(full.strip("|"), part, kind), ""
        if absolute:
            value = f"({value}&0x7fffffff)"
        if sign == "~":
            return f"({value}^{WORD})"
        if sign == "-":
            if kind == "float":
                return f"({value}^0x80000000)"
            if kind == "double":
                return f"({value}^0x80000000)" if part else value
            return f"(-{value}&{WORD})"
        return value

    def constant_expression(self, text, part=0):
        match = re.match(r"c\[(0x[0-9a-f]+)\]\[(?:(R\d+|RZ|UR\d+|URZ)\+?)?(-?0x[0-9a-f]+)?\]$", text)
        if not match:
            raise Refused(f"operand {text}")
        bank, register, offset = int(match.group(1), 16), match.group(2), int(match.group(3) or "0", 16) + 4 * part
        if register is None or register.endswith("Z"):
            return str(self.constant(bank, offset))
        return f"constant({bank},({self.word(register)}+{offset})&{WORD})"

    @staticmethod
    def immediate(text, part, kind):
        named = {"+INF": math.inf, "-INF": -math.inf, "INF": math.inf}
        if re.match(r"-?0x[0-9a-f]+$", text):
            value = int(text, 16)
            return str((value if part == 0 else value >> 32) & WORD)
        if text in named or re.match(r"-?\d+(\.\d*)?(e[-+]?\d+)?$", text) or "QNAN" in text:
            if kind == "int":
                if re.match(r"-?\d+$", text):
                    return str(int(text) >> 32 * part & WORD)
                raise Refused(f"operand {text}")
            if "QNAN" in text:
                return str(0x7FFFFFFF)
            value = named.get(text, None)
            value = float(text) if value is None else value
            if kind == "double":
                return str(b64(value) >> 32 * part & WORD)
            return str(b32(value))
        raise Refused(f"operand {text}")

    def pair(self, text, kind="int"):
        """A 64-bit source."""
        if text.lstrip("-") in ("RZ", "URZ"):
            return "0"
        if kind == "int" and re.match(r"-?0x", text):
            return str(int(text, 16) & LONG)
        if kind == "double" and not re.match(r"[-|~]*(U?R\d|c\[)", text):
            return str(int(self.immediate(text, 1, "double")) << 32)
        if kind == "int" and text.startswith("-"):
            return f"(-({self.word(text[1:])}|{self.word(text[1:], 1)}<<32)&{LONG})"
        return f"({self.word(text, 0, kind)}|{self.word(text, 1, kind)}<<32)"

    @staticmethod
    def predicate(text, uniform_context=False):
        """A predicate source as a Python truth value."""
        match = re.match(r"(!?)(U?)P(\d|T)$", text)
        if not match:
            raise Refused(f"operand {text}")
        if match.group(3) == "T":
            return "0" if match.group(1) else "1"
        value = f"up[{match.group(3)}]" if match.group(2) else f"(p[{match.group(3)}]>>l&1)"
        return f"(1-{value})" if match.group(1) else value

    @staticmethod
    def is_predicate(text):
        return re.match(r"!?U?P(\d|T)$", text) is not None

    # Results -------------------------------------------------------------------------------------

    @staticmethod
    def to_register(destination, expression, part=0):
        """Lines that assign an expression in l to a register."""
        match = re.match(r"(U?)R(\d+|Z)", destination)
        if not match:
            raise Refused(f"destination {destination}")
        if match.group(2) == "Z":
            return []
        number = int(match.group(2)) + part
        if match.group(1):
            return ["l=L[0]", f"u[{number}]={expression}"]
        return [f"if m=={ALL}: r[{number}]=[{expression} for l in range(32)]",
                "else:", f"  d=[{expression} for l in L]", f"  t=r[{number}]", "  for l,x in zip(L,d): t[l]=x"]

    def to_pair(self, destination, expression):
        """The same for a 64-bit result."""
        match = re.match(r"(U?)R(\d+|Z)", destination)
        if match.group(2) == "Z":
            return []
        number = int(match.group(2))
        if match.group(1):
            return ["l=L[0]", f"x={expression}", f"u[{number}]=x&{WORD}; u[{number + 1}]=x>>32&{WORD}"]
        return [f"d=[{expression} for l in L]", f"if m=={ALL}: r[{number}]=[x&{WORD} for x in d]; r[{number + 1}]=[x>>32&{WORD} for x in d]",
                "else:", f"  t=r[{number}]; s=r[{number + 1}]", f"  for l,x in zip(L,d): t[l]=x&{WORD}; s[l]=x>>32&{WORD}"]

    @staticmethod
    def to_predicate(destination, expression):
        match = re.match(r"(U?)P(\d|T)$", destination)
        if not match:
            raise Refused(f"destination {destination}")
        if match.group(2) == "T":
            return []
        if match.group(1):
            return ["l=L[0]", f"up[{match.group(2)}]=1 if {expression} else 0"]
        return [f"x=sum([1<<l for l in L if {expression}])", f"p[{match.group(2)}]=p[{match.group(2)}]&~m|x"]

    def simultaneous(self, *assignments):
        """Several results of one instruction, all of them computed before any is written."""
        lines, late = [], []
        for n, (destination, expression) in enumerate(assignments):
            if re.match(r"U?(R|P)[TZ]$", destination):
                continue
            lines.append(f"v{n}={{l:({expression}) for l in L}}")
            writer = self.to_predicate if self.is_predicate(destination) else self.to_register
            late += writer(destination, f"v{n}[l]")
        return lines + late

    # Instructions --------------------------------------------------------------------------------

    def instruction(self, i):
        """(lines, kind, extra); kind tells the interpreter what may change the flow of control."""
        name = i.opcode
        method = getattr(self, "op_" + name, None)
        if method is None and name.startswith("U"):
            method = getattr(self, "op_" + name[1:], None)
        if method is None:
            raise Refused(f"{i.text}: opcode {name} is not known to dev/sass/machine.py")
        result = method(i, i.modifiers, i.operands)
        return result if isinstance(result, tuple) else (result, "plain", None)

    def op_NOP(self, i, mods, ops):
        return ["pass"]

    op_YIELD = op_NANOSLEEP = op_MEMBAR = op_ERRBAR = op_DEPBAR = op_CCTL = op_LDGDEPBAR = op_FENCE = op_PREEXIT = op_NOP
    op_ACQBULK = op_ENDCOLLECTIVE = op_NOP

    def op_MOV(self, i, mods, ops):
        if set(mods) - {"64", "SPILL"}:
            raise Refused(i.text)
        if "64" in mods:
            return self.to_pair(ops[0], self.pair(ops[1]))
        relocated = re.match(r"32@(lo|hi)\((.*)\)$", ops[1])
        if relocated:
            label = relocated.group(2).strip("`()")
            number = self.function.labels.get(label.split("+")[0].strip())
            if number is None:
                raise Refused(i.text)
            address = self.function.instructions[number].address
            return self.to_register(ops[0], str(address if relocated.group(1) == "lo" else 0))
        return self.to_register(ops[0], self.word(ops[1]))

    def op_IADD3(self, i, mods, ops):
        if set(mods) - {"X", "64"}:
            raise Refused(i.text)
        wide, bits = "64" in mods, 64 if "64" in mods else 32
        at = 1
        while self.is_predicate(ops[at]):
            at += 1
        carries, sources, carry_in = ops[1:at], ops[at:at + 3], ops[at + 3:]
        terms = []
        for s in sources:
            if s.startswith("-") and not re.match(r"-0x|-\d", s):  # a two's complement that carries out when the number is 0
                positive = self.pair(s[1:]) if wide else self.word(s[1:])
                terms.append(f"(({positive})^{(1 << bits) - 1})+1")
            else:
                terms.append(self.pair(s) if wide else self.word(s))
        if "X" in mods:
            terms += [self.predicate(c) for c in carry_in]
        elif carry_in:
            raise Refused(i.text)
        total = "+".join(f"({t})" for t in terms)
        if not [c for c in carries if not c.endswith("PT")]:
            return self.to_pair(ops[0], f"({total})&{LONG}") if wide else self.to_register(ops[0], f"({total})&{WORD}")
        if wide:
            raise Refused(i.text)
        results = [(ops[0], f"({total})&{WORD}")]
        results += [(c, f"({total})>>{bits}>={n + 1}") for n, c in enumerate(carries)]
        return self.simultaneous(*results)

    def op_VIADD(self, i, mods, ops):
        if mods:
            raise Refused(i.text)
        return self.to_register(ops[0], f"({self.word(ops[1])}+{self.word(ops[2])})&{WORD}")

    def op_IADD(self, i, mods, ops):
        if mods == ["64"]:
            return self.to_pair(ops[0], f"({self.pair(ops[1])}+{self.pair(ops[2])})&{LONG}")
        return self.op_VIADD(i, mods, ops)

    def op_IMAD(self, i, mods, ops):
        mods = list(mods)
        unsigned = "U32" in mods
        shape = next((m for m in ("WIDE", "HI", "MOV", "SHL", "IADD") if m in mods), "")
        if set(mods) - {"U32", "S32", "X", shape}:
            raise Refused(i.text)
        carry_out = None
        if self.is_predicate(ops[1]):
            carry_out = ops[1]
            ops = ops[:1] + ops[2:]
        if shape in ("WIDE", "HI"):
            a, b = (self.word(o) if unsigned else f"signed({self.word(o)})" for o in ops[1:3])
            extra = f"+{self.predicate(ops[4])}" if "X" in mods else ""
            total = f"(({a})*({b})+{self.pair(ops[3])}{extra})"
            if shape == "HI":
                return self.to_register(ops[0], f"{total}>>32&{WORD}")
            if carry_out and not carry_out.endswith("PT"):
                lines = [f"q={{l:{total} for l in L}}"]
                return lines + self.to_pair(ops[0], f"q[l]&{LONG}") + self.to_predicate(carry_out, "q[l]>>64&1")
            return self.to_pair(ops[0], f"{total}&{LONG}")
        a, b, c = (self.word(o) for o in ops[1:4])
        extra = f"+{self.predicate(ops[4])}" if "X" in mods else ""
        if carry_out and not carry_out.endswith("PT"):
            raise Refused(i.text)
        if shape == "MOV" or ops[1] in ("RZ", "URZ") and not extra:
            return self.to_register(ops[0], c)
        return self.to_register(ops[0], f"(({a})*({b})+{c}{extra})&{WORD}")

    def op_LEA(self, i, mods, ops):
        if set(mods) - {"HI", "X", "SX32"}:
            raise Refused(i.text)
        at = 1
        while self.is_predicate(ops[at]):
            at += 1
        carries = [c for c in ops[1:at] if not c.endswith("PT")]
        carry_in = []
        rest = ops[at:]
        while self.is_predicate(rest[-1]):
            carry_in.insert(0, rest.pop())
        carry_in = carry_in if "X" in mods else []
        shift = int(rest[-1], 16)
        if "~" in rest[0] or len(rest) == 4 and "~" in rest[2]:
            raise Refused(i.text)
        negated = rest[0].startswith("-")
        low = self.word(rest[0].lstrip("-"))
        if "HI" in mods:
            if "SX32" in mods:
                wide = f"(signed({low})&{LONG})"
            else:
                wide = f"({low}|{self.word(rest[2])}<<32)" if len(rest) == 4 else low
            if negated:
                wide = f"(-{wide}&{LONG})"
            first = f"({wide}<<{shift}>>32&{WORD})"
        else:
            first = f"({low}<<{shift}&{WORD})"
            if negated:  # a two's complement that carries out when the number is 0
                first = f"(({first}^{WORD})+1)"
        addend = f"(({self.word(rest[1][1:])}^{WORD})+1)" if re.match(r"-U?R", rest[1]) else self.word(rest[1])
        total = "+".join([first, addend] + [self.predicate(c) for c in carry_in])
        if not carries:
            return self.to_register(ops[0], f"({total})&{WORD}")
        return self.simultaneous((ops[0], f"({total})&{WORD}"), (carries[0], f"({total})>>32"))

    def op_LOP3(self, i, mods, ops):
        if mods != ["LUT"]:
            raise Refused(i.text)
        out = None
        if self.is_predicate(ops[0]):
            out, ops = ops[0], ops[1:]
        table = int(ops[4], 16)
        words = [self.word(o) for o in ops[1:4]]
        value = lut_expression(table, *words)
        if out is None or out.endswith("PT"):
            return self.to_register(ops[0], value)
        return self.simultaneous((ops[0], value), (out, f"({value})!=0 or {self.predicate(ops[5])}"))

    def op_PLOP3(self, i, mods, ops):
        if mods != ["LUT"]:
            raise Refused(i.text)
        index = "<<2|".join(self.predicate(o) for o in ops[2:3]) + f"<<2|{self.predicate(ops[3])}<<1|{self.predicate(ops[4])}"
        return self.simultaneous(*[(ops[n], f"{int(ops[5 + n], 16)}>>({index})&1") for n in (0, 1)])

    def op_SHF(self, i, mods, ops):
        right, wrap, top = "R" in mods, "W" in mods, "HI" in mods
        kind = next((m for m in mods if m in ("U32", "S32", "U64", "S64")), "U32")
        if set(mods) - {"R", "L", "W", "HI", kind}:
            raise Refused(i.text)
        low, shift, high = (self.word(o) for o in ops[1:4])
        if not wrap and ops[2].startswith("0x"):
            n = int(ops[2], 16)
            simple = None
            if right and top and n < 32:
                simple = f"{high}>>{n}" if kind[0] == "U" else f"signed({high})>>{n}&{WORD}"
            elif not right and not top and n < 32:
                simple = f"{low}<<{n}&{WORD}"
            if simple:
                return self.to_register(ops[0], simple)
        return self.to_register(ops[0], f"shf({low},{shift},{high},{right},{kind!r},{top},{wrap})")

    def op_USHF(self, i, mods, ops):
        return self.op_SHF(i, mods, ops)

    def op_ISETP(self, i, mods, ops):
        compare = next((m for m in mods if m in COMPARE), None)
        combine = next((m for m in mods if m in ("AND", "OR", "XOR")), None)
        if compare is None or combine is None or set(mods) - {compare, combine, "U32", "S32", "EX", "64", "U64", "S64"}:
            raise Refused(i.text)
        if {"64", "U64", "S64"} & set(mods):
            a, b = self.pair(ops[2]), self.pair(ops[3])
            unsigned = "U64" in mods
            a, b = (a, b) if unsigned else (f"signed64({a})", f"signed64({b})")
        else:
            a, b = self.word(ops[2]), self.word(ops[3])
            if "U32" not in mods and compare not in ("EQ", "NE"):
                a, b = f"signed({a})", f"signed({b})"
        test = COMPARE[compare].format(a=a, b=b)
        if "EX" in mods:
            low = self.predicate(ops[5])
            if compare == "EQ":
                test = f"{a}=={b} and {low}"
            elif compare == "NE":
                test = f"{a}!={b} or {low}"
            else:
                test = f"{a}{compare[0] == 'L' and '<' or '>'}{b} or {a}=={b} and {low}"
        return self.set_predicates(ops[0], ops[1], test, combine, ops[4])

    def set_predicates(self, first, second, test, combine, source):
        other = self.predicate(source)
        def joined(t):
            if combine == "AND":
                return t if other == "1" else f"({t}) and {other}"
            if combine == "OR":
                return t if other == "0" else f"({t}) or {other}"
            return f"bool({t})!=bool({other})"
        if second.endswith("PT"):
            return self.to_predicate(first, joined(test))
        return self.simultaneous((first, joined(test)), (second, joined(f"not ({test})")))

    def op_FSETP(self, i, mods, ops):
        return self.float_compare(i, mods, ops, "float")

    def op_DSETP(self, i, mods, ops):
        return self.float_compare(i, mods, ops, "double")

    def float_compare(self, i, mods, ops, kind):
        if kind == "double" and mods in (["MAX", "AND"], ["MIN", "AND"]):
            a, b = (f"f64({self.pair(o, kind)})" for o in ops[2:4])
            return self.simultaneous((ops[0], f"{a}{'>' if mods[0] == 'MAX' else '<'}{b} or {b}!={b}"),
                                     (ops[1], f"{a}!={a} or {b}!={b}"))
        compare = next((m for m in mods if m in COMPARE or m[:-1] in COMPARE or m in ("NUM", "NAN")), None)
        combine = next((m for m in mods if m in ("AND", "OR", "XOR")), None)
        if set(mods) - {compare, combine}:
            raise Refused(i.text)
        if kind == "float":
            a, b = (f"f32({self.word(o, 0, kind)})" for o in ops[2:4])
        else:
            a, b = (f"f64({self.pair(o, kind)})" for o in ops[2:4])
        if compare in ("NUM", "NAN"):
            test = f"{a}=={a} and {b}=={b}"
            test = test if compare == "NUM" else f"not ({test})"
        elif compare == "NE":
            test = f"({a}<{b} or {a}>{b})"
        elif compare == "NEU":
            test = f"{a}!={b}"
        elif compare in COMPARE:
            test = COMPARE[compare].format(a=a, b=b)
        else:  # true of NaN as well
            opposite = {"LT": "GE", "LE": "GT", "GT": "LE", "GE": "LT"}.get(compare[:-1])
            test = f"not ({COMPARE[opposite].format(a=a, b=b)})" if opposite else f"not ({a}<{b} or {a}>{b})"
        return self.set_predicates(ops[0], ops[1], test, combine, ops[4])

    def op_SEL(self, i, mods, ops):
        kind = "float" if i.opcode == "FSEL" else "int"
        if mods == ["64"]:
            return self.to_pair(ops[0], f"{self.pair(ops[1])} if {self.predicate(ops[3])} else {self.pair(ops[2])}")
        if mods:
            raise Refused(i.text)
        return self.to_register(ops[0], f"{self.word(ops[1], 0, kind)} if {self.predicate(ops[3])} else {self.word(ops[2], 0, kind)}")

    op_FSEL = op_SEL

    def op_FMNMX(self, i, mods, ops):
        """The smaller if the predicate holds, else the larger; -0 is smaller than +0, and a number beats a NaN."""
        if set(mods):
            raise Refused(i.text)
        at = 2 if self.is_predicate(ops[1]) else 1  # Blackwell prints a second result first
        a, b = (self.word(o, 0, "float") for o in ops[at:at + 2])
        return self.to_register(ops[0], f"fmnmx({a},{b},{self.predicate(ops[at + 2])})")

    def op_IMNMX(self, i, mods, ops):
        if set(mods) - {"U32", "S32"}:
            raise Refused(i.text)
        at = 1
        while self.is_predicate(ops[at]):
            at += 1
        a, b = (self.word(o) for o in ops[at:at + 2])
        key = "" if "U32" in mods else ",key=signed"
        return self.to_register(ops[0], f"(min if {self.predicate(ops[at + 2])} else max)({a},{b}{key})")

    op_VIMNMX = op_IMNMX

    def op_VIADDMNMX(self, i, mods, ops):
        """The smaller of a + b and c if the predicate holds, else the larger."""
        if set(mods) - {"U32", "S32"}:
            raise Refused(i.text)
        at = 1
        while self.is_predicate(ops[at]):
            at += 1
        a, b, c = (self.word(o) for o in ops[at:at + 3])
        key = "" if "U32" in mods else ",key=signed"
        return self.to_register(ops[0], f"(min if {self.predicate(ops[at + 3])} else max)(({a}+{b})&{WORD},{c}{key})")

    def op_FMNMX3(self, i, mods, ops):
        if mods:
            raise Refused(i.text)
        a, b, c = (self.word(o, 0, "float") for o in ops[1:4])
        smaller = self.predicate(ops[4])
        return self.to_register(ops[0], f"fmnmx(fmnmx({a},{b},{smaller}),{c},{smaller})")

    def op_IDP(self, i, mods, ops):
        """The dot product of four bytes with four, and a sum."""
        if mods not in (["4A", "U8", "U8"], ["4A", "S8", "S8"]):
            raise Refused(i.text)
        a, b, c = (self.word(o) for o in ops[1:4])
        return self.to_register(ops[0], f"dot({a},{b},{c},{mods[1] == 'S8'})")

    def op_HFMA2(self, i, mods, ops):
        """Only as a way to write a number: -0 * 0 + two halves."""
        if ops[1:3] != ["-RZ", "RZ"] or set(mods) - {"MMA"}:
            raise Refused(i.text)
        halves = [narrow(float(o) if "INF" not in o else math.inf * (-1 if o[0] == "-" else 1), *FORMATS["F16"]) for o in ops[3:5]]
        return self.to_register(ops[0], str(halves[0] << 16 | halves[1]))

    def op_HMNMX2(self, i, mods, ops):
        if set(mods) - {"BF16_V2"}:
            raise Refused(i.text)
        words = []
        for o in ops[1:3]:
            core, _, selector = o.partition(".")
            w = self.word(core)
            low, high = {"": (0, 16), "H0_H0": (0, 0), "H1_H1": (16, 16)}[selector]
            words.append((f"{w}>>{low}&65535", f"{w}>>{high}&65535"))
        form = "BF16" if mods else "F16"
        pick = [f"hmnmx({words[0][n]},{words[1][n]},{self.predicate(ops[3])},{form!r})" for n in (0, 1)]
        return self.to_register(ops[0], f"{pick[0]}|{pick[1]}<<16")

    def op_MUFU(self, i, mods, ops):
        if mods != ["RCP"]:
            raise Refused(i.text)
        # An approximation on the hardware; whoever uses it for integers corrects the result.
        return self.to_register(ops[0], f"reciprocal({self.word(ops[1], 0, 'float')})")

    def op_PRMT(self, i, mods, ops):
        return self.to_register(ops[0], f"prmt({self.word(ops[1])},{self.word(ops[2])},{self.word(ops[3])},{(mods or [None])[0]!r})")

    def op_POPC(self, i, mods, ops):
        return self.to_register(ops[0], f"({self.word(ops[1])}).bit_count()")

    def op_FLO(self, i, mods, ops):
        kind = "U32" if "U32" in mods else "S32"
        if set(mods) - {"U32", "SH"}:
            raise Refused(i.text)
        source = ops[-1]
        return self.to_register(ops[0], f"flo({self.word(source)},{kind!r},{'SH' in mods})")

    def op_BREV(self, i, mods, ops):
        return self.to_register(ops[0], f"int(format({self.word(ops[1])},'032b')[::-1],2)")

    def op_SGXT(self, i, mods, ops):
        width = int(ops[2], 16)
        if "U32" in mods:
            return self.to_register(ops[0], f"{self.word(ops[1])}&{(1 << width) - 1}")
        return self.to_register(ops[0], f"((({self.word(ops[1])}&{(1 << width) - 1})^{1 << (width - 1)})-{1 << (width - 1)})&{WORD}")

    # Arithmetic of floating point
    def op_FMUL(self, i, mods, ops):
        return self.of_floats(i, ops, "x*y for x,y in")

    def op_FADD(self, i, mods, ops):
        return self.of_floats(i, ops, "x+y for x,y in")

    def op_FFMA(self, i, mods, ops):
        return self.of_floats(i, ops, "unrounded(x,y,z) for x,y,z in")

    def of_floats(self, i, ops, form):
        self.exact(i, i.modifiers)
        sources = ",".join(f"floats([{self.word(o, 0, 'float')} for l in L])" for o in ops[1:])
        return self.from_list(ops[0], f"words32([{form} zip({sources})])")

    @staticmethod
    def from_list(destination, values):
        """Lines that assign a list, of a value for each active thread, to a register."""
        match = re.match(r"(U?)R(\d+)$", destination)
        if not match:
            raise Refused(f"destination {destination}")
        if match.group(1):
            return [f"u[{match.group(2)}]={values}[0]"]
        return [f"d={values}", f"if m=={ALL}: r[{match.group(2)}]=d", "else:", f"  t=r[{match.group(2)}]", "  for l,x in zip(L,d): t[l]=x"]

    def packed(self, i, ops, form):
        """Two binary32 operations on register pairs (Blackwell)."""
        self.exact(i, i.modifiers)
        halves = []
        for part in (0, 1):
            words = []
            for o in ops[1:]:
                core, _, selector = o.partition(".")
                chosen = {"": part, "F32x2": part, "F32x2.HI_LO": part, "F32": 0}.get(selector)
                if chosen is None:
                    raise Refused(i.text)
                words.append(f"f32({self.word(core, chosen, 'float')})")
            halves.append(form.format(*words))
        return self.to_pair(ops[0].partition(".")[0], f"{halves[0]}|{halves[1]}<<32")

    def op_FFMA2(self, i, mods, ops):
        return self.packed(i, ops, "fma32({},{},{})")

    def op_FMUL2(self, i, mods, ops):
        return self.packed(i, ops, "b32({}*{})")

    def op_FADD2(self, i, mods, ops):
        return self.packed(i, ops, "b32({}+{})")

    @staticmethod
    def exact(i, mods):
        if mods:
            raise Refused(f"{i.text}: arithmetic other than to nearest, with subnormals")

    def op_DMUL(self, i, mods, ops):
        self.exact(i, mods)
        a, b = (f"f64({self.pair(o, 'double')})" for o in ops[1:3])
        return self.to_pair(ops[0], f"b64({a}*{b})")

    def op_DADD(self, i, mods, ops):
        self.exact(i, mods)
        operands = [o for o in ops[1:] if o != "RZ"] if len(ops) == 4 else ops[1:3]
        a, b = (f"f64({self.pair(o, 'double')})" for o in operands)
        return self.to_pair(ops[0], f"b64({a}+{b})")

    def op_DFMA(self, i, mods, ops):
        self.exact(i, mods)
        a, b, c = (f"f64({self.pair(o, 'double')})" for o in ops[1:4])
        return self.to_pair(ops[0], f"fma64({a},{b},{c})")

    def op_I2F(self, i, mods, ops):
        target = "F64" if "F64" in mods else "F32"
        source = next((m for m in mods if m in ("U32", "S32", "U64", "S64", "U16", "S16", "U8", "S8")), "S32")
        if set(mods) - {"F64", "F32", "RP", source}:
            raise Refused(i.text)
        operand, _, selector = ops[1].partition(".")
        if source[1:] in ("8", "16"):
            lane = {"": 0, "B0": 0, "B1": 1, "B2": 2, "B3": 3, "H0": 0, "H1": 2, "H0_H0": 0, "H1_H1": 2}[selector]
            width = int(source[1:])
            value = f"({self.word(operand)}>>{8 * lane}&{(1 << width) - 1})"
            if source[0] == "S":
                value = f"(({value}^{1 << (width - 1)})-{1 << (width - 1)})"
        elif source.endswith("64"):
            value = self.pair(ops[1])
            value = f"signed64({value})" if source[0] == "S" else value
        else:
            value = self.word(ops[1])
            value = f"signed({value})" if source[0] == "S" else value
        if target == "F64" and "RP" not in mods:
            return self.to_pair(ops[0], f"b64(float({value}))")  # Python rounds to nearest even
        if target == "F64":
            raise Refused(i.text)
        if source.endswith("64") or "RP" in mods:
            return self.to_register(ops[0], f"from_integer({value},{'RP' in mods})")
        return self.from_list(ops[0], f"words32([float({value}) for l in L])")

    op_I2FP = op_I2F

    def op_F2I(self, i, mods, ops):
        kind = next((m for m in mods if m in ("U32", "S32", "U64", "S64")), "S32")
        rounding = next((m for m in mods if m in ("TRUNC", "FLOOR", "CEIL")), None)
        if set(mods) - {kind, rounding, "NTZ", "F64", "FTZ"}:  # FTZ: a subnormal number becomes 0 anyhow
            raise Refused(i.text)
        value = f"f64({self.pair(ops[1], 'double')})" if "F64" in mods else f"f32({self.word(ops[1], 0, 'float')})"
        convert = f"to_integer({value},{rounding!r},{kind!r})"
        return self.to_pair(ops[0], convert) if kind.endswith("64") else self.to_register(ops[0], convert)

    def op_F2F(self, i, mods, ops):
        if mods == ["F64", "F32"]:
            return self.to_pair(ops[0], f"b64(f32({self.word(ops[1], 0, 'float')}))")
        if mods == ["F32", "F64"]:
            return self.to_register(ops[0], f"b32(f64({self.pair(ops[1], 'double')}))")
        if mods[:2] in (["F16", "F32"], ["BF16", "F32"]) and len(mods) == 2:
            e, f, largest = FORMATS[mods[0]]
            return self.to_register(ops[0], f"narrow(f32({self.word(ops[1], 0, 'float')}),{e},{f},{largest})")
        raise Refused(i.text)

    def op_F2FP(self, i, mods, ops):
        """Two binary32 numbers to two small ones in a register, the first to the high half."""
        form = next((m for m in mods if m in FORMATS), "F16" if mods == ["PACK_AB"] else None)  # sm_80 leaves F16 out
        known = {form, "PACK_AB", "PACK_AB_MERGE_C", "SATFINITE", "F32", "MERGE_C"}
        if form is None or set(mods) - known:
            raise Refused(i.text)
        e, f, largest = FORMATS[form]
        if form in ("F16", "BF16") and "SATFINITE" in mods:
            largest -= 1
        width = 8 if form[0] == "E" else 16
        high, low = (f"narrow(f32({self.word(o, 0, 'float')}),{e},{f},{largest})" for o in ops[1:3])
        value = f"{high}<<{width}|{low}"
        if "PACK_AB_MERGE_C" in mods:  # the two go to the low half, the third operand's low half to the high one
            value = f"({value})|({self.word(ops[3])}&65535)<<16"
        elif width == 8 and len(ops) > 3 and ops[3] != "RZ":
            raise Refused(i.text)
        return self.to_register(ops[0], value)

    # Special registers, constants, moves between the files
    def op_S2R(self, i, mods, ops):
        return self.to_register(ops[0], f"special(w,l,{ops[1]!r},m)")

    op_S2UR = op_S2R

    def op_CS2R(self, i, mods, ops):
        if ops[1] != "SRZ":
            raise Refused(i.text)
        return self.to_register(ops[0], "0") if "32" in mods else self.to_pair(ops[0], "0")

    def op_R2UR(self, i, mods, ops):
        ops = [o for o in ops if not self.is_predicate(o)]
        return ["l=L[0]", f"u[{int(ops[0][2:])}]={self.word(ops[1])}"] if ops[0] != "URZ" else ["pass"]

    def op_LDC(self, i, mods, ops):
        size = next((SIZES[m] for m in mods if m in SIZES), 4)
        if set(mods) - set(SIZES):
            raise Refused(i.text)
        match = re.match(r"c\[(0x[0-9a-f]+)\]\[(?:(U?R\d+|U?RZ)\+?)?(-?0x[0-9a-f]+)?\]$", ops[1])
        if not match:
            raise Refused(i.text)
        at = match.group(3) and int(match.group(3), 16) or 0
        index = f"({self.word(match.group(2))}+{at})&{WORD}" if match.group(2) else str(at)
        value = f"constant({int(match.group(1), 16)},{index},{size})"
        if "S8" in mods or "S16" in mods:
            value = f"(({value}^{1 << (8 * size - 1)})-{1 << (8 * size - 1)})&{WORD}"
        if size == 8:
            return self.to_pair(ops[0], value)
        if size == 16:
            number = int(re.match(r"U?R(\d+)", ops[0]).group(1))
            lines = [f"q={{l:{value} for l in L}}"]
            for part in range(4):
                lines += self.to_register(re.match(r"U?R", ops[0]).group() + str(number + part), f"q[l]>>{32 * part}&{WORD}")
            return lines
        return self.to_register(ops[0], value)

    op_LDCU = op_ULDC = op_LDC

    def op_R2P(self, i, mods, ops):
        if ops[0] != "PR" or mods:
            raise Refused(i.text)
        chosen = int(ops[2], 16)
        lines = [f"q={{l:{self.word(ops[1])} for l in L}}"]
        for n in range(7):
            if chosen >> n & 1:
                lines += self.to_predicate(f"P{n}", f"q[l]>>{n}&1")
        return lines

    def op_P2R(self, i, mods, ops):
        if ops[1] != "PR" or mods:
            raise Refused(i.text)
        chosen = int(ops[3], 16)
        bits = "|".join(f"(p[{n}]>>l&1)<<{n}" for n in range(7))
        return self.to_register(ops[0], f"({bits})&{chosen}|{self.word(ops[2])}&{~chosen & WORD}")

    def op_UP2UR(self, i, mods, ops):
        chosen = int(ops[3], 16)
        bits = "|".join(f"up[{n}]<<{n}" for n in range(7))
        return self.to_register(ops[0], f"({bits})&{chosen}|{self.word(ops[2])}&{~chosen & WORD}")

    # Between the threads of a warp
    def op_VOTE(self, i, mods, ops):
        if mods[0] not in ("ANY", "ALL", "EQ") or len(mods) > 1:
            raise Refused(i.text)
        destination, out = ops[0], ops[1] if len(ops) == 3 else None
        if len(ops) == 2:  # only the predicate is asked for
            destination, out = ("RZ", ops[0])
        lines = [f"v=sum([1<<l for l in L if {self.predicate(ops[-1])}])"]
        test = {"ANY": "v!=0", "ALL": "v==m", "EQ": "v==0 or v==m"}[mods[0]]
        lines += self.to_register(destination, "v") if "R" in destination else []
        return lines + (self.to_predicate(out, test) if out else [])

    op_VOTEU = op_VOTE

    def op_SHFL(self, i, mods, ops):
        a, lane, clamp = (self.word(o) for o in ops[2:5])
        lines = [f"a={{l:{a} for l in L}}; b={{l:{lane} for l in L}}; c={{l:{clamp} for l in L}}",
                 f"s={{l:shuffle({mods[0]!r},l,b[l],c[l]) for l in L}}"]
        # A thread that is not there leaves the result undefined: an absurd number will be noticed.
        lines += self.to_register(ops[1], "a.get(s[l][0],0xbadbad)")
        return lines + self.to_predicate(ops[0], "s[l][1]")

    def op_MATCH(self, i, mods, ops):
        if mods[0] != "ANY":
            raise Refused(i.text)
        return [f"a={{l:{self.word(ops[-1])} for l in L}}"] + self.to_register(ops[-2], "sum([1<<k for k in L if a[k]==a[l]])")

    def op_REDUX(self, i, mods, ops):
        if mods == []:
            mods = ["SUM"]
        kind = mods[0]
        a = f"[{self.word(ops[1])} for l in L]"
        value = {"SUM": f"sum({a})&{WORD}", "OR": None, "AND": None, "MIN": f"min({a})", "MAX": f"max({a})"}.get(kind)
        if value is None or kind in ("MIN", "MAX") and "S32" in mods:
            raise Refused(i.text)
        return ["l=L[0]", f"u[{int(ops[0][2:])}]={value}"]

    def op_ELECT(self, i, mods, ops):
        return self.to_predicate(ops[0], "l==L[0]")

    # Memory
    def address(self, text):
        """An expression of l for the address in brackets, and whether it is 64 bits wide."""
        match = re.match(r"(?:desc\[UR\d+\])?\[(.*)\]$", text)
        if not match:
            raise Refused(f"operand {text}")
        parts, wide = [], False
        for term in match.group(1).replace("+-", "-").replace("-", "+-").split("+"):
            if not term:
                continue
            if re.match(r"-?0x", term):
                parts.append(str(int(term, 16)))
                continue
            register, _, form = term.partition(".")
            if form == "64":
                wide = True
                parts.append(self.pair(register))
            elif form.startswith("X"):
                parts.append(f"{self.word(register)}*{form[1:]}")
            elif register.startswith("UR") and (wide or ".U32" in text):
                parts.append(self.pair(register))
                wide = True
            elif form in ("", "U32"):
                parts.append(self.word(register))
            else:
                raise Refused(f"operand {text}")
        total = "+".join(f"({p})" for p in parts) or "0"
        return f"({total})&{LONG if wide else WORD}"

    def access(self, i, mods, allowed):
        size = next((SIZES[m] for m in mods if m in SIZES), 4)
        unknown = set(mods) - set(SIZES) - allowed
        if unknown:
            raise Refused(i.text)
        return size, next((m for m in mods if m in ("S8", "S16")), None)

    GLOBAL = {"E", "CONSTANT", "STRONG", "SYS", "GPU", "WEAK", "EF", "EL", "LU", "NA", "SM", "U", "LTC64B", "LTC128B", "LTC256B", "EU"}

    def op_LDG(self, i, mods, ops):
        return self.loading(i, mods, ops, "global", self.GLOBAL)

    def op_LD(self, i, mods, ops):
        return self.loading(i, mods, ops, "generic", self.GLOBAL)

    def op_ST(self, i, mods, ops):
        return self.storing(i, mods, ops, "generic", self.GLOBAL)

    def op_LDS(self, i, mods, ops):
        return self.loading(i, mods, ops, "shared", {"U"})

    def op_LDL(self, i, mods, ops):
        return self.loading(i, mods, ops, "local", {"LU", "EF", "EL"})

    def loading(self, i, mods, ops, space, allowed):
        size, sign = self.access(i, mods, allowed)
        ops = [o for o in ops if not self.is_predicate(o)]
        if ops[0] == "RZ":
            return ["pass"]
        lines = [f"a=[{self.address(ops[1])} for l in L]", f"load({space!r},w,L,a,{size},{self.number(ops[0])},{sign!r},{i.index})"]
        return lines

    def op_STG(self, i, mods, ops):
        return self.storing(i, mods, ops, "global", self.GLOBAL)

    def op_STS(self, i, mods, ops):
        return self.storing(i, mods, ops, "shared", set())

    def op_STL(self, i, mods, ops):
        return self.storing(i, mods, ops, "local", {"EF", "EL"})

    def storing(self, i, mods, ops, space, allowed):
        size, _ = self.access(i, mods, allowed)
        if ops[1].startswith("UR"):
            raise Refused(i.text)
        return [f"a=[{self.address(ops[0])} for l in L]", f"store({space!r},w,L,a,{size},{self.number(ops[1])},{i.index})"]

    @staticmethod
    def number(register):
        if register == "RZ":
            return -1
        return int(re.match(r"R(\d+)$", register).group(1))

    def where(self, space, w, address, size, write):
        if space != "shared" and address >> 32 == SHARED_WINDOW:
            space, address = "shared", address & WORD
        if space == "shared":
            if not self.shared_start <= address <= self.shared_end - size or address % size:
                raise Refused(f"shared memory: {size} bytes at {address:#x} (there is {self.shared_start:#x} to {self.shared_end:#x})")
            return w.block.shared, address
        return self.names["memory"].find(address, size, write)

    def together(self, space, w, addresses, size):
        """(array, the address of its first byte) if all addresses are in one array and aligned, else None."""
        first, last = min(addresses), max(addresses)
        if size < 4 or {a & size - 1 for a in addresses} != {0}:
            return None
        if space == "shared":
            return (w.block.shared, 0) if self.shared_start <= first and last <= self.shared_end - size else None
        memory = self.names["memory"]
        at = bisect.bisect(memory.bases, first) - 1
        if at < 0 or last + size - memory.bases[at] > len(memory.arrays[at]):
            return None
        return memory.arrays[at], memory.bases[at]

    def loaded(self, space, w, L, addresses, size, number):
        """The usual case of load(), faster."""
        found = self.together(space, w, addresses, size)
        if found is None:
            return False
        array, base = found
        unpack = STRUCTS[size].unpack_from
        results = [w.r[number + part] for part in range(size // 4)]
        for l, a in zip(L, addresses):
            for result, word in zip(results, unpack(array, a - base)):
                result[l] = word
        return True

    def stored(self, space, w, L, addresses, size, number):
        """The usual case of store(), faster."""
        found = self.together(space, w, addresses, size) if number >= 0 else None
        if found is None:
            return False
        array, base = found
        pack = STRUCTS[size].pack_into
        sources = [w.r[number + part] for part in range(size // 4)]
        for l, a in zip(L, addresses):
            pack(array, a - base, *[source[l] for source in sources])
        return True

    @staticmethod
    def localised(space, addresses):
        """Whether a thread's own memory is meant, and its addresses there."""
        if space == "generic" and addresses[0] >> 32 == LOCAL_WINDOW:
            return "local", [a & WORD for a in addresses]
        return space, addresses

    @staticmethod
    def kind(space, addresses):
        """Shared, local or global, also of a generic address."""
        if space != "generic":
            return space
        return {SHARED_WINDOW: "shared", LOCAL_WINDOW: "local"}.get(addresses[0] >> 32, "global")

    def load(self, space, w, L, addresses, size, number, sign, index):
        if number < 0:
            return
        space, addresses = self.localised(space, addresses)
        self.traffic.load(index, self.kind(space, addresses), L, addresses, size)
        if space == "local":
            for l, a in zip(L, addresses):
                for part in range(max(1, size // 4)):
                    w.r[number + part][l] = w.local.get((l, a + 4 * part), 0)
            return
        if self.loaded(space, w, L, addresses, size, number):
            return
        for l, a in zip(L, addresses):
            array, at = self.where(space, w, a, size, False)
            if size <= 4:
                value = int.from_bytes(array[at:at + size], "little", signed=sign is not None) & WORD
                w.r[number][l] = value
            else:
                for part in range(size // 4):
                    w.r[number + part][l] = int.from_bytes(array[at + 4 * part:at + 4 * part + 4], "little")

    def store(self, space, w, L, addresses, size, number, index):
        space, addresses = self.localised(space, addresses)
        self.traffic.store(index, self.kind(space, addresses), L, addresses, size)
        if space == "local":
            for l, a in zip(L, addresses):
                for part in range(max(1, size // 4)):
                    w.local[(l, a + 4 * part)] = w.r[number + part][l] if number >= 0 else 0
            return
        if self.stored(space, w, L, addresses, size, number):
            return
        for l, a in zip(L, addresses):
            array, at = self.where(space, w, a, size, True)
            value = 0
            if number >= 0:
                for part in range(max(1, size // 4)):
                    value |= w.r[number + part][l] << 32 * part
            array[at:at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")

    def op_ATOMS(self, i, mods, ops):
        return self.atomics(i, mods, ops, "shared")

    def op_ATOMG(self, i, mods, ops):
        return self.atomics(i, mods, [o for o in ops if not self.is_predicate(o)], "global")

    def op_ATOM(self, i, mods, ops):
        return self.atomics(i, mods, [o for o in ops if not self.is_predicate(o)], "generic")

    def op_RED(self, i, mods, ops):
        return self.atomics(i, mods, ["RZ"] + ops, "global")

    op_REDG = op_RED

    def atomics(self, i, mods, ops, space):
        kind = next((m for m in mods if m in ("ADD", "OR", "AND", "XOR", "MIN", "MAX", "EXCH", "CAS", "INC")), None)
        if "POPC" in mods:
            kind = "COUNT"
        if kind is None or set(mods) - self.GLOBAL - {kind, "POPC", "INC", "32", "CAST", "SPIN", "S32"} or kind in ("MIN", "MAX") and "S32" in mods:
            raise Refused(i.text)
        source = f"[{self.word(ops[2])} for l in L]" if len(ops) > 2 else "[0]*32"
        second = f"[{self.word(ops[3])} for l in L]" if kind == "CAS" else "None"
        return [f"a=[{self.address(ops[1])} for l in L]", f"atomic({space!r},{kind!r},w,L,a,{source},{second},{self.number(ops[0])},{i.index})"]

    def atomic(self, space, kind, w, L, addresses, values, others, number, index):
        self.traffic.atomic(index, self.kind(space, addresses), addresses, kind == "COUNT")
        for n, (l, a) in enumerate(zip(L, addresses)):
            array, at = self.where(space, w, a, 4, True)
            old = int.from_bytes(array[at:at + 4], "little")
            v = values[n]
            new = {"ADD": old + v, "OR": old | v, "AND": old & v, "XOR": old ^ v, "MIN": min(old, v), "MAX": max(old, v), "EXCH": v,
                   "COUNT": old + 1, "INC": 0 if old >= v else old + 1,
                   "CAS": others[n] if others and old == v else old}[kind] & WORD
            array[at:at + 4] = new.to_bytes(4, "little")
            if number >= 0:
                w.r[number][l] = old

    # Control: the interpreter does these
    def op_BRA(self, i, mods, ops):
        target = self.function.target(i)
        conditions = [o for o in ops if not o.startswith("`")]
        if mods == ["DIV"] or mods == ["CONV"]:
            everyone = conditions[0]
            if everyone.startswith("~"):
                everyone = everyone[1:]
                wanted = f"({self.word(everyone)}^{WORD})" if everyone != "URZ" else str(WORD)
            else:
                wanted = self.word(everyone)
            lines = ["l=L[0]", f"w.taken=m if (m!={wanted}&w.alive)=={mods == ['DIV']} else 0"]
            return lines, "branch", target
        if set(mods) - {"U"} or len(conditions) > 1:
            raise Refused(i.text)
        if not conditions:
            return ["w.taken=m"], "branch", target
        return [f"w.taken=sum([1<<l for l in L if {self.predicate(conditions[0])}])"], "branch", target

    def op_BRX(self, i, mods, ops):
        text = " ".join(ops)
        match = re.match(r"(U?R\d+)\s+(-?0x[0-9a-f]+)$", text)
        if not match or mods:
            raise Refused(i.text)
        follow = i.address + 16 + int(match.group(2), 16)
        return [f"w.taken={{l:({self.pair(match.group(1))}+{follow})&{LONG} for l in L}}"], "indirect", None

    op_BRXU = op_BRX

    def op_CALL(self, i, mods, ops):
        if set(mods) - {"REL", "NOINC"}:
            raise Refused(i.text)
        return ["w.taken=m"], "branch", self.function.target(i)

    def op_RET(self, i, mods, ops):
        if set(mods) - {"REL", "NODEC"}:
            raise Refused(i.text)
        register = ops[0].split()[0]
        return [f"w.taken={{l:{self.pair(register)} for l in L}}"], "indirect", None

    def op_EXIT(self, i, mods, ops):
        return [f"w.taken=sum([1<<l for l in L if {self.predicate(ops[0]) if ops else 1}])"], "exit", None

    def op_BSSY(self, i, mods, ops):
        return [f"w.b[{int(ops[0][1:])}]=m"], "plain", None

    def op_BREAK(self, i, mods, ops):
        out = self.predicate(ops[0]) if len(ops) == 2 else "1"
        return [f"w.b[{int(ops[-1][1:])}]&=~sum([1<<l for l in L if {out}])", "if w.waiting: w.resume()"]

    def op_BSYNC(self, i, mods, ops):
        return [f"w.taken=('converge',{int(ops[0][1:])})"], "wait", None

    def op_WARPSYNC(self, i, mods, ops):
        if mods == ["ALL"]:
            return [f"w.taken=('warp',{ALL})"], "wait", None
        if mods == ["COLLECTIVE"]:  # what follows, up to ENDCOLLECTIVE, is executed by all of them together
            return ["l=L[0]", f"w.taken=('collective',{self.word(ops[0])})"], "wait", None
        return ["l=L[0]", f"w.taken=('warp',{self.word(ops[0])})"], "wait", None

    def op_BMOV(self, i, mods, ops):
        if "32" not in mods:
            raise Refused(i.text)
        if ops[0].startswith("B"):
            return ["l=L[0]", f"w.b[{int(ops[0][1:])}]={self.word(ops[1])}"]
        return self.to_register(ops[0], f"w.b[{int(ops[1][1:])}]")

    def op_BAR(self, i, mods, ops):
        if set(mods) - {"SYNC", "DEFER_BLOCKING", "RED", "OR", "AND", "POPC"} or ops[0] != "0x0" or len(ops) > 2:
            raise Refused(i.text)
        if "RED" in mods:
            raise Refused(i.text)
        return ["w.taken='block'"], "wait", None


def fmnmx(a, b, smaller):
    x, y = f32(a), f32(b)
    if x != x:
        return b
    if y != y:
        return a
    if x == y:
        return (a | b if smaller else a & b) if x == 0 else a
    return (a if x < y else b) if smaller else (a if x > y else b)


def hmnmx(a, b, smaller, form):
    x, y = (decode(v, form) for v in (a, b))
    return a if (x < y) == bool(smaller) or x == y else b


def decode(bits, form):
    if form == "BF16":
        return f32(bits << 16)
    return struct.unpack("<e", struct.pack("<H", bits))[0]


def reciprocal(bits):
    value = f32(bits)
    return bits & 0x80000000 | 0x7F800000 if value == 0 else b32(1 / value)


def from_integer(value, up):
    """An integer as binary32, to nearest even or towards infinity."""
    if value == 0:
        return 0
    excess = max(abs(value).bit_length() - 24, 0)
    if up:
        return b32(float(-(-value >> excess << excess)))
    quotient, rest = divmod(abs(value), 1 << excess)
    half = 1 << excess >> 1
    quotient += rest > half or rest == half and quotient & 1 if excess else 0
    return b32(math.copysign(float(quotient << excess), value))


def dot(a, b, c, is_signed):
    if not is_signed:
        return ((a & 255) * (b & 255) + (a >> 8 & 255) * (b >> 8 & 255) + (a >> 16 & 255) * (b >> 16 & 255) + (a >> 24) * (b >> 24) + c) & WORD
    total = c
    for n in range(0, 32, 8):
        x, y = a >> n & 255, b >> n & 255
        total += ((x ^ 128) - 128) * ((y ^ 128) - 128)
    return total & WORD


def to_integer(value, rounding, kind):
    if value != value:
        return 0 if kind.endswith("32") else 1 << 63
    value = {"TRUNC": math.trunc, "FLOOR": math.floor, "CEIL": math.ceil, None: round}[rounding](value)
    bits = int(kind[1:])
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if kind[0] == "S" else (0, (1 << bits) - 1)
    return min(max(value, low), high) & ((1 << bits) - 1)


def shuffle(kind, lane, b, c):
    """(source lane, whether it is in range), as PTX defines shfl."""
    b &= 31
    segment, clamp = c >> 8 & 31, c & 31
    top, bottom = lane & segment | clamp & ~segment & 31, lane & segment
    if kind == "UP":
        j = lane - b
        ok = j >= top
    elif kind == "DOWN":
        j = lane + b
        ok = j <= top
    elif kind == "BFLY":
        j = lane ^ b
        ok = j <= top
    else:
        j = bottom | b & ~segment & 31
        ok = j <= top
    return (j if ok else lane), ok


def special(w, lane, name, mask):
    thread = w.number * 32 + lane
    values = {"SR_TID.X": thread, "SR_TID.Y": 0, "SR_TID.Z": 0, "SR_CTAID.X": w.block.index, "SR_CTAID.Y": 0, "SR_CTAID.Z": 0,
              "SR_LANEID": lane, "SR_LTMASK": (1 << lane) - 1, "SR_LEMASK": (2 << lane) - 1, "SR_EQMASK": 1 << lane,
              "SR_GEMASK": ALL & ~((1 << lane) - 1), "SR_GTMASK": ALL & ~((2 << lane) - 1), "SR_CgaCtaId": 0,
              "SR_VIRTUALSMID": 0, "SR_VIRTID": 0, "SRZ": 0, "SR_SWINHI": SHARED_WINDOW, "SR_NTID.X": w.block.threads}
    if name not in values:
        raise Refused(f"special register {name}")
    return values[name]


class Traffic:
    """What memory instructions cost, by instruction; and which sectors of global memory were written."""

    def __init__(self):
        self.passes, self.sectors, self.partial, self.loaded = {}, {}, {}, {}
        self.written = set()

    @staticmethod
    def add(counter, index, n):
        counter[index] = counter.get(index, 0) + n

    def cost(self, index, space, lanes, addresses, size):
        if space == "shared":
            n = memory_model.shared(lanes, addresses, size)
        elif space == "local":
            n = max(1, size // 4)
        else:
            n = memory_model.lines(lanes, addresses, size)
        self.add(self.passes, index, n)

    def load(self, index, space, lanes, addresses, size):
        self.cost(index, space, lanes, addresses, size)

    def store(self, index, space, lanes, addresses, size):
        self.cost(index, space, lanes, addresses, size)
        if space == "global":
            sectors, partial = memory_model.sectors(addresses, size)
            self.add(self.sectors, index, len(sectors))
            self.add(self.partial, index, partial)
            self.written |= sectors

    def atomic(self, index, space, addresses, counts_up):
        self.add(self.passes, index, memory_model.atomic(addresses, counts_up) if space == "shared" else len(addresses))


class Counts:
    """Of one launch, by instruction: times issued to a warp, threads that were active then, traffic; by scheduler: what was issued."""

    def __init__(self, size):
        self.issued = [0] * size
        self.threads = [0] * size
        self.traffic = Traffic()
        self.schedulers = [0] * 4


def run(function, constants, blocks, threads, shared_start, shared_bytes, memory, slice_of=97, limit=50_000_000):
    """Runs the given blocks of a launch and returns its Counts. `slice_of` instructions of a warp, then the next warp's."""
    code = [None] * len(function.instructions)  # compiled when first met: most of a kernel serves other launches
    counts = Counts(len(code))
    compiler = Compiler(function, constants, shared_start, shared_start + shared_bytes, memory, counts.traffic)
    by_address = function.by_address
    issued, active_threads = counts.issued, counts.threads
    steps = 0
    for place, index in enumerate(blocks):
        block = Block(index, threads, shared_start + shared_bytes)
        while any(w.alive for w in block.warps):
            progress = 0
            for w in block.warps:
                left = slice_of
                while left > 0 and w.groups:
                    pc, mask = w.groups.pop()
                    ran = 0
                    while left > 0:
                        step = code[pc]
                        if step is None:
                            try:
                                step = code[pc] = compiler.compile(function.instructions[pc])
                            except Refused as e:
                                raise Refused(f"{function.instructions[pc]}: {e}") from e
                        f, kind, guard, extra = step
                        left -= 1
                        ran += 1
                        issued[pc] += 1
                        m = mask
                        if guard is not None:
                            uniform, number, negated = guard
                            if uniform:
                                m = mask if bool(w.up[number]) != negated else 0
                            else:
                                m = mask & (~w.p[number] if negated else w.p[number])
                        if m:
                            chosen = lanes(m)
                            active_threads[pc] += len(chosen)
                            try:
                                f(w, m, chosen)
                            except Refused as e:
                                raise Refused(f"{function.instructions[pc]} (block {index}, warp {w.number}): {e}") from e
                        if kind == "plain":
                            pc += 1
                            continue
                        if not m:
                            pc += 1
                            continue
                        if kind == "branch":
                            taken = w.taken
                            if taken == mask:
                                pc = extra
                            elif taken:
                                w.groups += [[pc + 1, mask & ~taken], [extra, taken]]
                                break
                            else:
                                pc += 1
                            continue
                        if kind == "indirect":
                            places = {}
                            for l, address in w.taken.items():
                                places[address] = places.get(address, 0) | 1 << l
                            if mask & ~m:
                                w.groups.append([pc + 1, mask & ~m])
                            w.groups += [[by_address[a], some] for a, some in places.items()]
                        elif kind == "exit":
                            gone = w.taken
                            w.alive &= ~gone
                            w.b = [b & ~gone for b in w.b]
                            if mask & ~gone:
                                w.groups.append([pc + 1, mask & ~gone])
                            w.resume()
                            block.barrier()
                        else:
                            w.waiting.append([pc + 1, m, w.taken])
                            if mask & ~m:
                                w.groups.append([pc + 1, mask & ~m])
                            if w.taken == "block":
                                block.barrier()
                            else:
                                w.resume()
                        break
                    else:
                        w.groups.append([pc, mask])
                    progress += ran
                    counts.schedulers[(place * len(block.warps) + w.number) % 4] += ran
            steps += progress
            if not progress:
                raise Refused(f"block {index}: every warp waits")
            if steps > limit:
                raise Refused(f"more than {limit} warp instructions")
    return counts
