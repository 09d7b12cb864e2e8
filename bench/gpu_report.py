#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One report of what scripts/gpu_check found: stages, bars, tables, and a plot if matplotlib is there.

    gpu_report.py DIRECTORY      reads benchmark.json, rivals.json, issue_rates.json, stages.tsv and machine.txt there,
                                 those that are there; writes report.md and gpu_rates.png
"""
import json
import math
import pathlib
import statistics
import sys

LEAST_FOR_BARS = 1 << 28  # bytes: smaller fills are a matter of launches, not of rates


# ---------------------------------------------------------------- numbers


def seconds(row):
    return statistics.median(row["seconds"])


def rate(row):
    return row["elements"] / seconds(row)


def bandwidth(row):
    return row["bytes"] / seconds(row)


def half_spread(row):
    """Half the range of the middle half of the samples, as a part of the median."""
    if len(row["seconds"]) < 2:
        return 0.0
    low, _, high = statistics.quantiles(row["seconds"], n=4, method="inclusive")
    return (high - low) / seconds(row) / 2


def power(size):
    return f"2^{math.log2(size):.0f}" if size & (size - 1) == 0 else f"{size}"


class Results:
    def __init__(self, folder):
        self.benchmark = self.load(folder / "benchmark.json")
        self.rivals = self.load(folder / "rivals.json")
        self.rates = self.load(folder / "issue_rates.json")
        self.rows = [r for part in (self.benchmark, self.rivals) for r in part.get("rows", []) if r["seconds"]]
        self.sizes = sorted({r["bytes"] for r in self.rows if r["group"] == "size"})
        self.most = max(self.sizes, default=0)
        self.rehearsal = bool(self.benchmark.get("quick"))
        self.judged = not self.rehearsal and self.most >= LEAST_FOR_BARS

    @staticmethod
    def load(path):
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError):
            return {}

    def some(self, name=None, dtype=None, group="size", size=None, l2=None, how=None):
        """`name`: how it begins."""
        return [r for r in self.rows if r["group"] == group and (name is None or r["name"].startswith(name)) and
                (dtype is None or r["dtype"] == dtype) and (size is None or r["bytes"] == size) and
                (l2 is None or r["l2"] == l2) and (how is None or r["how"] == how)]

    def best(self, *arguments, **options):
        return min(self.some(*arguments, **options), key=lambda r: seconds(r) / r["elements"], default=None)

    def ceiling(self, size=None, group="size", l2="cold"):
        """The better of memset and the store kernel."""
        return self.best(dtype="bytes", group=group, size=size or self.most, l2=l2)

    def rival(self, name, dtype="float32"):
        """At the largest size that was measured."""
        found = [r for r in self.some(name, dtype, "rivals") if r["bytes"] >= LEAST_FOR_BARS]
        return max(found, key=lambda r: r["bytes"], default=None)


# ---------------------------------------------------------------- the bars


def bars(results):
    """(what, bar, measured or None, met or None, remark)."""
    def fanin(name, dtype="float32"):
        return results.best("fanin " + name, dtype, size=results.most, l2="cold")

    rows = []

    def judge(what, bar, value, remark="", at_most=False):
        met = None
        if value is not None and results.judged:
            met = value <= bar if at_most else value >= bar
        rows.append((what, f"at {'most' if at_most else 'least'} {bar:g}", value, met, remark))

    def over(ours, theirs, by):
        return by(ours) / by(theirs) if ours and theirs else None

    ceiling = results.ceiling()
    remark = f"ceiling: {ceiling['name']}, {power(results.most)} bytes" if ceiling else ""
    for name, dtype, bar in (("HeNormal", "float32", 0.90), ("uniform", "float32", 0.97), ("HeNormal", "bfloat16", 0.42)):
        judge(f"{dtype} {name}, bytes/s of the ceiling's", bar, over(fanin(name, dtype), ceiling, bandwidth), remark)
    judge("bfloat16 HeNormal, elements/s of float32's", 0.95, over(fanin("HeNormal", "bfloat16"), fanin("HeNormal"), rate))
    ours = fanin("HeNormal")
    for what, bar, theirs in (("PyTorch trunc_normal_", 10, results.rival("PyTorch trunc_normal_")),
                              ("JAX he_normal", 5, results.rival("JAX he_normal")),
                              ("curandGenerateNormal, Philox", 1.5, results.best("cuRAND normal", "float32", size=results.most, l2="cold"))):
        remark = f"{theirs['name']}, {power(theirs['bytes'])} bytes" if theirs else ""
        judge(f"float32 HeNormal, times the elements/s of {what}", bar, over(ours, theirs, rate), remark)
    model = next(iter(results.some("fanin plan, GPT-2", group="plan", l2="cold")), None)
    if model and model["name"] != "fanin plan, GPT-2":
        model = None  # narrower than it is
    memset = next(iter(results.some("cudaMemset", group="plan", l2="cold")), None)
    judge("GPT-2's 148 tensors, float32, times the time of one memset", 1.3, over(model, memset, seconds), at_most=True)
    return rows


def bar_section(results):
    rows = bars(results)
    lines = ["## The bars", "",
             "Medians, cold L2, the largest fill. The ceiling is the better of cudaMemset and a kernel that stores 16 bytes a thread.", "",
             "| bar | | measured | | |", "| --- | --- | --- | --- | --- |"]
    for what, bar, value, met, remark in rows:
        verdict = {True: "met", False: "**not met**", None: "not measured"}[met]
        lines.append(f"| {what} | {bar} | {'' if value is None else f'{value:.3g}'} | {verdict} | {remark} |")
    verdicts = [row[3] for row in rows]
    lines += ["", f"{verdicts.count(True)} met, {verdicts.count(False)} not met, {verdicts.count(None)} not measured."]
    if not results.judged:
        lines.append(f"Nothing is judged: a rehearsal, or no fill of {power(LEAST_FOR_BARS)} bytes was measured.")
    return lines + [""]


# ---------------------------------------------------------------- tables


def table(heading, rows):
    return ["| " + " | ".join(heading) + " |", "| --- " * len(heading) + "|"] + ["| " + " | ".join(map(str, r)) + " |" for r in rows] + [""]


def stage_section(folder):
    try:
        lines = (folder / "stages.tsv").read_text().splitlines()
    except OSError:
        return []
    return ["## Stages", ""] + table(["stage", "", "s", ""], [(line.split("\t") + [""] * 4)[:4] for line in lines])


def large_section(results):
    if not results.most:
        return []
    rows = []
    ceiling = results.ceiling()
    for row in results.some(size=results.most, l2="cold"):
        rows.append((row["name"], row["dtype"], f"{rate(row) / 1e9:.4g}", f"{bandwidth(row) / 1e9:.4g}",
                     f"{100 * bandwidth(row) / bandwidth(ceiling):.1f} %", f"±{half_spread(row):.1%}"))
    ours = results.best("fanin HeNormal", "float32", size=results.most, l2="cold")
    largest = {(r["name"], r["dtype"]): r for r in sorted(results.some(group="rivals"), key=lambda r: r["bytes"])}
    for (name, dtype), row in largest.items():
        rows.append((f"{name} ({power(row['bytes'])} bytes)", dtype, f"{rate(row) / 1e9:.4g}", f"{bandwidth(row) / 1e9:.4g}",
                     f"{100 * bandwidth(row) / bandwidth(ceiling):.1f} %" if ceiling else "", f"±{half_spread(row):.1%}"))
    lines = [f"## Fills of {power(results.most)} bytes", "",
             "Cold L2. The spread is half the range of the middle half of the repetitions."]
    if ours:
        lines.append(f"fanin's float32 HeNormal: {rate(ours) / 1e9:.4g} * 10^9 elements/s.")
    return lines + [""] + table(["", "dtype", "10^9 elements/s", "GB/s", "of the ceiling", "spread"], rows)


def size_section(results):
    if not results.sizes:
        return []
    lines = ["## Rate against size", "", "GB/s. Times of small fills are those of launches.", ""]
    for l2 in ("cold", "warm"):
        sizes = sorted({r["bytes"] for r in results.some(l2=l2)})
        if not sizes:
            continue
        names = dict.fromkeys((r["name"], r["dtype"]) for r in results.some(l2=l2))
        rows = []
        for name, dtype in names:
            found = {r["bytes"]: r for r in results.some(name, dtype, l2=l2) if r["name"] == name}
            rows.append([name, dtype] + [f"{bandwidth(found[s]) / 1e9:.3g}" if s in found else "" for s in sizes])
        lines += table([f"{l2} L2", "dtype"] + [power(s) for s in sizes], rows)
    return lines


def plan_section(results):
    rows = [(r["name"], r["l2"] if r["how"] == "stream" else "host's time of the call", r["bytes"], f"{seconds(r) * 1e6:.1f}",
             f"{bandwidth(r) / 1e9:.4g}", f"±{half_spread(r):.1%}") for r in results.some(group="plan")]
    return ["## A model: GPT-2's 148 tensors", ""] + table(["", "L2", "bytes", "microseconds", "GB/s", "spread"], rows) if rows else []


def small_section(results):
    found = results.some(group="small")
    sizes = sorted({r["bytes"] for r in found if r["how"] != "host"})
    lines = ["## Small fills", "", "Microseconds of a fill among others, warm L2: on a stream, as nodes of a graph, and the host's time for the call.", ""]
    rows = []
    for name, dtype, how in dict.fromkeys((r["name"], r["dtype"], r["how"]) for r in found):
        by_size = {r["bytes"]: r for r in found if (r["name"], r["dtype"], r["how"]) == (name, dtype, how)}
        rows.append([name, dtype, how] + [f"{seconds(by_size[s]) * 1e6:.2f}" if s in by_size else "" for s in sizes])
    return lines + table(["", "dtype", "how"] + [power(s) for s in sizes], rows) if rows else []


def policy_section(results):
    found = results.some(group="policy")
    rows = []
    for name, dtype, size in dict.fromkeys((r["name"], r["dtype"], r["bytes"]) for r in found):
        of_kind = sorted((r for r in found if (r["name"], r["dtype"], r["bytes"]) == (name, dtype, size)), key=seconds)
        own = [r for r in of_kind if "fanin's" in r["policy"]]
        best = seconds(of_kind[0])
        for row in of_kind[:4] + [r for r in own if r not in of_kind[:4]]:
            rows.append((name, dtype, power(size), row["policy"], f"{bandwidth(row) / 1e9:.4g}", f"{best / seconds(row):.3f}", f"±{half_spread(row):.1%}"))
    return ["## Launch policies", "", "The best four, and the one that fanin takes: quads in a tile, copies of the table, blocks on a multiprocessor.",
            ""] + table(["", "dtype", "bytes", "policy", "GB/s", "of the best", "spread"], rows) if rows else []


def rates_section(results):
    if not results.rates.get("rates"):
        return []
    rows = [(r["name"], f"{r['lanes_per_cycle']:.2f}", f"{r['lanes_per_cycle'] / 32:.3f}", f"{r['latency']:.1f}" if r["latency"] else "")
            for r in results.rates["rates"]]
    return ["## Issue rates", "", f"Per cycle and multiprocessor, at {results.rates['clock_mhz']:.0f} MHz; latency in cycles.", ""] + table(
        ["", "lanes", "warps", "latency"], rows)


def markdown(folder, results, plotted):
    data = results.benchmark
    lines = ["# fanin on a GPU", ""]
    if data:
        lines += [f"{data['device']}, compute capability {data['compute_capability'] / 10}, {data['multiprocessors']} multiprocessors, "
                  f"L2 {data['l2_bytes'] / 2**20:.0f} MiB; CUDA {data['cuda_runtime'] // 1000}.{data['cuda_runtime'] % 1000 // 10}, "
                  f"driver for {data['cuda_driver'] // 1000}.{data['cuda_driver'] % 1000 // 10}; "
                  f"{data['repetitions']} repetitions, interleaved in random order, medians; {data['wall_seconds']:.0f} s.  "]
    if results.rivals.get("versions"):
        lines += ["; ".join(f"{name} {version}" for name, version in results.rivals["versions"].items()) + ".  "]
    try:
        lines += ["", "```", (folder / "machine.txt").read_text().rstrip(), "```"]
    except OSError:
        pass
    lines += [""]
    if results.rehearsal:
        lines += ["**A rehearsal, not a result.**", ""]
    lines += stage_section(folder) + bar_section(results)
    lines += [f"![rates]({plotted})", ""] if plotted.endswith(".png") else [f"No plot: {plotted}.", ""]
    lines += large_section(results) + plan_section(results) + size_section(results) + small_section(results)
    lines += policy_section(results) + rates_section(results)
    left_out = {**data.get("left_out", {}), **results.rivals.get("left_out", {})}
    if left_out:
        lines += ["## Left out", ""] + [f"- {what}: {why}" for what, why in left_out.items()] + [""]
    return "\n".join(lines)


# ---------------------------------------------------------------- the plot

# Label, group, how a name begins, dtype, colour, style; of several the fastest.
LINES = {
    "GB/s, cold L2": (bandwidth, [
        ("memset or store kernel", "size", "", "bytes", "#8a8a8a", "--"), ("fanin uniform", "size", "fanin uniform", "float32", "#f59e0b", "-"),
        ("fanin normal", "size", "fanin normal", "float32", "#dc2626", "-"), ("fanin HeNormal", "size", "fanin HeNormal", "float32", "#7c2d12", "-"),
        ("fanin HeNormal, bfloat16", "size", "fanin HeNormal", "bfloat16", "#7c2d12", ":")]),
    "10⁹ elements/s, float32": (rate, [
        ("fanin HeNormal", "size", "fanin HeNormal", "float32", "#7c2d12", "-"),
        ("cuRAND normal", "size", "cuRAND normal", "float32", "#15803d", "-"),
        ("Thrust, normal by hand", "size", "Thrust normal", "float32", "#4b5563", "-"),
        ("PyTorch normal_", "rivals", "PyTorch normal_", "float32", "#1d4ed8", "-"),
        ("PyTorch trunc_normal_", "rivals", "PyTorch trunc_normal_", "float32", "#1d4ed8", ":"),
        ("JAX he_normal", "rivals", "JAX he_normal", "float32", "#7e22ce", "-")]),
}


def plot(folder, results):
    """The file's name, or why there is none."""
    if len(results.sizes) < 2:
        return "fewer than two sizes were measured"
    try:
        import matplotlib
    except ImportError as error:
        return str(error)
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(13, 5.6), constrained_layout=True)
    for panel, (title, (of, drawn)) in zip(panels, LINES.items()):
        for label, group, name, dtype, colour, style in drawn:
            sizes = sorted({r["bytes"] for r in results.some(name, dtype, group)})
            points = [(s, of(results.best(name, dtype, group, s, "cold" if group == "size" else None)) / 1e9) for s in sizes
                      if results.some(name, dtype, group, s, "cold" if group == "size" else None)]
            if len(points) > 1:
                panel.plot(*zip(*points), style, color=colour, label=label, marker="o", markersize=3.5)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xlabel("bytes of a fill")
        panel.set_ylabel(title)
        panel.grid(True, color="#dddddd")
        panel.legend(frameon=False)
    figure.suptitle(f"{results.benchmark.get('device', '')}{', a rehearsal' if results.rehearsal else ''}")
    figure.savefig(folder / "gpu_rates.png", dpi=130)
    return "gpu_rates.png"


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    results = Results(folder)
    try:
        plotted = plot(folder, results)
    except Exception as error:  # the report is worth more than its picture
        plotted = f"{type(error).__name__}: {error}"
    text = markdown(folder, results, plotted)
    (folder / "report.md").write_text(text)
    print("\n".join(bar_section(results)))


if __name__ == "__main__":
    main()
