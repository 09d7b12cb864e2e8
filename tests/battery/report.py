# SPDX-License-Identifier: Apache-2.0
"""The battery's parts, whether they are right, and the summary in Markdown."""
import math
from dataclasses import dataclass

FALSE_ALARM = 1e-7  # the probability that one check fails for a correct generator


@dataclass
class Section:
    name: str
    seed: int
    draws: int
    found: list  # of checks
    is_control: bool  # one of its checks must fail

    @property
    def worst(self):
        return min(self.found, key=lambda check: check.p)

    @property
    def failed(self):
        return [check for check in self.found if not check.p >= FALSE_ALARM]

    @property
    def is_right(self):
        return bool(self.failed) == self.is_control


def summary(sections, elements):
    """The text of RESULTS.md."""
    real = [section for section in sections if not section.is_control]
    checks = [check for section in real for check in section.found]
    failed = sum(len(section.failed) for section in real)
    lines = ["# Results of the statistical battery", "",
             "`scripts/battery` wrote this page, and [the battery's page](../../docs/battery.md) explains it.", "",
             f"{elements:.3g} elements. {len(checks)} checks, {failed} failed. Each has a false-alarm "
             f"rate of {FALSE_ALARM:g}, so the whole has one of at most {len(checks) * FALSE_ALARM:.1g}.", ""]
    if checks:
        lines += [f"The smallest p-value is {min(check.p for check in checks):.2g}. The smallest of {len(checks)} independent "
                  f"p-values is below {math.log(2) / len(checks):.2g} as often as above.", ""]
    lines += ["| what | seed | draws | checks | smallest p-value | of |", "| --- | ---: | ---: | ---: | ---: | --- |"]
    lines += [f"| {section.name} | {section.seed} | {section.draws:.4g} | {len(section.found)} | {section.worst.p:.2g} | "
              f"{section.worst.name} |" for section in real]
    lines += ["", "## Controls", "", "Deliberate faults, and the checks that find them, with their p-values.", "",
              "| fault | draws | checks that fail |", "| --- | ---: | --- |"]
    for section in sections:
        if section.is_control:
            finds = "; ".join(f"{check.name} ({check.p:.1g})" for check in section.failed)
            lines.append(f"| {section.name} | {section.draws:.4g} | {finds or 'none'} |")
    lines += ["", "## Every check"]
    for section in real:
        lines += ["", f"### {section.name}", "", f"Seed {section.seed}, {section.draws:.4g} draws.", "",
                  "| check | statistic | p-value |", "| --- | ---: | ---: |"]
        lines += [f"| {check.name} | {check.statistic:.5g} | {check.p:.2g} |" for check in section.found]
    return "\n".join(lines) + "\n"
