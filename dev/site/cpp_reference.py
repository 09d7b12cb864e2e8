# SPDX-License-Identifier: Apache-2.0
"""The reference of the C++ and C interfaces, from the public headers: each declaration with the comment above it.

The headers are formatted by clang-format, so that lines and indents show where a declaration ends. What begins a declaration must
be known to declaration_at; anything else is an error here, not a gap in the reference."""
import pathlib
import re
import textwrap

PAGES = {
    "cpp-initializers": ("C++: initializers", "What a tensor is filled with.",
                         ["initializer.h", "initializers.h", "seed.h", "fans.h", "distribution.h", "gain.h", "config.h"]),
    "cpp-fills": ("C++: fills", "Where values go, and how.",
                  ["fill.h", "plan.h", "options.h", "view.h", "tensor.h", "shape.h", "dtype.h", "low_precision.h", "fill_params.h",
                   "error.h"]),
    "cpp-devices": ("C++: devices", "CUDA devices, instruction sets, Thrust, and kernels of your own.",
                    ["device.h", "cuda_devices.h", "device_blocks.h", "cpu.h", "cuda_types.h", "thrust.h", "statistics.h", "moment_sums.h",
                     "device.cuh"]),
    "cpp-models": ("C++: models", "Specifications of models, and their files.",
                   ["model_spec.h", "model_plan.h", "model_outline.h", "safetensors.h"]),
}
NO_REFERENCE = {"fanin.hpp", "export.h", "version.h", "fanin.h"}  # fanin.h is the C interface


def end_of_declaration(lines, begin):
    """The line after the declaration that begins in this line: its brackets are closed and it ends in ; or }."""
    depth = 0
    for number in range(begin, len(lines)):
        code = re.sub(r'//.*|"(\\.|[^"\\])*"' + r"|'(\\.|[^'\\])'", "", lines[number])
        depth += sum(code.count(c) for c in "({[") - sum(code.count(c) for c in ")}]")
        if depth == 0 and re.search(r"[;}]\s*$", code) and not re.match(r"\s*template\b[^;{]*$", code):
            return number + 1
    raise ValueError(f"no end of the declaration: {lines[begin]}")


def without_body(text):
    """A function's declaration without its body and without its members' initializers."""
    if re.match(r"(template <[^;{]*>\s*)?(class|struct|enum|union|using)\b|.*\bconstexpr\b[^(]*=", text, re.S):
        return text
    depth = 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        rest = text[place + 1:]
        if depth == 0 and (re.match(r"\s*\{", rest) or re.match(r"\s*\n?\s*:[^:]", rest)) and character in ")tndeFs":
            if ")" in text[:place + 1]:
                return text[:place + 1].rstrip() + ";"
    return text


def name_in(declaration):
    """The name that a declaration gives, for its heading."""
    text = re.sub(r"^template <.*?>\s*(?=\w)", "", declaration, flags=re.S)
    text = re.sub(r"\b(FANIN_API|FANIN_C_API|FANIN_HOST_DEVICE|FANIN_DEVICE|explicit|inline|constexpr|static|\[\[.*?\]\])\s*", "", text)
    for pattern in (r"(?:class|struct|union|enum class|enum)\s+(\w+)", r"using (\w+)", r"(operator\(\)|operator\S+?)\s*\(",
                    r"(~?\w+)\s*\(", r"(\w+)\s*(?:=|;|\{|\[)"):
        found = re.match(pattern, text) if pattern.startswith("(?:") or pattern.startswith("using") else re.search(pattern, text)
        if found:
            return found[1]
    raise ValueError(f"no name in: {declaration}")


def comment_text(lines):
    return "\n".join(re.sub(r"^\s*/// ?", "", line) for line in lines)


def is_plain(body):
    """Whether a struct is data alone, which is shown as it is declared."""
    return not re.search(r"^\s*(public|private|protected):|\bFANIN_API\b", body, re.M)


def items_of(lines):
    """(comment, declaration) for each declaration of a namespace or a class, in order; detail and private ones are left out."""
    number, comment, visible = 0, [], True
    while number < len(lines):
        line = lines[number]
        stripped = line.strip()
        if stripped.startswith("///") and not stripped.startswith("///<"):
            comment.append(line)
            number += 1
            continue
        if not stripped or stripped.startswith(("//", "#", "}")):
            if stripped.startswith("#"):  # with its continued lines
                while lines[number].endswith("\\"):
                    number += 1
            if not stripped or not stripped.startswith("//"):
                comment = []
            number += 1
            continue
        if access := re.match(r"(public|private|protected):", stripped):
            visible, comment = access[1] == "public", []
            number += 1
            continue
        if re.match(r"namespace (fanin|fanin::device|device|core) \{|extern \"C\" \{", stripped):
            number += 1
            comment = []
            continue
        end = end_of_namespace(lines, number) if stripped.startswith("namespace") else end_of_declaration(lines, number)
        declaration = textwrap.dedent("\n".join(lines[number:end]))
        if visible and not stripped.startswith(("namespace", "friend", "static_assert")):
            yield comment_text(comment), declaration
        comment, number = [], end


def end_of_namespace(lines, begin):
    for number in range(begin, len(lines)):
        if lines[number].startswith("}  // namespace"):
            return number + 1
    raise ValueError("a namespace without an end")


