#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Validates the examples and the document's specifications against docs/model-spec.schema.json; bad ones must fail.

    schema_test.py
"""
import json
import pathlib
import re
import sys
import unittest

try:
    import jsonschema
    VALIDATOR = jsonschema.Draft202012Validator
except (ImportError, AttributeError):
    print("skipped: the Python package jsonschema (Debian: python3-jsonschema) with draft 2020-12 is not installed")
    sys.exit(77)

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
SCHEMA = json.loads((PROJECT / "docs/model-spec.schema.json").read_text())
GOOD = {"tensors": {"a": [2, "w"]}, "rules": [{"match": "*", "initializer": "ones"}], "constants": {"w": 3}}


class Schema(unittest.TestCase):
    def setUp(self):
        self.validator = VALIDATOR(SCHEMA)

    def test_is_a_schema(self):
        VALIDATOR.check_schema(SCHEMA)

    def test_examples(self):
        examples = sorted((PROJECT / "examples/models").glob("*.json"))
        self.assertTrue(examples)
        for path in examples:
            with self.subTest(path.name):
                self.validator.validate(json.loads(path.read_text()))

    def test_the_document(self):
        text = (PROJECT / "docs/model-spec.md").read_text()
        blocks = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
        self.assertGreaterEqual(len(blocks), 3)
        for block in blocks:
            if block.startswith('"'):  # a tensor
                spec = {**GOOD, "tensors": json.loads("{" + block + "}")}
            else:
                spec = json.loads(block)
                spec = {**GOOD, "rules": [spec]} if "match" in spec else spec
            with self.subTest(block):
                self.validator.validate(spec)

    def test_good_ones(self):
        tensor = lambda value: {**GOOD, "tensors": {"a.{l}": value}}
        rule = lambda **members: {**GOOD, "rules": [{"match": "*", **members}]}
        for spec in (GOOD, tensor({"tie": "b"}), tensor({"shape": [], "repeat": {"l": [1, "w"]}}), rule(load="x.safetensors"),
                     tensor({"shape": [4], "axis": -1, "parts": [{"size": "w", "name": "q", "repeat": {"e": 2}, "initializer": "zeros"}]}),
                     rule(initializer={"class_name": "HeNormal", "config": {"seed": None}}, layout="ohwi", groups=2, transposed=True),
                     rule(initializer="ones", shape=[None, 2, "w"], rank=3, fan_in="shape[0]", batch_axes=[0]),
                     {**GOOD, "layout": "DHWIO", "dtype": "bfloat16", "name": "n", "source": "s", "$schema": "x"}):
            with self.subTest(spec):
                self.validator.validate(spec)

    def test_bad_ones(self):
        tensor = lambda value: {**GOOD, "tensors": {"a": value}}
        rule = lambda **members: {**GOOD, "rules": [{"match": "*", **members}]}
        for spec in ([], {}, {"tensors": {}}, {**GOOD, "tensor": 1}, {**GOOD, "dtype": "int8"}, {**GOOD, "layout": "OIX"},
                     {**GOOD, "layout": "OOHW"}, {**GOOD, "layout": "OHHI"}, {**GOOD, "constants": {"fan_in": 1}},
                     {**GOOD, "constants": {"a b": 1}}, {**GOOD, "constants": {"a": None}}, tensor(4), tensor([-1]), tensor([2.5]),
                     tensor({"shpe": [2]}), tensor({"shape": [2], "tie": "b"}), tensor({"shape": [2], "axis": 0}),
                     tensor({"shape": [2], "parts": []}), tensor({"shape": [2], "parts": [{"name": "q"}]}),
                     tensor({"shape": [2], "repeat": {"l": [1, 2, 3]}}), rule(), rule(initializer="ones", load="x"), rule(initializer=1),
                     rule(initializer={"config": {}}), rule(initializer="ones", input_axes=[0]), rule(initializer="ones", groups=1.5),
                     {**GOOD, "rules": {}}, {**GOOD, "rules": [{"initializer": "ones"}]},
                     {**GOOD, "tensors": {"__metadata__": [1]}}):
            with self.subTest(spec):
                self.assertFalse(self.validator.is_valid(spec))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
