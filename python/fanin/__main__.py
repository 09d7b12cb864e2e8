# SPDX-License-Identifier: Apache-2.0
"""The program fanin: ``python -m fanin --help``."""
from __future__ import annotations

import os
import pathlib
import sys


def main() -> None:
    """Runs the program that the package holds, with this process's arguments, in its place."""
    program = pathlib.Path(__file__).parent / "bin" / "fanin"
    if not program.exists():
        sys.exit("fanin: this installation has no program, because it was built without it. The wheel has it, and so does "
                 "pip install --config-settings=cmake.define.FANIN_TOOLS=ON, which needs CLI11")
    os.execv(program, [str(program), *sys.argv[1:]])


if __name__ == "__main__":
    main()
