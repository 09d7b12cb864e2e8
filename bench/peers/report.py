#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the tables, the bars and the plot from measure.py's results.

    report.py RESULTS.json [OUT.png]      prints the tables again, and draws the plot again
"""
import json
import math
import statistics
import sys

from rivals import DTYPES, NORMAL, TARGETS, TRUNCATED, UNIFORM

SMALL = 1 << 10
KINDS = (TRUNCATED, NORMAL, UNIFORM)


# ---------------------------------------------------------------- numbers


def seconds(result):
    return statistics.median(result["seconds"])


def rate(result):
    """10^9 elements a second."""
    return result["elements"] / seconds(result) / 1e9


def spread(result):
    """The width of the middle half of the samples, as a fraction of the median."""
    if len(result["seconds"]) < 2:
        return 0.0
    low, _, high = statistics.quantiles(result["seconds"], n=4, method="inclusive")
    return (high - low) / seconds(result)


def share_of_core(results):
    """The part of the time in which the measured processes had their core, while they ran on one thread."""
    alone = [r for r in results if r["threads"] == 1]
    return sum(sum(r["on core"]) * r["repeats"] for r in alone) / sum(sum(r["seconds"]) * r["repeats"] for r in alone)


def fastest(results):
    return max(results, key=rate, default=None)


def ratio(ours, theirs):
    """The ratio of elements a second, and the middle half of the rounds' ratios."""
    rounds = [ours["elements"] / a / (theirs["elements"] / b) for a, b in zip(ours["seconds"], theirs["seconds"])]
    low, _, high = statistics.quantiles(rounds, n=4, method="inclusive") if len(rounds) > 1 else (rounds * 3)
    return rate(ours) / rate(theirs), low, high


class Results:
    def __init__(self, data):
        self.data = data
        self.all = data["results"]

    def some(self, rival=None, what=None, how="", dtype="float32", wanted=None, threads=1):
        """rival: a name or several; wanted: a number of elements, or None for the largest measured."""
        rivals = (rival,) if isinstance(rival, str) else rival
        wanted = wanted or self.data["most"]
        return [r for r in self.all if (rivals is None or r["rival"] in rivals) and (what is None or r["what"] == what)
                and how in r["how"] and r["dtype"] == dtype and r["wanted"] == wanted and r["threads"] == threads]

    def one(self, *arguments, **options):
        return fastest(self.some(*arguments, **options))


# ---------------------------------------------------------------- the bars

MKL = ("MKL", "MKL forced")
FRAMEWORKS = ("PyTorch", "PyTorch compiled", "JAX", "Keras on TensorFlow", "Keras on JAX", "Keras on PyTorch")
# The bars for a processor with AVX-512: a distribution, a rival, and the ratio of elements a second that fanin must reach.
AGAINST = [
    (TRUNCATED, "MKL's plain Gaussian, Philox", 1.5), (TRUNCATED, "the ceiling", 0.42),
    (TRUNCATED, "the fastest of Keras, JAX, PyTorch", 25),
    (NORMAL, "MKL's Gaussian, Philox", 1.7), (NORMAL, "the ceiling", 0.48),
    (UNIFORM, "MKL's uniform, Philox", 1.2), (UNIFORM, "the ceiling", 0.8)]


def bars(results):
    """(what, bar, measured, low, high, met, remark) of each bar; measured is None if it was not measured."""
    rows = []

    def compare(label, ours, theirs, bar, remark=""):
        if ours is None or theirs is None:
            rows.append((label, bar, None, None, None, None, "not measured"))
            return
        found, low, high = ratio(ours, theirs)
        rows.append((label, bar, found, low, high, found >= bar, remark))

    for what, against, bar in AGAINST:
        if "MKL" in against:
            for rival in MKL:  # as it comes, and forced to the kernels that it uses on Intel's processors
                theirs = results.one(rival, UNIFORM if what == UNIFORM else NORMAL, "Philox")
                if theirs:
                    compare(f"{what} against {against}", results.one("fanin", what), theirs, bar,
                            f"{title(rival)}: {theirs['how']}")
            continue
        if "ceiling" in against:
            theirs = results.one("memory", "memory")
        else:
            theirs = results.one(FRAMEWORKS, what)
        remark = f"{title(theirs['rival'])}: {theirs['how']}" if theirs else ""
        compare(f"{what} against {against}", results.one("fanin", what), theirs, bar, remark)
    for dtype, bar in (("bfloat16", 0.9), ("float64", 0.4)):
        for what in KINDS:
            compare(f"{what}, {dtype} against float32", results.one("fanin", what, dtype=dtype),
                    results.one("fanin", what), bar)
    for what in KINDS:
        compare(f"{what}, AVX2 against AVX-512", results.one("fanin avx2", what), results.one(("fanin avx512", "fanin avx512_vbmi"), what), 0.4)
    for what in KINDS:
        compare(f"{what}, 2 threads against 1", results.one("fanin", what, threads=2), results.one("fanin", what), 1.8)
    return rows


