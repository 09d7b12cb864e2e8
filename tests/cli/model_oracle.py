# SPDX-License-Identifier: Apache-2.0
"""An independent reading of model specifications (docs/model-spec.md), in plain Python: names, shapes, parts and rules.

It shares no code with the library. Formulas are evaluated by Python's own arithmetic, which is binary64 as well.
"""
import itertools
import json
import math
import pathlib
import re

FUNCTIONS = {"sqrt": math.sqrt, "min": min, "max": max, "floor": math.floor, "log": math.log, "exp": math.exp, "sin": math.sin,
             "cos": math.cos, "pow": math.pow, "choose": lambda condition, a, b: a if condition else b}


def number(text, known):
    """The value of a formula, or of a plain number."""
    if not isinstance(text, str):
        return text
    python = re.sub(r"\bif\(", "choose(", text.replace("^", "**"))
    return eval(python, {"__builtins__": {}}, {**FUNCTIONS, **known})  # the project's own files alone come here


def extents(shape, known):
    values = [number(extent, known) for extent in shape]
    assert all(value == int(value) for value in values), (shape, values)
    return [int(value) for value in values]


def range_of(value, known):
    first, end = value if isinstance(value, list) else (0, value)
    return range(int(number(first, known)), int(number(end, known)))


def expand(entries, known, captures=None):
    """Each entry with each assignment of its captures. Entries in a row whose next capture has the same name go together: all
    that layer 0 has, then all that layer 1 has. A count may depend on the captures before it."""
    captures = captures or {}
    depth, within = len(captures), {**known, **captures}
    next_capture = lambda entry: next(iter(list(entry.get("repeat", {}))[depth:]), None)
    for capture, row in itertools.groupby(entries, next_capture):
        if capture is None:
            yield from ((entry, captures) for entry in row)
            continue
        ranges = [(entry, range_of(entry["repeat"][capture], within)) for entry in row]
        for i in sorted({i for _, values in ranges for i in values}):
            yield from expand([entry for entry, values in ranges if i in values], known, {**captures, capture: i})


def fans(shape, layout):
    """fan_in and fan_out of a matrix or a convolution; IO: ..., in, out; OI: out, in, ..."""
    if len(shape) == 0:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    if layout.upper().startswith("OI"):
        out, into, field = shape[0], shape[1], math.prod(shape[2:])
    else:
        into, out, field = shape[-2], shape[-1], math.prod(shape[:-2])
    return into * field, out * field


class Rule:
    def __init__(self, rule):
        self.rule, self.captures = rule, []
        pattern = ""
        for piece in re.split(r"(\{[^}]*\}|\*|\?)", rule["match"]):
            if piece == "*":
                pattern += ".*"
            elif piece == "?":
                pattern += "."
            elif piece.startswith("{"):
                name = piece.strip("{}*")
                pattern += "(?P<%s>%s)" % (name, ".*" if piece.endswith("*}") else "[^.]+")
            else:
                pattern += re.escape(piece)
        self.pattern = re.compile(pattern, re.DOTALL)

    def match(self, name, shape):
        """The captures, or None."""
        found = self.pattern.fullmatch(name)
        if not found or self.rule.get("rank", len(shape)) != len(shape):
            return None
        wanted = self.rule.get("shape", shape)
        if len(wanted) != len(shape) or any(w not in (None, s) for w, s in zip(wanted, shape)):
            return None
        return found.groupdict()


class Model:
    """tensors: name -> {shape, dtype, parts, layout}; parts of a tensor without any are one, of its name."""

    def __init__(self, path, **constants):
        spec = json.loads(pathlib.Path(path).read_text())
        unknown = constants.keys() - spec.get("constants", {}).keys()
        assert not unknown, unknown
        self.constants = {name: number(value, {}) for name, value in {**spec.get("constants", {}), **constants}.items()}
        self.rules = [Rule(rule) for rule in spec["rules"]]
        self.tensors, self.ties = {}, {}
        entries = [{**(value if isinstance(value, dict) else {"shape": value}), "pattern": pattern}
                   for pattern, value in spec["tensors"].items()]
        with_shape, ties = ([entry for entry in entries if ("tie" in entry) == is_tie] for is_tie in (False, True))
        for value, captures in [*expand(with_shape, self.constants), *expand(ties, self.constants)]:
            known = {**self.constants, **captures}
            name = value["pattern"].format(**captures)
            assert name not in self.tensors and name not in self.ties, name
            if "tie" in value:
                self.ties[name] = value["tie"].format(**captures)
                continue
            shape, axis = extents(value["shape"], known), value.get("axis", 0)
            parts = []
            for part in value.get("parts", []):
                for _, inner in expand([part], known):
                    within = {**known, **inner}
                    size = int(number(part["size"], within))
                    part_name = part["name"].format(**captures, **inner) if "name" in part else "%s[%d]" % (name, len(parts))
                    part_shape = extents(part["shape"], within) if "shape" in part else [*shape[:axis], size, *shape[axis + 1:]]
                    parts.append({"name": part_name, "shape": part_shape, "size": size, "initializer": part.get("initializer")})
            if parts:
                assert sum(part["size"] for part in parts) == shape[axis], (name, parts)
            else:
                parts.append({"name": name, "shape": shape, "size": shape[axis] if shape else 1, "initializer": None})
            self.tensors[name] = {"shape": shape, "axis": axis, "parts": parts,
                                  "dtype": value.get("dtype", spec.get("dtype", "float32")),
                                  "layout": value.get("layout", spec.get("layout", "IO"))}
            for part in parts:
                self.apply_rules(name, self.tensors[name], part)

    def apply_rules(self, name, tensor, part):
        if part["initializer"] is not None:
            return
        for rule in self.rules:
            captures = rule.match(part["name"], part["shape"])
            if captures is None:
                captures = rule.match(name, part["shape"])
            if captures is None:
                continue
            part.update(rule=rule.rule, captures=captures, initializer=rule.rule["initializer"])
            tensor["dtype"] = rule.rule.get("dtype", tensor["dtype"])
            return
        raise AssertionError("no rule for " + part["name"])

    def count(self):
        return sum(math.prod(tensor["shape"]) for tensor in self.tensors.values())

    def fans_of(self, name, index=0):
        """fan_in and fan_out of a part, as its rule has them."""
        tensor = self.tensors[name]
        part = tensor["parts"][index]
        rule, layout = part.get("rule", {}), part.get("layout", tensor["layout"])
        if "fan_of" in rule:
            return self.fans_of(rule["fan_of"].replace("*}", "}").format(**part["captures"]))
        fan_in, fan_out = fans(part["shape"], rule.get("layout", layout))
        fan_out //= int(number(rule.get("groups", 1), self.constants))
        return number(rule.get("fan_in", fan_in), self.constants), number(rule.get("fan_out", fan_out), self.constants)

    def numbers(self, name, index=0):
        """The initializer's class and its evaluated configuration, for a part of a tensor."""
        part = self.tensors[name]["parts"][index]
        initializer = part["initializer"]
        if isinstance(initializer, str):
            return initializer, {}
        fan_in, fan_out = self.fans_of(name, index)
        numeric = {key: float(value) for key, value in part["captures"].items() if re.fullmatch(r"[0-9]+", value)}
        known = {**self.constants, **numeric, "fan_in": fan_in, "fan_out": fan_out, "shape": part["shape"]}
        texts = ("mode", "distribution") + (("value",) if initializer["class_name"] == "Formula" else ())
        return initializer["class_name"], {key: value if key in texts else number(value, known)
                                           for key, value in initializer["config"].items()}
