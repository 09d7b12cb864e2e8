#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles the C++ code of the pages for programs with CUDA, all blocks as one source.

    docs_code.py PROJECT NVCC

Each block is in a namespace of its own; #include lines come first.
"""
import pathlib
import re
import subprocess
import sys
import tempfile


def main():
    project, nvcc = pathlib.Path(sys.argv[1]), sys.argv[2]
    pages = ["docs/low-precision.md", "docs/trainers.md", "docs/many-processes.md", "docs/tutorials/trainer.md",
             "docs/how-to/graphs.md"]
    blocks = [block for page in pages
              for block in re.findall(r"^```cpp\n(.*?)^```", (project / page).read_text(), flags=re.S | re.M)]
    assert len(blocks) >= 12, len(blocks)
    includes = ["#include <cuda_runtime.h>", "#include <cstdint>", "#include <string>"]
    source = []
    for number, block in enumerate(blocks):
        lines = block.splitlines()
        includes += [line for line in lines if line.startswith("#include")]
        body = [line for line in lines if not line.startswith("#include")]
        source += [f"namespace block_{number} {{", *body, "}"]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "docs.cu"
        path.write_text("\n".join(includes + source) + "\n")
        warnings = ["-Werror", "all-warnings", "-Xcompiler=-Wall,-Wextra,-Wno-unused-function"]
        subprocess.run([nvcc, "-std=c++17", *warnings, "-I", str(project / "include"), "-c", "-o", str(path.with_suffix(".o")),
                        str(path)], check=True)
    print(f"{len(blocks)} blocks of {' and '.join(pages)} compile")


if __name__ == "__main__":
    main()
