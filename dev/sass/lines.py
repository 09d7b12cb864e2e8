# SPDX-License-Identifier: Apache-2.0
"""Which function of the source an instruction comes from: the line table that `nvcc -lineinfo` leaves in a cubin.

The table is DWARF 2's with one more extended opcode, 0x90: two numbers, the row at which the code that follows was inlined
(counted from 1 within the sequence of a section; 0: nowhere) and the inlined function's name in .debug_str. So the chain of
functions is known by name, whatever file their text stands in. nvdisasm -gi prints the rows' files and lines, but not the names.
"""

import bisect
import re
import struct
import subprocess

from .disassembly import Refused


def _uleb(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            return value, at


def _sleb(data, at):
    value, end = _uleb(data, at)
    bits = 7 * (end - at)
    return (value - (1 << bits) if value >> (bits - 1) & 1 else value), end


def _text(data, at):
    end = data.index(b"\0", at)
    return data[at:end].decode(), end + 1


def sequences(cubin):
    """By section of code: rows (address, file, line, row it was inlined at or 0, mangled name of the inlined function)."""
    table, strings = cubin.find(".debug_line"), cubin.find(".debug_str")
    if table is None or strings is None:
        raise Refused("the cubin has no line table: it was compiled without -lineinfo")
    data, names = cubin.contents(table), cubin.contents(strings)
    relocated = {where: symbol["section"] for where, _, symbol, _ in cubin.relocations(table)}
    found, unit = {}, 0
    while unit < len(data):
        length, version, header = struct.unpack_from("<IHI", data, unit)
        if version != 2:
            raise Refused(f"a line table of DWARF {version}")
        end, start = unit + 4 + length, unit + 10 + header
        step, default, base, span, opcodes = struct.unpack_from("<BBbBB", data, unit + 10)
        at = unit + 15
        arguments = data[at:at + opcodes - 1]
        at += opcodes - 1
        while data[at]:  # directories
            _, at = _text(data, at)
        at, files = at + 1, [None]
        while data[at]:
            name, at = _text(data, at)
            for _ in range(3):
                _, at = _uleb(data, at)
            files.append(name)
        at = start
        while at < end:
            rows, section = [], None
            address, file, line, context, function = 0, 1, 1, 0, None
            while True:
                opcode = data[at]
                at += 1
                if opcode >= opcodes:
                    address += (opcode - opcodes) // span * step
                    line += base + (opcode - opcodes) % span
                    rows.append((address, files[file], line, context, function))
                elif opcode == 0:
                    size, at = _uleb(data, at)
                    kind, after = data[at], at + size
                    if kind == 1:
                        at = after
                        break
                    if kind == 2:
                        section = relocated.get(at + 1)
                        address, = struct.unpack_from("<Q", data, at + 1)
                    elif kind == 0x90:
                        context, where = _uleb(data, at + 1)
                        where, _ = _uleb(data, where)
                        function = _text(names, where)[0] if context else None
                    else:
                        raise Refused(f"the line table's extended opcode {kind:#x} is not known to dev/sass/lines.py")
                    at = after
                elif opcode == 1:
                    rows.append((address, files[file], line, context, function))
                elif opcode == 2:
                    value, at = _uleb(data, at)
                    address += value * step
                elif opcode == 3:
                    value, at = _sleb(data, at)
                    line += value
                elif opcode == 4:
                    file, at = _uleb(data, at)
                elif opcode == 8:
                    address += (255 - opcodes) // span * step
                elif opcode == 9:
                    address += struct.unpack_from("<H", data, at)[0]
                    at += 2
                else:
                    for _ in range(arguments[opcode - 1]):
                        _, at = _uleb(data, at)
            if section is None:
                raise Refused("a sequence of the line table belongs to no section")
            found[section] = rows
        unit = end
    return found


def demangled(names):
    """By mangled name the function's own name, without what surrounds it, templates and parameters. A lambda's is that of the
    function that it stands in."""
    names = sorted(set(names))
    done = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True)
    if done.returncode != 0:
        raise Refused(f"c++filt failed:\n{done.stderr}")
    return {name: own_name(text) for name, text in zip(names, done.stdout.splitlines())}


def own_name(text):
    text = re.sub(r"\) (const|volatile)\b", ")", text)
    text = re.sub(r"\boperator(\(\)|<=|>=|<<|>>|->|<|>)", "operator", text)
    while True:
        shorter = re.sub(r"\([^()]*\)|<[^()<>]*>|\{[^{}()<>]*\}|\[[^\[\]]*\]", "", text)
        if shorter == text:
            break
        text = shorter
    text = re.sub(r"\s+(const|volatile|&|&&)\s*$", "", text.strip())
    parts = [p for p in text.split(" ")[-1].split("::") if p and p != "operator"]
    return parts[-1] if parts else text


class Source:
    """Where in the source each instruction of a function comes from."""

    def __init__(self, cubin, name):
        section = cubin.find(".text." + name)
        rows = sequences(cubin).get(section)
        if not rows:
            raise Refused(f"the line table says nothing of {name}")
        # (size, start, mangled name). Functions that are called stand behind the kernel in its section, whose symbol covers all.
        self.own = sorted((s["size"], s["value"], s["name"].split("$")[-1]) for s in cubin.symbols if s["section"] == section and s["size"])
        self.rows = rows
        self.plain = demangled([r[4] for r in rows if r[4]] + [o[2] for o in self.own])
        self.order = sorted(range(len(rows)), key=lambda n: rows[n][0])  # stable: the last row of an address is what counts
        self.addresses = [rows[n][0] for n in self.order]

    def symbol(self, address):
        """(size, start, mangled name) of the function that an instruction is in: the kernel, or one that is called."""
        for size, start, name in self.own:
            if start <= address < start + size:
                return size, start, name
        raise Refused(f"the instruction at {address:#x} belongs to no function")

    def chain(self, address):
        """((function, file, line), ...) from the function itself to the innermost one that was inlined, and where each of them is."""
        at = bisect.bisect_right(self.addresses, address) - 1
        _, start, symbol = self.symbol(address)
        own = self.plain[symbol]
        if at < 0 or self.addresses[at] < start:
            return ((own, "", 0),)
        found, row = [], self.order[at] + 1
        while row:
            _, file, line, context, function = self.rows[row - 1]
            found.append((self.plain[function] if context else own, file, line))
            row = context
        return tuple(reversed(found))
