#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the report of scripts/gpu_check: stages, bars, the model beside the measurements, tables, and a plot if matplotlib is installed.

    gpu_report.py DIRECTORY      reads those of stages.tsv, machine.txt, benchmark.json, checks.json, second_device.json, rivals.json,
                                 issue_rates.json, profile.csv and model.json that are in the directory; without a model.json, the
                                 repository's dev/sass/h200.json. Writes report.md, gpu_rates.png and results.tar, which has all
                                 files of the directory, without the largest ones if these are too large
"""
import csv
import json
import math
import pathlib
import statistics
import sys
import tarfile

LEAST_FOR_BARS = 1 << 28  # bytes: launches decide the time of smaller fills
MOST_IN_TAR = 16 << 20  # bytes
PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent


# ---------------------------------------------------------------- numbers


def seconds(row):
    return statistics.median(row["seconds"])


def rate(row):
    return row["elements"] / seconds(row)


def bandwidth(row):
    return row["bytes"] / seconds(row)


def half_spread(row):
    """Half the width of the middle half of the samples, as a fraction of the median."""
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
        self.checks = self.load(folder / "checks.json").get("checks", [])
        self.second = [r for r in self.load(folder / "second_device.json").get("rows", []) if r["seconds"]]
        self.profile = profiled(folder / "profile.csv")
        self.model, self.models_origin = self.load(folder / "model.json"), "by scripts/count_instructions on this machine"
        if not self.model:
            self.model, self.models_origin = self.load(PROJECT / "dev/sass/h200.json"), "dev/sass/h200.json, made before, of an H200"
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
        """`name` is the beginning of the row's name."""
        return [r for r in self.rows if r["group"] == group and (name is None or r["name"].startswith(name)) and
                (dtype is None or r["dtype"] == dtype) and (size is None or r["bytes"] == size) and
                (l2 is None or r["l2"] == l2) and (how is None or r["how"] == how)]

    def best(self, *arguments, **options):
        return min(self.some(*arguments, **options), key=lambda r: seconds(r) / r["elements"], default=None)

    def ceiling(self, size=None, group="size", l2="cold"):
        """The faster of memset and the store kernel."""
        return self.best(dtype="bytes", group=group, size=size or self.most, l2=l2)

    def rival(self, name, dtype="float32"):
        """The row of the largest measured size."""
        found = [r for r in self.some(name, dtype, "rivals") if r["bytes"] >= LEAST_FOR_BARS]
        return max(found, key=lambda r: r["bytes"], default=None)


def profiled(path):
    """Nsight Compute's number and unit for the profiled kernel, by metric."""
    try:
        rows = list(csv.reader(line for line in path.read_text().splitlines() if line.startswith('"')))
    except OSError:
        return {}
    found = {}
    if len(rows) >= 3:
        for name, unit, value in zip(rows[0], rows[1], rows[2]):
            try:
                found[name] = (float(value.replace(",", "")), unit)
            except ValueError:
                pass  # not a number
    return found


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
        model = None  # a narrower model was measured
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


# ---------------------------------------------------------------- the model beside the measurements

DENSE = "HeNormal float32 2^28"

# The model's workload: the group, name and dtype of the benchmark's row.
WORKLOADS = {
    DENSE: ("size", "fanin HeNormal", "float32"),
    "HeNormal float32 2^20": ("middle", "fanin HeNormal", "float32"),
    "HeNormal float32 2^16": ("middle", "fanin HeNormal", "float32"),
    "HeNormal bfloat16 2^28": ("size", "fanin HeNormal", "bfloat16"),
    "HeNormal float64 2^28": ("size", "fanin HeNormal", "float64"),
    "RandomNormal float32 2^28": ("size", "fanin normal", "float32"),
    "HeUniform float32 2^28": ("size", "fanin uniform", "float32"),
    "HeUniform bfloat16 2^28": ("size", "fanin uniform", "bfloat16"),
    "HeUniform float64 2^28": ("size", "fanin uniform", "float64"),
    "Zeros float32 2^28": ("zeros", "fanin Zeros", "float32"),
    "HeNormal float32 2^26 [:, :1024] of 2048": ("layout", "fanin HeNormal, left half of rows of 2048", "float32"),
    "HeNormal float32 2^26 [:, :64] of 512": ("layout", "fanin HeNormal, 64 of 512 columns", "float32"),
    "HeNormal float32 2^28 unaligned": ("layout", "fanin HeNormal, unaligned", "float32"),
    "TruncatedNormal[1,2] float32 2^28": ("layout", "fanin window [1, 2]", "float32"),
}

