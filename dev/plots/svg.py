# SPDX-License-Identifier: Apache-2.0
"""Pictures as SVG: text of 12 pixels and more in a width of 440, so that they can be read on a phone, in colours that follow the
reader's light or dark scheme."""
import html
import math

WIDTH = 440
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .small { font-size: 12px; fill: #57606a } .title { font-weight: 600 }
.code { font: 12px ui-monospace, monospace } .end { text-anchor: end } .middle { text-anchor: middle }
.box { fill: #f6f8fa; stroke: #8c959f } .grid { stroke: #d8dee4; fill: none } .axis { stroke: #8c959f; fill: none }
.ours { fill: #1a7f37 } .theirs { fill: #8c959f } .arrow { stroke: #57606a; fill: none } .soft { fill-opacity: 0.25 }
.a { fill: #0969da } .b { fill: #bc4c00 } .c { fill: #1a7f37 } .d { fill: #8250df } .e { fill: #6e7781 }
.line { fill: none; stroke-width: 2; stroke-linejoin: round } .wanted { stroke-dasharray: 4 3; stroke-width: 1.5 }
.line.a { stroke: #0969da } .line.b { stroke: #bc4c00 } .line.c { stroke: #1a7f37 } .line.d { stroke: #8250df } .line.e { stroke: #6e7781 }
.line { fill: none !important }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .box { fill: #161b22; stroke: #6e7681 } .grid { stroke: #30363d } .axis { stroke: #6e7681 }
  .ours { fill: #3fb950 } .theirs { fill: #6e7681 } .arrow { stroke: #9198a1 }
  .a { fill: #58a6ff } .b { fill: #f0883e } .c { fill: #3fb950 } .d { fill: #bc8cff } .e { fill: #9198a1 }
  .line.a { stroke: #58a6ff } .line.b { stroke: #f0883e } .line.c { stroke: #3fb950 } .line.d { stroke: #bc8cff } .line.e { stroke: #9198a1 } }
"""


def picture(height, label, parts, width=WIDTH):
    """The whole document. The label says what the picture shows, for readers who do not see it."""
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:g}" viewBox="0 0 {width} {height:g}" '
                      f'role="img" aria-label="{html.escape(label, quote=True)}">', f"<style>{STYLE}</style>",
                      '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
                      '<path d="M0 0 L8 4 L0 8" class="arrow"/></marker></defs>', *parts, "</svg>"]) + "\n"


def text(x, y, words, style=""):
    return f'<text x="{x:g}" y="{y:g}"{f" class={chr(34)}{style}{chr(34)}" if style else ""}>{html.escape(words)}</text>'


def box(x, y, width, height, style="box", radius=4):
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" class="{style}"/>'


def path(points, style, closed=False):
    return f'<path d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}{" Z" if closed else ""}" class="{style}"/>'


def arrow(x1, y1, x2, y2):
    return f'<path d="M{x1:g} {y1:g} L{x2:g} {y2:g}" class="arrow" marker-end="url(#tip)"/>'


class Axes:
    """A rectangle of the picture with a scale on each side; logarithmic scales have a base."""

    def __init__(self, left, top, width, height, x_range, y_range, x_base=None, y_base=None):
        self.left, self.top, self.width, self.height = left, top, width, height
        self.x_range, self.y_range, self.x_base, self.y_base = x_range, y_range, x_base, y_base

    def x(self, value):
        return self.left + self.width * share(value, self.x_range, self.x_base)

    def y(self, value):
        return self.top + self.height * (1 - share(value, self.y_range, self.y_base))

    def frame(self, x_ticks, y_ticks):
        """Lines of the grid, and their names: pairs of a value and a text."""
        right, bottom = self.left + self.width, self.top + self.height
        parts = [path([(self.left, self.y(value)), (right, self.y(value))], "grid") for value, _ in y_ticks]
        parts += [path([(self.x(value), bottom), (self.x(value), bottom + 4)], "axis") for value, _ in x_ticks]
        parts += [path([(self.left, bottom), (right, bottom)], "axis")]
        parts += [text(self.left - 6, self.y(value) + 4, name, "small end") for value, name in y_ticks]
        return parts + [text(self.x(value), bottom + 18, name, "small middle") for value, name in x_ticks]

    def line(self, points, style):
        return path([(self.x(x), self.y(y)) for x, y in points], f"line {style}")

    def bars(self, edges, heights, style):
        """A histogram as one outline."""
        points = [(self.x(edges[0]), self.y(0))]
        for k, height in enumerate(heights):
            points += [(self.x(edges[k]), self.y(height)), (self.x(edges[k + 1]), self.y(height))]
        return path([*points, (self.x(edges[-1]), self.y(0))], f"{style} soft", closed=True)


def share(value, limits, base):
    low, high = limits
    if base:
        value, low, high = (math.log(number, base) for number in (value, low, high))
    return (value - low) / (high - low)


def legend(x, y, entries, step=18):
    """Names beside a line of their colour: pairs of a style and a text."""
    parts = []
    for number, (style, words) in enumerate(entries):
        parts += [path([(x, y + step * number - 4), (x + 18, y + step * number - 4)], f"line {style}"),
                  text(x + 24, y + step * number, words)]
    return parts
