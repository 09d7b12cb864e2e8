# SPDX-License-Identifier: Apache-2.0
"""A cubin as nvdisasm prints it: instructions with their operands; and the cubin's own data."""

import re
import struct
import subprocess


class Refused(Exception):
    """Something that this program does not know, and therefore must not guess."""


class Instruction:
    __slots__ = ("address", "text", "guard", "opcode", "modifiers", "operands", "index")

    def __init__(self, address, text):
        self.address, self.text = address, text
        match = re.match(r"(?:@(!?U?P(?:\d|T))\s+)?([A-Z][A-Z0-9_]*)((?:\.[A-Za-z0-9_]+)*)\s*(.*)$", text)
        if not match:
            raise Refused(f"cannot read the instruction: {text}")
        self.guard, self.opcode, modifiers, operands = match.groups()
        self.modifiers = modifiers.split(".")[1:]
        self.operands = split_operands(operands)

    def __repr__(self):
        return f"/*{self.address:04x}*/ {self.text}"


def split_operands(text):
    """At the commas outside brackets and parentheses."""
    text = re.sub(r"\(\*.*?\*\)", "", text)  # nvdisasm's remarks
    parts, depth, current = [], 0, ""
    for c in text:
        depth += c in "[(" and 1 or c in "])" and -1 or 0
        if c == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += c
    if current.strip():
        parts.append(current.strip())
    return [re.sub(r"\.reuse\b", "", p) for p in parts]


class Function:
    """The machine code of a kernel, in order of address; labels are indices into it."""

    def __init__(self, name, instructions, labels):
        self.name, self.instructions, self.labels = name, instructions, labels
        self.by_address = {}
        for i, instruction in enumerate(instructions):
            instruction.index = i
            self.by_address[instruction.address] = i

    def target(self, instruction):
        """The index that a branch, call or barrier names, or None."""
        for operand in instruction.operands:
            match = re.match(r"`\((.*)\)$", operand)
            if match:
                if match.group(1) not in self.labels:
                    raise Refused(f"{instruction}: no such label")
                return self.labels[match.group(1)]
        return None


def function(nvdisasm, cubin, kernel):
    """A kernel's machine code, with that of the functions that it calls, which stand behind it."""
    command = [str(nvdisasm), "-c", str(cubin)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Refused(f"{' '.join(command)} failed:\n{done.stderr}")
    inside, instructions, labels = False, [], {}
    for line in done.stdout.splitlines():
        section = re.match(r"\s*\.section\s+([^,\s]+)", line)
        if section:
            inside = section.group(1) == ".text." + kernel
        elif inside:
            label = re.match(r"([.$_A-Za-z][\w.$]*):\s*$", line)
            if label:
                labels[label.group(1)] = len(instructions)
            code = re.match(r"\s*/\*([0-9a-f]{4,})\*/\s+(.*?)\s*;\s*$", line)
            if code:
                instructions.append(Instruction(int(code.group(1), 16), code.group(2)))
    if not instructions:
        raise Refused(f"{cubin} has no kernel {kernel}")
    return Function(kernel, instructions, labels)


class Cubin:
    """The parts of a cubin's ELF file that a launch needs: constants, initial global data and the sizes of parameters."""

    def __init__(self, data):
        self.data = data
        if data[:4] != b"\x7fELF":
            raise Refused("not an ELF file")
        offset, = struct.unpack_from("<Q", data, 0x28)
        size, count, names = struct.unpack_from("<HHH", data, 0x3A)
        raw = [struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(count)]
        strings = raw[names][4]
        self.sections = [dict(name=self._string(strings + s[0]), type=s[1], offset=s[4], size=s[5], link=s[6], info=s[7],
                              entry=s[9]) for s in raw]
        self.symbols = []
        for section in self.sections:
            if section["type"] == 2:
                table = self.sections[section["link"]]["offset"]
                for at in range(section["offset"], section["offset"] + section["size"], 24):
                    name, _, _, index, value, length = struct.unpack_from("<IBBHQQ", data, at)
                    self.symbols.append(dict(name=self._string(table + name), section=index, value=value, size=length))

    def _string(self, at):
        return self.data[at:self.data.index(b"\0", at)].decode()

    def find(self, name):
        return next((i for i, s in enumerate(self.sections) if s["name"] == name), None)

    def contents(self, index):
        s = self.sections[index]
        return bytes(s["size"]) if s["type"] == 8 else self.data[s["offset"]:s["offset"] + s["size"]]

    def relocations(self, index):
        for s in self.sections:
            if s["type"] in (4, 9) and s["info"] == index:
                for at in range(s["offset"], s["offset"] + s["size"], s["entry"]):
                    where, info = struct.unpack_from("<QQ", self.data, at)
                    addend = struct.unpack_from("<q", self.data, at + 16)[0] if s["type"] == 4 else 0
                    yield where, info & 0xFFFFFFFF, self.symbols[info >> 32], addend

    def _attributes(self, section):
        """(attribute, value) of a .nv.info section: format, attribute, then a 16-bit value or length."""
        data, at = self.contents(section), 0
        while at < len(data):
            kind, attribute, value = data[at], data[at + 1], struct.unpack_from("<H", data, at + 2)[0]
            at += 4
            if kind == 4:
                yield attribute, data[at:at + value]
                at += value
            else:
                yield attribute, value

    def parameters(self, kernel):
        """(offset, size) of each parameter of a kernel, and the offset of the first in constant bank 0."""
        found, base = {}, None
        for attribute, value in self._attributes(self.find(".nv.info." + kernel)):
            if attribute == 0x17:  # EIATTR_KPARAM_INFO
                ordinal, offset, size = struct.unpack_from("<HHI", value, 4)
                found[ordinal] = (offset, size >> 18)
            elif attribute == 0x0A:  # EIATTR_PARAM_CBANK
                base, = struct.unpack_from("<H", value, 4)
        return [found[i] for i in sorted(found)], base

    def kernels(self):
        """Symbols of the entry functions."""
        prefix = ".nv.info."
        return [s["name"][len(prefix):] for i, s in enumerate(self.sections) if s["name"].startswith(prefix) and
                any(attribute == 0x0A for attribute, _ in self._attributes(i))]

    def registers(self, kernel):
        for attribute, value in self._attributes(self.find(".nv.info")):
            if attribute == 0x2F:  # EIATTR_REGCOUNT
                symbol, number = struct.unpack("<II", value)
                if self.symbols[symbol]["name"] == kernel:
                    return number
        raise Refused(f"the cubin does not say how many registers {kernel} has")

    def static_shared(self, kernel):
        index = self.find(".nv.shared." + kernel)
        return self.sections[index]["size"] if index is not None else 0