# The model's unit: Nsight Compute's metrics that say how busy it was, in percent. The first one that exists is used.
METRICS = {
    "issue": ["sm__inst_issued.avg.pct_of_peak_sustained", "sm__issue_active.avg.pct_of_peak_sustained", "smsp__issue_active.avg.pct_of_peak_sustained",
              "smsp__inst_issued.avg.pct_of_peak_sustained"],
    "ALU": ["sm__pipe_alu_cycles_active.avg.pct_of_peak_sustained", "sm__inst_executed_pipe_alu.avg.pct_of_peak_sustained"],
    "FMA": ["sm__pipe_fma_cycles_active.avg.pct_of_peak_sustained", "sm__inst_executed_pipe_fma.avg.pct_of_peak_sustained"],
    "FMA-heavy": ["sm__pipe_fmaheavy_cycles_active.avg.pct_of_peak_sustained", "sm__inst_executed_pipe_fmaheavy.avg.pct_of_peak_sustained"],
    "XU": ["sm__pipe_xu_cycles_active.avg.pct_of_peak_sustained", "sm__inst_executed_pipe_xu.avg.pct_of_peak_sustained"],
    "ADU": ["sm__inst_executed_pipe_adu.avg.pct_of_peak_sustained"],
    "uniform": ["sm__inst_executed_pipe_uniform.avg.pct_of_peak_sustained"],
    "FP64": ["sm__pipe_fp64_cycles_active.avg.pct_of_peak_sustained", "sm__inst_executed_pipe_fp64.avg.pct_of_peak_sustained"],
    "load/store unit": ["l1tex__data_pipe_lsu_wavefronts.avg.pct_of_peak_sustained", "l1tex__lsuin_requests.avg.pct_of_peak_sustained",
                        "sm__inst_executed_pipe_lsu.avg.pct_of_peak_sustained"],
    "stores to L2": ["l1tex__m_l1tex2xbar_write_sectors_mem_lg_op_st.avg.pct_of_peak_sustained", "l1tex__m_l1tex2xbar_req_cycles_active.avg.pct_of_peak_sustained",
                     "l1tex__m_l1tex2xbar_throughput.avg.pct_of_peak_sustained"],
    "memory": ["dram__throughput.avg.pct_of_peak_sustained", "dram__bytes_write.sum.pct_of_peak_sustained"],
}

# A row of gpu_issue_rates: the model's pipe and its slots; for the load/store unit, the passes of a warp instruction.
RATES = {
    "IMAD (low 32 bits)": ("FMA-heavy", 1), "IMAD.WIDE.U32": ("FMA-heavy", 2), "IMAD.HI.U32": ("FMA-heavy", 2), "IDP.4A": ("FMA-heavy", 1),
    "LOP3": ("ALU", 1), "IADD3": ("ALU", 1), "SHF": ("ALU", 1), "PRMT": ("ALU", 1), "I2FP (int to float)": ("ALU", 1), "FMNMX": ("ALU", 1),
    "F2FP (two floats to bfloat16)": ("ALU", 1), "FMUL": ("FMA", 1), "FADD": ("FMA", 1), "FFMA": ("FMA", 1),
    "LDS, random entries of 1 KiB, 32 copies": ("load/store unit", 1), "STS.128, consecutive": ("load/store unit", 4),
    "LDS.128, consecutive": ("load/store unit", 4),
    **{f"ATOMS.ADD, {n} lane{'s' * (n > 1)} on one address (by warp)": ("load/store unit", n) for n in (1, 2, 4, 8, 16, 32)},
}


