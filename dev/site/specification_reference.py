# SPDX-License-Identifier: Apache-2.0
"""The reference of model specifications, from docs/model-spec.schema.json."""
import json

TITLES = {"": "A specification", "tensor": "A tensor", "part": "A part of a tensor", "rule": "A rule", "initializer": "An initializer",
          "repeat": "Repetitions", "number": "A number", "extent": "An extent", "shape": "A shape", "formula": "A formula",
          "dtype": "A dtype", "layout": "A layout"}
SCALARS = {"string": "a string", "integer": "an integer", "number": "a number", "boolean": "`true` or `false`", "null": "`null`",
           "object": "an object", "array": "an array"}


def anchor(name):
    return TITLES[name].lower().replace(" ", "-")


def kind(schema):
    """What a value may be, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{TITLES[name][0].lower()}{TITLES[name][1:]}](#{anchor(name)})"
    if "anyOf" in schema:
        return ", or ".join(kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        counts = {(None, None): "an array", (1, None): "an array of one or more", (2, 2): "an array of two"}
        return f"{counts[schema.get('minItems'), schema.get('maxItems')]}: {kind(schema['items'])}"
    if schema.get("type") == "object" and "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
        return f"an object, whose values are {kind(schema['additionalProperties'])}"
    if schema.get("type") == "object" and "properties" in schema:
        return "an object with " + ", ".join(f"`{key}`" for key in schema["properties"])
    if isinstance(schema.get("type"), list):
        return " or ".join(SCALARS[one] for one in schema["type"])
    if "type" not in schema:
        return "anything"
    limits = [f"from {schema['minimum']}"] if "minimum" in schema else []
    limits += [f"up to {schema['maxLength']} characters"] if "maxLength" in schema else []
    return ", ".join([SCALARS[schema["type"]], *limits])


def table(schema):
    """The keys of an object."""
    lines = ["| key | value | meaning |", "| --- | --- | --- |"]
    for key, value in schema["properties"].items():
        need = " (required)" if key in schema.get("required", []) else ""
        lines.append(f"| `{key}`{need} | {kind(value)} | {value.get('description', '')} |".replace("\n", " "))
    return "\n".join(lines)


def conditions(schema):
    """Which keys go together."""
    lines = []
    for word, key in (("At least one of", "anyOf"), ("Exactly one of", "oneOf")):
        if all("required" in one for one in schema.get(key, [{}])):
            lines.append(f"{word} " + ", ".join(f"`{name}`" for one in schema[key] for name in one["required"]) + " is required.")
    for name, others in schema.get("dependentRequired", {}).items():
        lines.append(f"`{name}` needs " + ", ".join(f"`{other}`" for other in others) + ".")
    return " ".join(lines)


def section(name, schema):
    out = [f"## {TITLES[name]}", ""]
    for number, form in enumerate(schema.get("anyOf", [schema]) if "properties" not in schema else [schema]):
        if "properties" in form:
            out += ["An object:" if number == 0 else "Or an object:", "", table(form), "", conditions(form), ""]
        else:
            words = kind(form)
            out += [f"{'Is' if number == 0 else 'Or'} {words}.", ""]
            out += [f"{form['description']}.", ""] if "description" in form else []
            out += ["For example " + ", ".join(f"`{one}`" for one in form["examples"]) + ".", ""] if "examples" in form else []
            out += [f"Matches `{form['pattern']}`.", ""] if "pattern" in form else []
    return "\n".join(out)


def pages(project):
    schema = json.loads((project / "docs" / "model-spec.schema.json").read_text())
    if unknown := schema["$defs"].keys() - TITLES.keys():
        raise ValueError(f"dev/site/specification_reference.py has no title for {', '.join(sorted(unknown))}")
    text = ["# Specification: every key", "", "[Model specifications](../model-spec.md) explains the keys with examples. This table is made of "
            "[the JSON schema](../model-spec.schema.json), which an editor can check a file against while you type: write "
            '`"$schema": "model-spec.schema.json"` into it.', ""]
    text.append(section("", schema))
    text += [section(name, schema["$defs"][name]) for name in TITLES if name]
    return {"reference/specification.md": "\n".join(text)}