def bar_section(results):
    lines = ["### The bars", "",
             "The ratio is that of the medians of the elements a second; the range is the middle half of the ratios within one "
             "round.", "",
             "| bar | at least | measured | range | | |", "| --- | --- | --- | --- | --- | --- |"]
    rows = bars(results)
    for label, bar, found, low, high, met, remark in rows:
        if found is None:
            lines.append(f"| {label} | {bar:g} | | | not measured | |")
        else:
            lines.append(f"| {label} | {bar:g} | {found:.3g} | {low:.3g} to {high:.3g} | {'met' if met else '**not met**'} | {remark} |")
    verdicts = [row[5] for row in rows]
    for what in KINDS:
        small = results.one("fanin", what, wanted=SMALL)
        if small:
            micro = seconds(small) * 1e6
            met = micro < 2
            verdicts.append(met)
            lines.append(f"| {what}, 4 KiB, microseconds | under 2 | {micro:.3g} | spread {spread(small):.0%} | "
                         f"{'met' if met else '**not met**'} | |")
    lines += ["", f"{verdicts.count(True)} met, {verdicts.count(False)} not met, {verdicts.count(None)} not measured.", ""]
    return lines


# ---------------------------------------------------------------- tables


def cell(result):
    return f"{rate(result):.3g} ±{spread(result) / 2:.0%}" if result else ""


def title(name):
    if name == "MKL forced":
        return "MKL, forced"
    if name == "fanin":
        return "**fanin**"
    if name == "memory":
        return "ceiling"
    return name


def rival_section(results):
    ceiling = results.one("memory", "memory")
    lines = ["### One thread, float32", "",
             "10^9 elements/s: the median, ± half the range of the middle half of the repetitions.", ""]
    if ceiling:
        lines += ["| ceiling | 10^9 elements/s | GB/s |", "| --- | --- | --- |"]
        lines += [f"| {r['how']} | {cell(r)} | {rate(r) * 4:.3g} |" for r in results.some("memory")]
        lines += ["", f"The better of the two that write no zeros, {ceiling['how']}, is the ceiling below: zeros over zeros can be "
                  "cheaper than weights could ever be.", ""]
    fewer = False
    for what in KINDS:
        found = sorted((r for r in results.some(None, what) if not r["rival"].startswith("fanin ")), key=rate, reverse=True)
        if not found:
            continue
        ours = results.one("fanin", what)
        lines += [f"| {what} | | 10^9 elements/s | of the ceiling | fanin over it |", "| --- | --- | --- | --- | --- |"]
        for r in found:
            mark = "†" if r["elements"] < r["wanted"] else ""
            fewer = fewer or bool(mark)
            lines.append(f"| {title(r['rival'])} | {r['how']}{mark} | {cell(r)} | "
                         f"{'%.3f' % (rate(r) / rate(ceiling)) if ceiling else ''} | "
                         f"{'' if r is ours or not ours else '%.3g' % (rate(ours) / rate(r))} |")
        lines.append("")
    if fewer:
        lines += ["† on fewer elements, because one run of all would take more than 2.5 s: " +
                  "; ".join(f"{r['rival']} {r['how']}: 2^{int(math.log2(r['elements']))}" for r in results.all
                            if r["elements"] < r["wanted"]) + ".", ""]
    return lines


