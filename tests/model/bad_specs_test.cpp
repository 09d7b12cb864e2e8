// SPDX-License-Identifier: Apache-2.0
// Each error names the source, and the line and column or the place, what was found and what is allowed.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "fanin/error.h"
#include "fanin/model_spec.h"

namespace {

struct BadSpec {
  std::string text;
  std::vector<std::string> says;
};

// A specification of one tensor "x" and one rule for it.
std::string with_tensor(const std::string& tensor) {
  return R"({"constants": {"width": 4, "layers": 2}, "tensors": {"x": )" + tensor +
         R"(}, "rules": [{"match": "*", "initializer": "he_normal"}]})";
}
std::string with_tensors(const std::string& tensors) {
  return R"({"constants": {"width": 4}, "tensors": {)" + tensors +
         R"(}, "rules": [{"match": "*", "initializer": "he_normal"}]})";
}
std::string with_rule(const std::string& rule) {
  return R"({"constants": {"width": 4}, "tensors": {"h.0.x": [6, 4]}, "rules": [{"match": "*", )" + rule + "}]}";
}
std::string with_match(const std::string& rule) {
  return R"({"tensors": {"a.w": [6, 4], "a.b": [6]}, "rules": [)" + rule +
         R"(, {"match": "*", "initializer": "ones"}]})";
}
std::string normal(const std::string& stddev) {
  return with_rule(R"("initializer": {"class_name": "RandomNormal", "config": {"stddev": )" + stddev + "}}");
}

const std::vector<BadSpec> bad_specs{
    // Syntax: line and column.
    {"", {"m.json at line 1, column 1", "unexpected end of input"}},
    {"{\"tensors\":\n {\"a\": [1,]}}", {"m.json at line 2, column 11", "unexpected ']'"}},
    {"{\"tensors\": {}, \"rules\": []} x", {"line 1, column 30", "expected end of input"}},
    {std::string("{\"tensors\": {}, \"rules\": []}\0{}", 31), {"line 1, column 29", "a NUL byte"}},
    {"{\"tensors\": {\"a\": [1],\n  \"a\": [2]}}", {"line 2, column 3", "the key \"a\" occurs twice"}},
    {"{\"tensors\": {\"é\": [1], \"a\": [1e999]}}", {"line 1, column 30", "1e999 is too large for binary64"}},
    {"{\"name\": \"\x01\"}", {"line 1, column 11", "control character"}},
    {"{\"name\": \"\xff\"}", {"line 1, column 11", "UTF-8"}},
    {std::string(200, '['), {"line 1, column 101", "nested deeper than 100 levels"}},
    // The whole.
    {"[]", {"m.json: ", "is an object. Received: []"}},
    {R"({"tensors": {}})", {"m.json: ", "needs \"tensors\"", "\"rules\""}},
    {R"({"tensors": {}, "rules": [], "tensor": 1})", {"unknown key \"tensor\"", "Did you mean \"tensors\"?"}},
    {R"({"tensors": [], "rules": []})", {"m.json: tensors: ", "an object of shapes by name. Received: []"}},
    {R"({"tensors": {}, "rules": {}})", {"m.json: rules: ", "a list of rules. Received: {}"}},
    {R"({"dtype": "float23", "tensors": {}, "rules": []})", {"m.json: dtype: ", "float23", "\"float32\"?"}},
    {R"({"layout": "OIX", "tensors": {}, "rules": []})", {"m.json: layout: ", "\"OIHW\"", "Received: \"OIX\""}},
    {R"({"constants": {"a": "b + 1", "b": 2}, "tensors": {}, "rules": []})",
     {"m.json: constants.a: ", "\"b + 1\"", "column 1", "b"}},
    {R"({"constants": {"fan_in": 1}, "tensors": {}, "rules": []})", {"m.json: constants.fan_in: ", "already"}},
    {R"({"constants": {"a b": 1}, "tensors": {}, "rules": []})",
     {"m.json: constants[\"a b\"]: ", "letters, digits and _"}},
    // Shapes and captures.
    {with_tensor("[2, -1]"), {"m.json: tensors.x: ", "negative", "[2, -1]"}},
    {with_tensor("[2.5]"), {"m.json: tensors.x[0]: ", "an integer", "Received: 2.5"}},
    {with_tensor("4"), {"m.json: tensors.x: ", "expected a shape", "Received: 4"}},
    {with_tensor("[\"widht\"]"), {"m.json: tensors.x[0]: ", "\"widht\"", "column 1", "width"}},
    {with_tensor("[\"2 *\"]"), {"m.json: tensors.x[0]: ", "\"2 *\"", "column 4"}},
    {with_tensor("[\"width / 3\"]"), {"m.json: tensors.x[0]: ", "integer", "1.3333333333333333"}},
    {with_tensor(R"({"shpe": [2]})"), {"m.json: tensors.x: ", "unknown key \"shpe\"", "\"shape\"?"}},
    {with_tensor(R"({"shape": [2], "dtype": "int8"})"), {"m.json: tensors.x.dtype: ", "int8"}},
    {with_tensor(R"({"shape": [2], "repeat": {"l": 2}})"), {"tensors.x.repeat.l: ", "\"x\" lacks the capture {l}"}},
    {with_tensors(R"("h.{l}": [2])"), {"m.json: tensors[\"h.{l}\"]: ", "\"repeat\": {\"l\": ...}"}},
    {with_tensors(R"("h.{l}": {"shape": [2], "repeat": {"l": [3, 1]}})"),
     {"tensors[\"h.{l}\"].repeat.l: ", "from 3 to 1"}},
    {with_tensors(R"("h.{l}": {"shape": [2], "repeat": {"l": 1e3}})"), {"repeat.l: ", "integer", "1000.0"}},
    {with_tensors(R"("h.{l}": {"shape": [2], "repeat": {"l": 100000000}})"),
     {"repeat.l: ", "more than 4194304 tensors"}},
    {with_tensors(R"("x": [2], "t{a}.{b}": {"tie": "x", "repeat": {"a": 4000000, "b": 4000000}})"),
     {"tensors[\"t{a}.{b}\"].repeat.b: ", "more than 5242880 numbers together"}},
    {with_tensors(R"("x{a}.{b}.{c}": {"shape": [2], "repeat": {"a": 4000000, "b": 4000000, "c": 0}})"),
     {"repeat.b: ", "more than 5242880 numbers together"}},
    {with_tensor(R"({"shape": [0], "parts": [{"size": 0, "name": "{a}.{b}.{c}",
        "repeat": {"a": 4000000, "b": 4000000, "c": 0}}]})"),
     {"parts[0].repeat.b: ", "more than 5242880 numbers together"}},
    {with_tensors(R"("h.{l}": {"shape": [2], "repeat": {"l": 2}}, "h.1": [3])"), {"tensors[\"h.1\"]: ", "two tensors"}},
    {with_tensors(R"("__metadata__": [2])"), {"tensors.__metadata__: ", "reserves"}},
    // Parts and ties.
    {with_tensor(R"({"shape": [4, 2], "axis": 2, "parts": [{"size": 4}]})"), {"tensors.x.axis: ", "axis 2", "[4, 2]"}},
    {with_tensor(R"({"shape": [4, 2], "parts": [{"size": 1}, {"size": 2}]})"), {"tensors.x.parts: ", "3 of the 4"}},
    {with_tensor(R"({"shape": [4, 2], "parts": [{"size": 5}]})"), {"tensors.x.parts[0].size: ", "5 of the 4"}},
    {with_tensor(R"({"shape": [4, 2], "parts": [{"size": 4, "shape": [3, 3]}]})"),
     {"parts[0].shape: ", "[3, 3]", "[4, 2]"}},
    {with_tensor(R"({"shape": [4, 2], "parts": [{"name": "y"}]})"), {"tensors.x.parts[0]: ", "needs a \"size\""}},
    {with_tensors(R"("y": [2], "x": {"shape": [2], "parts": [{"name": "y", "size": 2}]})"),
     {"tensors.x: ", "the same draws"}},
    {with_tensor(R"({"tie": "y"})"), {"m.json: tensors.x.tie: ", "there is no tensor \"y\""}},
    // Rules.
    {with_rule(R"("rank": 1, "initializer": "ones")"),
     {"tensors[\"h.0.x\"]: ", "no rule matches", "(for the tensor \"h.0.x\")"}},
    {with_rule(R"("dtype": "float32")"), {"m.json: rules[0]: ", "either \"initializer\" or \"load\"", "neither"}},
    {with_rule(R"("initializer": "he_norml")"), {"m.json: rules[0].initializer: ", "\"he_normal\"?"}},
    {with_rule(R"("initializer": {"class_name": "HeNorml", "config": {}})"),
     {"rules[0].initializer.class_name: ", "HeNorml"}},
    {normal("[1]"), {"m.json: rules[0].initializer.config.stddev: ", "must be a number", "[1]"}},
    {normal("-1"), {"m.json: rules[0].initializer.config.stddev: ", "must not be negative", "stddev=-1"}},
    {normal("\"0.02 / sqrt(layer)\""),
     {"rules[0].initializer.config.stddev: ", "column 13", "layer", "width", "(for the tensor"}},
    {normal("\"0.02 / (fan_in - 6)\""), {"rules[0].initializer.config.stddev: ", "finite"}},
    {normal("1e-50"), {"m.json: rules[0].initializer: ", "zero", "(for the tensor \"h.0.x\")"}},
    {with_rule(R"("initializer": "ones", "groups": 3)"),
     {"m.json: rules[0]: ", "3 groups do not divide", "fan_out is 4"}},
    {with_rule(R"("initializer": "ones", "input_axes": [0])"),
     {"m.json: rules[0]: ", "\"output_axes\" belong together"}},
    {with_rule(R"("initializer": "ones", "input_axes": [0], "output_axes": [2])"),
     {"m.json: rules[0]: ", "Axis 2", "[6, 4]"}},
    {with_rule(R"("initializer": "ones", "fan_of": "{m*}.w")"), {"m.json: rules[0].fan_of: ", "no capture {m}"}},
    {with_match(R"({"match": "{m}.b", "fan_of": "{m}.weight", "initializer": "ones"})"),
     {"m.json: rules[0].fan_of: ", "there is no tensor \"a.weight\"", "(for the tensor \"a.b\")"}},
    {with_match(R"({"match": "{m}.{m}", "initializer": "ones"})"), {"m.json: rules[0].match: ", "{m} occurs twice"}},
    {with_match(R"({"match": "{m}.w", "initializer": {"class_name": "RandomNormal", "config": {"stddev": "m + 1"}}})"),
     {"rules[0].initializer.config.stddev: ", "\"m\" is \"a\" here, not a number"}},
    {with_match(R"({"match": "a.b", "class": "Linear", "initializer": "ones"})"),
     {"m.json: rules[0].class: ", "Python"}},
};

TEST(ModelSpec, BadOnesAreRefusedWithThePlaceAndTheReason) {
  EXPECT_GE(bad_specs.size(), 40u);
  for (const BadSpec& spec : bad_specs) {
    fanin::ModelSpecOptions options;
    options.source = "m.json";
    try {
      fanin::parse_model_spec(spec.text, 1, options);
      ADD_FAILURE() << "accepted: " << spec.text;
    } catch (const fanin::InvalidArgument& error) {
      const std::string what = error.what();
      for (const std::string& part : spec.says) {
        EXPECT_NE(what.find(part), std::string::npos) << spec.text << "\n  says: " << what << "\n  lacks: " << part;
      }
      EXPECT_NE(what.find("m.json"), std::string::npos) << what;
    }
  }
}

TEST(ModelSpec, UnknownConstantsAreRefused) {
  fanin::ModelSpecOptions options;
  options.constants = {{"layrs", 1}};
  try {
    fanin::parse_model_spec(with_tensor("[1]"), 1, options);
    ADD_FAILURE();
  } catch (const fanin::InvalidArgument& error) {
    EXPECT_NE(std::string(error.what()).find("\"layers\"?"), std::string::npos) << error.what();
  }
}

}  // namespace
