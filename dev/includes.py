#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks and draws which room of the source tree includes which: docs/architecture.md explains the rooms.

    dev/includes.py                 print the rooms, what each includes, and what breaks a rule
    dev/includes.py --check         print only what breaks a rule, an outdated drawing included (scripts/lint)
    dev/includes.py --svg FILE      draw the graph; docs/architecture.svg is the committed drawing

The exit status is 1 if an include breaks a rule. The rules:

1. An include of a project file is quoted and names its room: "formulas/scheme.h". python/src may use plain names.
2. A room includes only rooms of lower layers. A public header belongs to the room of its source.
3. include/fanin/core includes nothing but <cstdint>, <cstddef> and itself.
4. cli/ and python/src include only public headers, of which core has none, and their own.
"""
import argparse
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DRAWING = "docs/architecture.svg"

# Room: its folder, its layer, its horizontal position in the drawing, and its job.
ROOMS = {
    "core": ("include/fanin/core", 0, 215, "the value contract: pure functions"),
    "base": ("src/base", 0, 535, "dtype, device, shape, text, errors"),
    "formulas": ("src/formulas", 1, 535, "fans, distributions, expressions"),
    "params": ("src/params", 2, 375, "FillParams, index maps, clamping"),
    "cpu": ("src/cpu", 3, 215, "loops, threads, SIMD"),
    "cuda": ("cuda", 3, 535, "launches, devices, kernels"),
    "api": ("src/api", 4, 375, "Initializer, Plan, Tensor, fill"),
    "config": ("src/config", 5, 375, "Keras's JSON, both dialects"),
    "model": ("src/model", 6, 375, "specifications, safetensors"),
    "c": ("src/c", 7, 125, "the C interface"),
    "cli": ("cli", 7, 375, "the program fanin"),
    "python": ("python/src", 7, 625, "the extension module"),
}

# base may include core, which is drawn beside it.
SAME_LAYER = {("base", "core")}

# Public headers without a source. Each other one belongs to the room of the source that has its name.
INLINE_HEADERS = {
    "device.cuh": "params",
    "error.h": "base",
    "export.h": "base",
    "moment_sums.h": "base",
    "options.h": "api",
    "cuda_types.h": "base",
    "statistics.h": "api",
    "thrust.h": "api",
    "version.h": "base",
}
UMBRELLA = "include/fanin/fanin.hpp"  # stands for all that it includes

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
SUFFIXES = {".c", ".h", ".cpp", ".hpp", ".cu", ".cuh"}


def includes_of(path):
    """(quote, name) of each include, in order."""
    return INCLUDE.findall((ROOT / path).read_text(encoding="utf-8"))


def project_files():
    folders = [folder for folder, *_ in ROOMS.values()] + ["include"]
    found = {path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES}
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


class Tree:
    def __init__(self):
        self.broken = []
        self.edges = {}  # (room, room): the including files
        self.files = project_files()
        known = set(self.files)
        homes = self.header_homes()
        self.umbrella_rooms = sorted({homes[name] for _, include in includes_of(UMBRELLA)
                                      if (name := include.partition("/")[2]) in homes})
        for path in self.files:
            if path != UMBRELLA:
                self.read(path, known, homes)

    def header_homes(self):
        """The room of each public header, by its name."""
        homes, unused = {}, dict(INLINE_HEADERS)
        for path in self.files:
            if not path.startswith("include/fanin/") or path == UMBRELLA or self.room_of_source(path):
                continue
            name = path.rpartition("/")[2]
            if name in INLINE_HEADERS:
                homes[name] = unused.pop(name)
                continue
            stem = name.partition(".")[0]
            sources = [source for source in self.files if source.startswith("src/") and source.endswith(f"/{stem}.cpp")]
            if len(sources) > 1:
                sources = [source for source in sources if ('"', f"fanin/{name}") in includes_of(source)]
            if len(sources) == 1:
                homes[name] = self.room_of_source(sources[0])
            else:
                self.broken.append(f"{path}: it needs one source src/*/{stem}.cpp, or a line in INLINE_HEADERS")
        self.broken += [f"dev/includes.py: INLINE_HEADERS lists {name} without need" for name in unused]
        return homes

    @staticmethod
    def room_of_source(path):
        return max((room for room, (folder, *_) in ROOMS.items() if path.startswith(folder + "/")),
                   key=lambda room: len(ROOMS[room][0]), default=None)

    def read(self, path, known, homes):
        room = self.room_of_source(path) or homes.get(path.rpartition("/")[2])
        if room is None:
            return
        for quote, name in includes_of(path):
            candidates = [f"include/{name}", f"src/{name}", name]
            if room == "python":
                candidates.append(f"{path.rpartition('/')[0]}/{name}")
            target = next((candidate for candidate in candidates if candidate in known), None)
            if room == "core" and target is None and name not in ("cstdint", "cstddef"):
                self.broken.append(f"{path}: core includes only <cstdint> and <cstddef>, not {name}")
            elif target is None:
                if quote == '"' and room != "python":
                    self.broken.append(f'{path}: "{name}" is not the path of a project file that begins with its room')
            elif quote == "<":
                self.broken.append(f"{path}: <{name}> is a project file and belongs in quotes")
            elif target == UMBRELLA:
                for other in self.umbrella_rooms:
                    self.add(path, room, other, name)
            elif target.startswith("include/") and not self.room_of_source(target):
                self.add(path, room, homes.get(target.rpartition("/")[2]), name)
            else:
                other = self.room_of_source(target)
                if room in ("cli", "python") and other != room:
                    self.broken.append(f"{path}: {room} includes only public headers, not {name}")
                self.add(path, room, other, name)

    def add(self, path, room, other, name):
        if other is None or other == room:
            return
        self.edges.setdefault((room, other), set()).add(path)
        if not allowed(room, other):
            self.broken.append(f"{path}: {room} must not include {other} ({name})")

    def targets(self, room):
        return [other for other in ROOMS if (room, other) in self.edges]

    def rooms(self):
        return [room for room, (folder, *_) in ROOMS.items()
                if any(path.startswith(folder + "/") for path in self.files)]

    def cycles(self):
        """Groups of rooms that include each other, directly or not."""
        def reached(room):
            seen, todo = set(), [room]
            while todo:
                for other in self.targets(todo.pop()):
                    if other not in seen:
                        seen.add(other)
                        todo.append(other)
            return seen
        reach = {room: reached(room) for room in ROOMS}
        groups = {tuple(b for b in ROOMS if b in reach[a] and a in reach[b]) for a in ROOMS}
        return sorted(group for group in groups if group)

    def direct_edges(self):
        """Edges that do not follow from two others; those that break a rule are all kept."""
        good = {edge for edge in self.edges if allowed(*edge)}

        def reaches(a, b, banned):
            return any((a, c) in good and (a, c) != banned and (c == b or reaches(c, b, banned)) for c in ROOMS)
        return [edge for edge in sorted(self.edges) if edge not in good or not reaches(*edge, edge)]


def allowed(room, other):
    return ROOMS[other][1] < ROOMS[room][1] or (room, other) in SAME_LAYER


# ---- the drawing

WIDTH, BOX_WIDTH, BOX_HEIGHT, ROW_HEIGHT = 750, 236, 62, 98


def drawing(tree):
    """SVG with opaque boxes and mid-grey lines, so that it is readable on a light and on a dark page."""
    rooms = tree.rooms()
    rows = sorted({ROOMS[room][1] for room in rooms}, reverse=True)
    top = {room: 12 + rows.index(ROOMS[room][1]) * ROW_HEIGHT for room in rooms}
    height = 12 + len(rows) * ROW_HEIGHT - (ROW_HEIGHT - BOX_HEIGHT) + 12
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
           'font-family="sans-serif" text-anchor="middle">',
           "<!-- SPDX-License-Identifier: Apache-2.0; drawn by dev/includes.py -->",
           "<title>The rooms of fanin's source tree and what they include</title>",
           "<defs>"]
    colours = {"good": "#808890", "bad": "#d03030"}
    for kind, colour in colours.items():
        out.append(f'<marker id="{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
                   f'<path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>')
    out.append("</defs>")
    for a, b in tree.direct_edges():
        if a not in top or b not in top:
            continue
        xa, xb = ROOMS[a][2], ROOMS[b][2]
        down = top[b] > top[a]
        ya, yb = top[a] + (BOX_HEIGHT if down else 0), top[b] + (0 if down else BOX_HEIGHT)
        if top[a] == top[b]:
            ya = yb = top[a] + BOX_HEIGHT // 2
            side = BOX_WIDTH // 2 if xb > xa else -BOX_WIDTH // 2
            xa, xb = xa + side, xb - side
        else:  # towards the other room, so that arrows stay apart
            shift = max(-60, min(60, (xb - xa) // 3))
            xa, xb = xa + shift, xb - shift
        line = f"M{xa} {ya}L{xb} {yb}"
        if abs(top[a] - top[b]) > ROW_HEIGHT and abs(ROOMS[a][2] - ROOMS[b][2]) > BOX_WIDTH:  # around the rooms between
            side = ROOMS[b][2] + (BOX_WIDTH // 2 if xa > xb else -BOX_WIDTH // 2)
            line = f"M{ROOMS[a][2]} {ya}V{top[b] + BOX_HEIGHT // 2}H{side}"
        kind = "good" if allowed(a, b) else "bad"
        out.append(f'<path d="{line}" fill="none" stroke="{colours[kind]}" stroke-width="1.5" '
                   f'marker-end="url(#{kind})"/>')
    for room in rooms:
        folder, _, x, job = ROOMS[room]
        left, y = x - BOX_WIDTH // 2, top[room]
        used = "uses " + (", ".join(tree.targets(room)) or "nothing")
        out.append(f'<rect x="{left}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="#eef2f6" '
                   'stroke="#808890"/>')
        for dy, size, weight, colour, text in ((19, 14, "bold", "#102030", folder + "/"), (36, 11, "normal", "#102030", job),
                                               (53, 9 if len(used) < 46 else 8, "normal", "#506070", used)):
            out.append(f'<text x="{x}" y="{y + dy}" font-size="{size}" font-weight="{weight}" fill="{colour}">{text}</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="print only what is wrong")
    parser.add_argument("--svg", metavar="FILE", help="draw the graph")
    options = parser.parse_args()

    tree = Tree()
    broken = sorted(set(tree.broken)) + [f"a cycle of rooms: {', '.join(group)}" for group in tree.cycles()]
    if options.svg:
        pathlib.Path(options.svg).write_text(drawing(tree), encoding="utf-8")
    if options.check:
        committed = ROOT / DRAWING
        if not committed.exists() or committed.read_text(encoding="utf-8") != drawing(tree):
            broken.append(f"{DRAWING} is out of date: dev/includes.py --svg {DRAWING}")
    else:
        for room in tree.rooms():
            print(f"{ROOMS[room][0]:14} layer {ROOMS[room][1]}   includes {', '.join(tree.targets(room)) or 'nothing'}")
        print(f"{len(tree.rooms())} rooms, {len(tree.edges)} arrows, {len(broken)} broken rules")
    for line in broken:
        print(line)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