def own_section(results):
    columns = [("fanin", "chosen by itself")] + [("fanin " + target, target) for target in TARGETS]
    columns = [c for c in columns if results.some(c[0])]
    if not columns:
        return []
    lines = ["### fanin's dtypes, distributions and targets", "", "10^9 elements/s on one thread, as above.", "",
             "| | | " + " | ".join(heading for _, heading in columns) + " |", "| --- " * (len(columns) + 2) + "|"]
    for dtype in DTYPES:
        for what in KINDS:
            cells = [cell(results.one(name, what, dtype=dtype)) for name, _ in columns]
            if any(cells):
                lines.append(f"| {dtype} | {what} | " + " | ".join(cells) + " |")
    return lines + [""]


def size_section(results, sizes):
    lines = ["### Rate against size", "", "10^9 elements/s of float32 on one thread, medians.", ""]
    for what in ("memory",) + KINDS:
        found = {}
        for r in results.all:
            if r["what"] == what and r["dtype"] == "float32" and r["threads"] == 1 and not r["rival"].startswith("fanin "):
                found.setdefault((r["rival"], r["how"]), {})[r["wanted"]] = r
        found = {key: by_size for key, by_size in found.items() if set(sizes) <= set(by_size)}
        if not found:
            continue
        lines += [f"| {what} | | " + " | ".join(f"2^{int(math.log2(s))}" for s in sizes) + " |", "| --- " * (len(sizes) + 2) + "|"]
        lines += [f"| {title(rival)} | {how} | " + " | ".join(f"{rate(by_size[s]):.3g}" for s in sizes) + " |"
                  for (rival, how), by_size in found.items()]
        lines.append("")
    return lines


def thread_section(results):
    counts = sorted({r["threads"] for r in results.all})
    lines = ["### Threads", "", "10^9 elements/s of float32, and times the rate of one thread.", "",
             "| | | " + " | ".join(map(str, counts)) + " |", "| --- " * (len(counts) + 2) + "|"]
    for one in results.some(("memory", "fanin")):
        cells = []
        for count in counts:
            r = results.one(one["rival"], one["what"], one["how"], threads=count)
            cells.append(f"{rate(r):.3g} (× {rate(r) / rate(one):.2f})" if r else "")
        lines.append(f"| {title(one['rival'])} | {one['how']} | " + " | ".join(cells) + " |")
    return lines + [""]


def small_section(results):
    lines = ["### 4 KiB", "", "Time of a fill of 1024 float32 elements, in a loop, on one thread.", "",
             "| | | | microseconds | spread |", "| --- | --- | --- | --- | --- |"]
    for r in sorted(results.some(wanted=SMALL), key=lambda r: (r["what"], seconds(r))):
        lines.append(f"| {r['what']} | {title(r['rival'])} | {r['how']} | {seconds(r) * 1e6:.3g} | {spread(r):.0%} |")
    return lines + [""]