def code(text):
    return f"```cpp\n{text.strip()}\n```\n"


def clean(declaration):
    """Without macros and clang-tidy's remarks, which say nothing to a user. Lines that continue stay aligned."""
    macro = re.compile(r"\b(FANIN_API|FANIN_C_API|FANIN_HOST_DEVICE) ")
    lines, shift = [], 0
    for line in declaration.splitlines():
        bare = re.sub(r"  // NOLINT.*", "", macro.sub("", line))
        removed = sum(len(found[0]) for found in macro.finditer(line))
        lines.append(bare[min(shift, len(bare) - len(bare.lstrip())):] if shift and bare.startswith(" " * (shift + 2)) else bare)
        shift = removed if removed and "(" in bare and not bare.rstrip().endswith(("(", ";", "{")) else shift if not removed else 0
    return "\n".join(lines)


def markdown(text):
    """A comment as Markdown: names of fields are not emphasis, and < is no tag."""
    return re.sub(r"<(?=\w)", "&lt;", text)


def blocks(pairs):
    """Declarations with their comments. One without a comment belongs to the one before."""
    joined = []
    for comment, declaration in pairs:
        if comment or not joined or re.fullmatch(r"(template .*\n)?(class|struct) [^{]*;", joined[-1][0]):
            joined.append([declaration, comment])
        else:
            joined[-1][0] += "\n" + declaration
    return "\n".join(f"{code(declaration)}\n{markdown(comment)}\n" for declaration, comment in joined)


def is_of_every_class(comment, member):
    """Copies, destructors and deleted functions, which need no description."""
    return re.search(r"= delete|= default", member) or not comment and re.match(r"~|.*operator=\(|(\w+)\((const )?\1&", member)


def members_of(declaration, body):
    lines = textwrap.dedent(body.strip("\n")).splitlines()
    if re.match(r"(template <.*?>\s*)?class ", declaration, re.S):
        lines.insert(0, "private:")
    return [(comment, clean(without_body(member))) for comment, member in items_of(lines) if not is_of_every_class(comment, member)]


def reference_of(text):
    """The Markdown of a header: a heading for each name of the namespace."""
    groups = []
    for comment, declaration in items_of(text.splitlines()):
        if not comment and re.match(r"(class|struct|enum)[^{]*;|template <class T>\nstruct ElementType|template <>|using core::|namespace",
                                    declaration):
            continue  # forward declarations and specialisations
        name = name_in(clean(declaration))
        if not groups or groups[-1][0] != name:
            groups.append((name, []))
        of_class = re.match(r"(template <.*?>\s*)?(class|struct) [^;{]*\{(.*)\};?$", declaration, re.S)
        if of_class is None or is_plain(declaration) and "(" not in re.sub(r"//.*", "", declaration):
            groups[-1][1].append((comment, clean(without_body(declaration))))
        else:
            head = re.match(r"[^{]*", clean(declaration))[0].strip()
            groups[-1][1].append((comment, head + ";"))
            groups[-1][1].extend(members_of(declaration, of_class[3]))
    return "\n".join(f"### `{name}`\n\n{blocks(pairs)}" for name, pairs in groups)


def c_reference(text):
    """The C header: comments are /* ... */ before what they explain; a line of dashes is a heading."""
    out = []
    text = text[text.index("typedef enum fanin_status"):]
    for part in re.split(r"\n\n(?=/\*|typedef|#define|FANIN|const)", text):
        part = part.strip()
        if heading := re.match(r"/\* -{5,} (.*?) \*/\s*", part):
            out.append(f"## {heading[1][0].upper()}{heading[1][1:]}\n")
            part = part[heading.end():].strip()
        part = part.partition("\n#ifdef")[0].strip()
        if part.startswith("#ifdef") or not part:
            continue
        comment = re.match(r"/\*(.*?)\*/\s*", part, re.S)
        if comment:
            words = re.sub(r"\n   ", "\n", comment[1].strip())
            declaration = part[comment.end():]
            out += [code(clean(declaration)) if declaration else "", markdown(words), ""]
        else:
            out += [code(clean(part)), ""]
    return "\n".join(out)


def pages(project):
    headers = project / "include" / "fanin"
    known = {header for _, _, names in PAGES.values() for header in names} | NO_REFERENCE
    if unknown := {path.name for path in headers.iterdir() if path.is_file()} - known:
        raise ValueError(f"dev/site/cpp_reference.py puts these headers on no page: {', '.join(sorted(unknown))}")
    made = {}
    for page, (title, about, names) in PAGES.items():
        parts = [f"# {title}\n\n{about} `#include <fanin/fanin.hpp>` includes the interface of the host.\n"]
        for name in names:
            parts.append(f"## {name}\n\n`#include <fanin/{name}>`\n\n{reference_of((headers / name).read_text())}")
        made[f"reference/{page}.md"] = "\n".join(parts)
    text = (headers / "fanin.h").read_text()
    about = re.search(r"/\* (The C interface\..*?) \*/", text, re.S)[1]
    made["reference/c.md"] = ("# C\n\n`#include <fanin/fanin.h>`\n\n" + re.sub(r"\n   ", "\n", about) +
                              "\n\n## Status and enumerations\n\n" + c_reference(text))
    return made


if __name__ == "__main__":
    for text in pages(pathlib.Path(__file__).resolve().parents[2]).values():
        print(text)
