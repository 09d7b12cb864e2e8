# SPDX-License-Identifier: Apache-2.0
"""The reference of the program, from its --help. FANIN_PROGRAM names the program; without it, `fanin` of the path is asked."""
import os
import re
import subprocess


def help_of(*command):
    program = os.environ.get("FANIN_PROGRAM", "fanin")
    done = subprocess.run([program, *command, "--help"], capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"})
    if done.returncode != 0:
        raise ValueError(f"{program} {' '.join(command)} --help failed: {done.stderr}")
    return done.stdout.strip()


def option_table(text):
    """Options and their descriptions, which the parser prints in two columns."""
    rows = []
    for line in text[text.index("Options:"):].splitlines()[1:]:
        if option := re.match(r"  (-\S.*?)(?:\s{2,}(\S.*))?$", line):
            rows.append([option[1], option[2] or ""])
        elif rows and line.startswith("   "):
            rows[-1][1] = f"{rows[-1][1]} {line.strip()}".strip()
        elif line.strip():
            break
    lines = ["| option | meaning |", "| --- | --- |"]
    for option, meaning in rows:
        excludes = re.search(r"\s*Excludes: (.*)", option)
        names = option[:excludes.start()] if excludes else option
        more = f" (not with {', '.join(f'`{name}`' for name in excludes[1].split())})" if excludes else ""
        required = " (required)" if " REQUIRED" in names else ""
        lines.append(f"| `{names.replace(' REQUIRED', '')}`{required} | {meaning}{more} |".replace("<", "&lt;"))
    return "\n".join(lines)


def pages():
    whole = help_of()
    commands = re.findall(r"^  (\w+)\s{2,}(.*)$", whole[whole.index("Subcommands:"):], re.M)
    out = ["# Every option of the program", "", "[The program](../program.md) introduces the commands. This page is made of `fanin COMMAND --help`.", ""]
    for command, about in commands:
        text = help_of(command)
        usage = re.search(r"^Usage: (.*)$", text, re.M)[1]
        out += [f"## fanin {command}", "", f"{about}.", "", f"    {usage}", "", option_table(text), ""]
    return {"reference/program.md": "\n".join(out)}