def markdown(data):
    results = Results(data)
    machine = data["machine"]
    # fanin's targets count as one rival
    versions = dict.fromkeys(f"{'fanin' if name.startswith('fanin') else name} {version}" for name, version in data["versions"].items())
    lines = [
        "## Host memory beside its rivals", "",
        f"{data['date']}, {machine['processor']}, {machine['cores']} cores"
        f"{' of a virtual machine' if machine['virtual'] else ''}, {machine['vector instructions']}; {machine['system']}, "
        f"{machine['compiler']}, Python {machine['python']}, huge pages: {machine['huge pages']}.  ",
        f"`{data['command'].strip()}` at {data['commit']}, {data['minutes']:.0f} minutes: {data['repetitions']} repetitions, interleaved in "
        f"random order, medians; each rival in a process of its own, warm, pinned to core {data['cores'][0]}, on one thread unless "
        f"told; at most 2^{int(math.log2(data['most']))} elements. While they ran "
        f"they had the core {share_of_core(data['results']):.1%} of the time.  ",
        "; ".join(versions) + ".", ""]
    if data["quick"]:
        lines += ["**A rehearsal (--quick), not a result.**", ""]
    lines += ["JAX and Keras allocate what they return, from warm memory of their process; all others write to memory that is there. "
              "NumPy's values are not scaled. Keras and PyTorch's own initializers are not compiled unless a row says so.", ""]
    forced = data["versions"].get("MKL forced")
    if forced:
        lines += [f"MKL takes its SSE2 kernels on this processor, which is not Intel's ({data['versions']['MKL']}), whatever "
                  f"MKL_ENABLE_INSTRUCTIONS says; *forced*, it was handed its wider ones ({forced.split('kernels: ')[-1]}).", ""]
    table = bool(results.some("NumPy") or results.some("MKL") or results.some("PyTorch")) or bool(results.some("fanin"))
    sizes = sorted({r["wanted"] for r in results.all})
    if table:
        lines += bar_section(results) + rival_section(results) + own_section(results)
    if len(sizes) > 2:
        lines += size_section(results, sizes)
    if len({r["threads"] for r in results.all}) > 1:
        lines += thread_section(results)
    if results.some(wanted=SMALL) and data["most"] != SMALL:
        lines += small_section(results)
    if data["left out"] or data["not installed"]:
        lines += ["### Left out", ""]
        lines += [f"- {name}: {why}" for name, why in data["left out"].items()]
        lines += [f"- could not install {line}" for line in data["not installed"]]
        lines.append("")
    return "\n".join(lines)


# ---------------------------------------------------------------- the plot

# The lines of a panel: label, rivals, part of `how`, colour, style. The fastest of several results is drawn.
LINES = [
    ("memset or streaming stores", ("memory",), "", "#8a8a8a", "--"),
    ("fanin", ("fanin",), "", "#c2410c", "-"),
    ("MKL, Philox", MKL, "Philox", "#1d4ed8", "-"),
    ("MKL, its fastest generator", MKL, "", "#1d4ed8", ":"),
    ("NumPy", ("NumPy",), "", "#15803d", "-"),
    ("C++ standard library", ("C++",), "", "#4b5563", "-"),
    ("PyTorch", ("PyTorch",), "", "#a16207", "-"),
    ("JAX", ("JAX",), "", "#7e22ce", "-"),
    ("Keras, its fastest back end", ("Keras on TensorFlow", "Keras on JAX", "Keras on PyTorch"), "", "#be185d", "-"),
]


def plot(data, path):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, NullLocator

    results = Results(data)
    sizes = sorted({r["wanted"] for r in results.all})
    figure, panels = plt.subplots(1, 3, figsize=(13, 5.6), sharey=True, layout="constrained")
    labels = {}
    for panel, what in zip(panels, KINDS):
        for label, rivals, how, colour, style in LINES:
            of = "memory" if rivals == ("memory",) else what
            if what == TRUNCATED and rivals == MKL:
                of = NORMAL  # MKL has no truncated normal, so its plain normal is drawn
            points = [(r["elements"], rate(r)) for r in (results.one(rivals, of, how, wanted=s) for s in sizes) if r]
            if len(points) > 1:
                ours = label == "fanin"
                line, = panel.plot(*zip(*points), style, color=colour, linewidth=2.6 if ours else 1.5, marker="o" if style == "-" else None,
                                   markersize=5 if ours else 3.5, zorder=3 if ours else 2)
                labels.setdefault(label, line)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_title("truncated normal (MKL: plain normal)" if what == TRUNCATED else what, fontsize=11)
        panel.set_xlabel("float32 elements in a fill")
        panel.set_xticks(sizes[::2])
        panel.xaxis.set_minor_locator(NullLocator())
        panel.grid(True, which="major", color="#dddddd", linewidth=0.8)
        panel.grid(True, which="minor", axis="y", color="#f0f0f0", linewidth=0.6)
        panel.set_axisbelow(True)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    panels[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panels[0].set_ylabel("10⁹ elements/s, one thread")
    machine = data["machine"]
    figure.suptitle(f"Fills of warm host memory, {machine['processor'].split(',')[0]} ({machine['vector instructions']}), {data['date']}: "
                    f"medians of {data['repetitions']}", fontsize=12)
    figure.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        saved = json.load(file)
    print(markdown(saved))
    if len(sys.argv) > 2:
        plot(saved, sys.argv[2])
