# SPDX-License-Identifier: Apache-2.0
"""The reference of the Python package: signatures and docstrings of its public names.

Those of the compiled part are read from its stubs, which a build writes; FANIN_PACKAGE names the installed package's folder, else the
environment's own is taken. The other modules are read from their sources, so that neither PyTorch, Keras nor JAX is needed."""
import ast
import importlib.util
import inspect
import os
import pathlib

MODULES = {"python-torch": ("fanin.torch", "torch", "[The guide](../pytorch.md) and [keyed initialisation](../keyed.md) have examples."),
           "python-keras": ("fanin.keras", "keras.py", "[The guide](../keras.md) has examples."),
           "python-jax": ("fanin.jax", "jax.py", "[The guide](../jax.md) has examples.")}


def package():
    if folder := os.environ.get("FANIN_PACKAGE"):
        return pathlib.Path(folder)
    if spec := importlib.util.find_spec("fanin"):
        return pathlib.Path(spec.origin).parent
    raise ValueError("The reference of the Python package needs the installed package: set FANIN_PACKAGE to its folder")


def signature(name, function):
    text = f"{name}({ast.unparse(function.args)})"
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    if len(text + returns) > 88:  # an argument a line
        arguments = ast.unparse(function.args)
        parts, depth, part = [], 0, ""
        for character in arguments:
            depth += {"[": 1, "(": 1, "]": -1, ")": -1}.get(character, 0)
            if character == "," and depth == 0:
                parts, part = [*parts, part.strip()], ""
            else:
                part += character
        text = f"{name}(\n" + "".join(f"    {one},\n" for one in [*parts, part.strip()]) + ")"
    return text + returns


def code(text):
    return f"```python\n{text}\n```\n"


def prose(node):
    """A docstring. Columns that are aligned by spaces stay as they are; so does an indented example."""
    text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
    out = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        tabular = len(lines) > 1 and sum("  " in line.strip() or line.startswith(" ") for line in lines) >= len(lines) / 2
        if tabular and not paragraph.startswith("    "):
            out.append(f"```text\n{paragraph}\n```")
        else:
            out.append(paragraph if paragraph.startswith("    ") else paragraph.replace("<", "&lt;").replace("*", "\\*"))
    return "\n\n".join(out)


def decorated(node, name):
    return any(ast.unparse(one).split(".")[-1] == name for one in node.decorator_list)


def is_public(name):
    return not name.startswith("_") or name in ("__init__", "__call__")


def class_reference(node):
    bases = ", ".join(name for name in map(ast.unparse, node.bases) if not name.startswith("_"))
    out = [f"## `{node.name}`\n", code(f"class {node.name}{f'({bases})' if bases else ''}"), prose(node), ""]
    properties = []
    for member in node.body:
        if not isinstance(member, ast.FunctionDef) or not is_public(member.name) or decorated(member, "setter"):
            continue
        if decorated(member, "property"):
            properties.append((member.name, ast.unparse(member.returns) if member.returns else "", prose(member).replace("\n", " ")))
            continue
        name = node.name if member.name == "__init__" else f"{node.name}.{member.name}"
        arguments = member.args
        if arguments.args and arguments.args[0].arg in ("self", "cls"):
            arguments.args = arguments.args[1:]
        out += [code(signature(name, member)), prose(member), ""]
    if properties:
        out += ["| property | type | meaning |", "| --- | --- | --- |"]
        out += [f"| `{name}` | {f'`{kind}`' if kind else ''} | {text} |".replace(" | None`", " or None`") for name, kind, text in properties]
        out.append("")
    return "\n".join(out)


def reference_of(tree, public):
    out = []
    for node in tree.body:
        if getattr(node, "name", "_").startswith("_") or public is not None and node.name not in public:
            continue
        if isinstance(node, ast.ClassDef):
            out.append(class_reference(node))
        elif isinstance(node, ast.FunctionDef):
            out += [f"## `{node.name}`\n", code(signature(node.name, node)), prose(node), ""]
    return "\n".join(out)


def texts_in_all(tree):
    """The texts in a module's __all__."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(ast.unparse(target) == "__all__" for target in targets):
                found |= {one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant)}
    return found


def sources_of(place):
    """A module's files, each with the names that are public there: of a package, what its __init__.py imports by name, and __all__."""
    if place.is_file():
        tree = ast.parse(place.read_text())
        # Keras's classes are exported by their base, so that __all__ does not name them: all classes are public.
        return tree, [(tree, texts_in_all(tree) | {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
                       if "_EXPORTED" in place.read_text() else texts_in_all(tree))]
    init = ast.parse((place / "__init__.py").read_text())
    sources = []
    for node in init.body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            tree = ast.parse((place / f"{node.module}.py").read_text())
            names = {alias.name for alias in node.names}
            sources.append((tree, texts_in_all(tree) if names == {"*"} else names))
    return init, sources


def pages(project):
    stub = ast.parse((package() / "_core.pyi").read_text())
    made = {"reference/python.md": "# Python: fanin\n\n[The guide](../python.md) has examples.\n\n" + reference_of(stub, None)}
    for page, (module, path, guide) in MODULES.items():
        init, sources = sources_of(project / "python" / "fanin" / path)
        body = "\n".join(reference_of(tree, public) for tree, public in sources)
        made[f"reference/{page}.md"] = f"# Python: {module}\n\n{guide}\n\n{ast.get_docstring(init)}\n\n{body}"
    return made
