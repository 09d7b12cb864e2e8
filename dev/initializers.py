#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes docs/initializers.md, the table of all initializers, from the tables in the sources.

    python3 dev/initializers.py           write the page
    python3 dev/initializers.py --check   fail if it is not what the sources say
"""
import pathlib
import re
import sys

PROJECT = pathlib.Path(__file__).resolve().parent.parent
PAGE = PROJECT / "docs" / "initializers.md"
ROW = re.compile(r'    // (?P<formula>.+?) \| (?P<source>.+)\n    \{"(?P<name>[^"]+)", "(?P<snake>[^"]+)"')
KERAS = "keras/src/initializers/"

HEAD = """# All initializers

Which initializers are there, what do they draw, and by which names? `dev/initializers.py` makes this page from the sources.

A name works in C++ (`fanin::make`), C (`fanin_make`), Python (`fanin.get`, `fill`, `draw`, `Plan`), the program (`--init`), configurations
(`class_name`) and specifications. The last column lists what else there is: a class of C++ and Python, a function of C that takes
parameters, and the modules of Python that have it under its framework's name. U is uniform, N normal, `fan` at least 1.

Without a convention a name is Keras's or fanin's own. `torch:kaiming_normal`, `jax:he_normal` and `keras:he_normal` mean what the framework
means: its distribution, truncation, parameters and defaults, and its layout of kernels, unless you give one: (out, in, …) for `torch:`,
(…, in, out) for the others. `convention="torch"` beside the name says the same. Parameters have the framework's names:

    fanin describe --init torch:kaiming_normal --set nonlinearity=relu --shape 128,64,3,3
    fanin describe --init torch:orthogonal --set "gain=calculate_gain(tanh)" --shape 128,64

What frameworks do not have by themselves: `torch:linear` is the weight of a new `Linear` or convolution, and parameters without a default get
one here. `delta_orthogonal`, complex tensors, `in_axis` and `out_axis` of JAX are in `fanin.jax` only.
"""


def text_of(path: str) -> str:
    return (PROJECT / path).read_text(encoding="utf-8")


def rows_of(path: str) -> list[dict[str, str]]:
    return [match.groupdict() for match in ROW.finditer(text_of(path))]


def check_rows(path: str, rows: list[dict[str, str]]) -> None:
    """Fails if a row of the table has no comment."""
    names = re.findall(r'^    \{"([^"]+)", "[^"]+", "[^"]*", (?:true|false)', text_of(path), re.MULTILINE)
    if names != [row["name"] for row in rows]:
        sys.exit(f"{path}: a row without its formula and source: {set(names) - {row['name'] for row in rows}}")


def table(rows: list[dict[str, str]], faces: dict[str, list[str]]) -> str:
    lines = ["| name | values | source | also |", "| --- | --- | --- | --- |"]
    for row in rows:
        name = row["name"] if ":" in row["name"] else row["snake"]
        also = ", ".join(faces[row["name"]]) or "–"
        formula = row["formula"].replace("|", "\\|")
        lines.append(f"| `{name}` | {formula} | {row['source'].removeprefix(KERAS)} | {also} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    own, framework = (rows_of(f"src/config/{name}.cpp") for name in ("keras_classes", "conventions"))
    check_rows("src/config/keras_classes.cpp", own)
    check_rows("src/config/conventions.cpp", framework)
    header = text_of("include/fanin/fanin.h")
    modules = {name: "".join(text_of(path) for path in paths) for name, paths in {
        "torch": ["python/fanin/torch/__init__.py", "python/fanin/torch/_functions.py"], "keras": ["python/fanin/keras.py"],
        "jax": ["python/fanin/jax.py"]}.items()}
    names = {module: set(re.findall(r'"(\w+)"', text[text.index("__all__"):])) for module, text in modules.items()}
    classes = set(re.findall(r"^class FANIN_API (\w+)", text_of("include/fanin/initializers.h"), re.MULTILINE))
    drawn = set(re.findall(r"^class (\w+)\(", modules["keras"], re.MULTILINE)) | names["keras"]

    faces: dict[str, list[str]] = {}
    for row in own:
        c_name = f"fanin_make_{row['snake'].removeprefix('random_')}"
        faces[row["name"]] = [*([f"`{row['name']}`"] if row["name"] in classes else []),
                              *([f"`{c_name}`"] if f" {c_name}(" in header else []),
                              *(["`fanin.keras`"] if row["name"] in drawn else [])]
    for row in framework:
        module, name = row["name"].split(":")
        function = f"{name}_" if module == "torch" else name
        faces[row["name"]] = [f"`fanin.{module}.{function}`"] if function in names[module] else []
    keras = [row for row in own if row["source"].startswith(KERAS)]
    return "\n".join([
        HEAD,
        "## Keras's names\n", f"Sources are files of {KERAS}. `keras:` before a name allows only these.\n", table(keras, faces),
        "## fanin's own\n", table([row for row in own if row not in keras], faces),
        "## PyTorch's names\n", table([row for row in framework if row["name"].startswith("torch:")], faces),
        "## JAX's names\n", table([row for row in framework if row["name"].startswith("jax:")], faces)])


def main(arguments: list[str]) -> None:
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    if not arguments:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit("docs/initializers.md is not what the sources say: run dev/initializers.py")


if __name__ == "__main__":
    main(sys.argv[1:])