def lowest(figures):
    return figures["bound_tb_s"][figures["binding"]]


def measured_for(workload, results):
    """The benchmark's row whose size is nearest to the model's, if it is near enough to compare."""
    group, name, dtype = WORKLOADS.get(workload, ("", "", ""))
    words = workload.split()
    power_of_two = next((int(w[2:]) for w in words if w.startswith("2^")), 0)
    wanted = power_of_two + int(math.log2({"float64": 8, "float32": 4}.get(dtype, 2)))
    rows = [r for r in results.rows if (r["group"], r["name"], r["dtype"], r["l2"], r["how"]) == (group, name, dtype, "cold", "stream")]
    row = min(rows, key=lambda r: abs(math.log2(r["bytes"]) - wanted), default=None)
    return row if row and (abs(math.log2(row["bytes"]) - wanted) < 3 or results.rehearsal) else None


def percent_busy(unit, profile):
    """(percent, metric) from the profiler."""
    for beginning in METRICS.get(unit, []):
        for end in ("_active", "_elapsed"):
            if beginning + end in profile:
                return profile[beginning + end][0], beginning + end
    return None


def hardware():
    """The rates that the model assumes, or None."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(PROJECT / "dev"))
    try:
        from sass import hardware as module
        return module
    except Exception:  # a file of another version
        return None


def model_section(results):
    lines = ["## The model beside what was measured", ""]
    if not results.model:
        lines += ["There is no model: neither was `scripts/count_instructions` run here, nor has the repository a `dev/sass/h200.json`. "
                  "What the profiler measured stands below without it.", ""]
    else:
        lines += [f"The model: {results.models_origin}. A unit's bound is the rate at which it would be busy all the time, if nothing ever stalled; the part "
                  "of it that was reached says how busy the model takes the unit to have been.", ""]
        rows = []
        for workload, figures in results.model.items():
            row = measured_for(workload, results)
            least = lowest(figures)
            rows.append((workload, f"{figures['all']:.2f}", figures["binding"], f"{least * 1e3:.4g}") +
                        ((f"{bandwidth(row) / 1e9:.4g}", power(row["bytes"]), f"{bandwidth(row) / 1e12 / least:.0%}") if row else ("", "", "")))
        lines += table(["workload", "instructions an element", "binding unit", "its bound, GB/s", "measured, GB/s", "bytes", "of the bound"], rows)
        if DENSE in results.model and any(w != DENSE for w in results.model):
            rows = []
            dense, own = measured_for(DENSE, results), lowest(results.model[DENSE])
            beside = next(iter(results.some("fanin HeNormal", "float32", "layout", l2="cold")), None)
            for workload, figures in results.model.items():
                row = measured_for(workload, results)
                base = beside if row and row["group"] == "layout" else dense
                if workload != DENSE and row and base:
                    rows.append((workload, f"{own / lowest(figures):.2f}", f"{bandwidth(base) / bandwidth(row):.2f}"))
            lines += [f"Time for a byte, in that of {DENSE}:", ""] + table(["workload", "model", "measured"], rows)
    lines += unit_tables(results) + assumed_rates(results)
    return lines


def unit_tables(results):
    figures, row = results.model.get(DENSE), measured_for(DENSE, results)
    units = list(figures["bound_tb_s"]) if figures else [u for u in METRICS if percent_busy(u, results.profile)]
    rows = []
    for unit in units:
        bound = figures["bound_tb_s"][unit] if figures else None
        seen = percent_busy(unit, results.profile)
        rows.append((unit, f"{bound * 1e3:.4g}" if bound else "", f"{bandwidth(row) / 1e12 / bound:.1%}" if bound and row else "",
                     f"{seen[0]:.1f} %" if seen else "", seen[1] if seen else ""))
    lines = []
    if rows:
        lines += [f"Unit by unit, {DENSE}:", ""] + table(["unit", "bound, GB/s", "busy by the model at the measured rate", "busy by the profiler", "metric"], rows)
    if not results.profile:
        lines += ["Nothing from Nsight Compute: see the stage `profile`.", ""]
    if results.model and results.rows:
        units = list(dict.fromkeys(u for f in results.model.values() for u in f["bound_tb_s"]))
        rows = []
        for workload, figures in results.model.items():
            row = measured_for(workload, results)
            if row:
                rows.append([workload] + [f"{bandwidth(row) / 1e12 / figures['bound_tb_s'][u]:.0%}" if u in figures["bound_tb_s"] else "" for u in units])
        if rows:
            lines += ["Busy by the model at the measured rates:", ""] + table(["workload"] + units, rows)
    return lines


def assumed_rates(results):
    module = hardware()
    capability = results.benchmark.get("compute_capability", 90)
    if not results.rates.get("rates") or not module or capability not in module.ARCHITECTURES:
        return []
    rates = module.ARCHITECTURES[capability].rates
    clock = module.GPUS[module.USUAL[capability]][2]
    rows = []
    for r in results.rates["rates"]:
        pipe, slots = RATES.get(r["name"], (None, 1))
        if pipe in rates:
            assumed, measured = rates[pipe] / slots, r["lanes_per_cycle"] / (1 if "by warp" in r["name"] else 32)
            rows.append((r["name"], pipe, f"{assumed:.3f}", f"{measured:.3f}", f"{measured / assumed:.2f}"))
    return [f"Warp instructions per cycle and multiprocessor. The model assumes a clock of {clock} GHz; measured were {results.rates['clock_mhz'] / 1e3:.3f} GHz. "
            "Of IMAD.WIDE it assumes two slots and names the bound for one beside it.", ""] + table(
        ["instruction", "unit", "model", "measured", "measured / model"], rows)


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


def layout_section(results):
    lines = []
    found = results.some(group="layout", l2="cold") + results.some(group="streams", l2="cold")
    if found:
        rows = []
        for r in found:
            base = results.best("fanin HeNormal", r["dtype"].split("+")[0], "layout", l2="cold", size=None)
            base = next((b for b in found if (b["name"], b["dtype"]) == ("fanin HeNormal", r["dtype"])), base)
            compared = base and r["group"] == "layout" and r["dtype"] != "bytes"
            rows.append((r["name"], r["dtype"], power(r["bytes"]), f"{rate(r) / 1e9:.4g}", f"{bandwidth(r) / 1e9:.4g}",
                         f"{rate(base) / rate(r):.2f}" if compared else "", f"±{half_spread(r):.1%}"))
        lines += ["## Shards, windows, copies, streams", "", "Cold L2. The time for an element is in that of the dense HeNormal beside it.", ""]
        lines += table(["", "dtype", "bytes", "10^9 elements/s", "GB/s", "time of dense", "spread"], rows)
    zeros = [r for r in results.some(group="zeros")]
    if zeros:
        lines += ["## Zeros", ""] + table(["", "bytes", "L2", "how", "microseconds", "GB/s", "spread"], [
            (r["name"], power(r["bytes"]), r["l2"], r["how"], f"{seconds(r) * 1e6:.2f}", f"{bandwidth(r) / 1e9:.4g}", f"±{half_spread(r):.1%}") for r in zeros])
    middle = results.some(group="middle")
    if middle:
        lines += ["## Matrices of 2^16 to 2^23 elements", "", "GB/s.", ""]
        for l2 in ("cold", "warm"):
            of_kind = [r for r in middle if r["l2"] == l2 and r["dtype"] != "bytes"]
            sizes = sorted({r["elements"] for r in of_kind})
            by = {(r["name"], r["dtype"], r["elements"]): r for r in of_kind}
            rows = [[name, dtype] + [f"{bandwidth(by[name, dtype, s]) / 1e9:.3g}" if (name, dtype, s) in by else "" for s in sizes]
                    for name, dtype in dict.fromkeys((r["name"], r["dtype"]) for r in of_kind)]
            ceilings = [results.ceiling(4 * s, "middle", l2) for s in sizes]
            rows.append(["memset or store kernel, float32's bytes", ""] + [f"{bandwidth(c) / 1e9:.3g}" if c else "" for c in ceilings])
            lines += table([f"{l2} L2", "dtype"] + [power(s) for s in sizes], rows)
    if results.second:
        first = {(r["name"], r["dtype"], r["bytes"], r["l2"]): r for r in results.rows if r["group"] == "size"}
        rows = []
        for r in results.second:
            beside = first.get((r["name"], r["dtype"], r["bytes"], r["l2"]))
            rows.append((r["name"], r["dtype"], power(r["bytes"]), r["l2"], f"{bandwidth(r) / 1e9:.4g}", f"{bandwidth(beside) / 1e9:.4g}" if beside else ""))
        lines += ["## A process that uses device 1 alone", "", "GB/s.", ""] + table(["", "dtype", "bytes", "L2", "device 1", "device 0, its own process"], rows)
    return lines


def check_section(results):
    if not results.checks:
        return []
    return ["## Bit for bit against the host", ""] + table(["", "bytes", "", "checksum", "s"], [
        (c["name"], power(c["bytes"]), "equal" if c["equal"] else "**differs**", c["checksum"], f"{c['seconds']:.1f}") for c in results.checks])


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


def markdown(folder, results, plotted, too_large):
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
    lines += stage_section(folder) + too_large + bar_section(results) + check_section(results) + model_section(results)
    lines += [f"![rates]({plotted})", ""] if plotted.endswith(".png") else [f"No plot: {plotted}.", ""]
    lines += large_section(results) + layout_section(results) + plan_section(results) + size_section(results) + small_section(results)
    lines += policy_section(results) + rates_section(results)
    left_out = {**data.get("left_out", {}), **results.rivals.get("left_out", {})}
    if left_out:
        lines += ["## Left out", ""] + [f"- {what}: {why}" for what, why in left_out.items()] + [""]
    return "\n".join(lines)


# ---------------------------------------------------------------- the plot

# Label, group, beginning of the name, dtype, colour, style. The fastest of several rows is drawn.
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
    """The file's name, or the reason why there is none."""
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


# ---------------------------------------------------------------- the archive

TAR = "results.tar"
OF_REPORT = 1 << 20  # space for the report itself, which is written last


def in_tar(size):
    return 512 + (size + 511) // 512 * 512


def what_fits(folder, most=MOST_IN_TAR):
    """(files for the archive, files that are too large), smallest first."""
    files = sorted((f for f in folder.rglob("*") if f.is_file() and f.name not in (TAR, "report.md")), key=lambda f: (f.stat().st_size, f.name))
    room, kept = most - OF_REPORT - 20 * 512, []
    for file in files:
        room -= in_tar(file.stat().st_size)
        if room < 0:
            break
        kept.append(file)
    return kept, files[len(kept):]


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    results = Results(folder)
    try:
        plotted = plot(folder, results)
    except Exception as error:  # the report matters more than the plot
        plotted = f"{type(error).__name__}: {error}"
    kept, left_out = what_fits(folder)
    too_large = [f"{TAR} has all files but these, which are too large for its {MOST_IN_TAR >> 20} MiB: " +
                 ", ".join(f"{f.relative_to(folder)} ({f.stat().st_size / 2**20:.1f} MiB)" for f in left_out) + ".", ""] if left_out else []
    (folder / "report.md").write_text(markdown(folder, results, plotted, too_large))
    with tarfile.open(folder / TAR, "w", format=tarfile.USTAR_FORMAT) as tar:
        for file in [folder / "report.md"] + kept:
            tar.add(file, arcname=f"gpu-report/{file.relative_to(folder)}")
    print("\n".join(bar_section(results)))


if __name__ == "__main__":
    main()
