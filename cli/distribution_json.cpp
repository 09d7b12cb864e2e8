// SPDX-License-Identifier: Apache-2.0
#include "cli/distribution_json.h"

#include <cmath>

namespace fanin::cli {

Json distribution_json(const Distribution& d) {
  const auto bound = [](double v) { return std::isinf(v) ? Json() : Json(v); };
  const Moments moments = moments_of(d);
  // All kinds have all keys.
  Json json{{"kind", name_of(d.kind)}, {"value", nullptr}, {"mean", moments.mean}, {"stddev", moments.stddev},
            {"lower", nullptr},        {"upper", nullptr}, {"low", nullptr},       {"high", nullptr},
            {"gain", nullptr},         {"rows", nullptr},  {"columns", nullptr}};
  switch (d.kind) {
    case Distribution::Kind::constant:
    case Distribution::Kind::identity:
      json["value"] = d.value;
      break;
    case Distribution::Kind::uniform:
      json["low"] = d.low;
      json["high"] = d.high;
      break;
    case Distribution::Kind::normal:
    case Distribution::Kind::truncated_normal:
      json["mean"] = d.mean;
      json["stddev"] = d.stddev;
      json["lower"] = bound(d.lower);
      json["upper"] = bound(d.upper);
      break;
    case Distribution::Kind::orthogonal:
      json["gain"] = d.value;
      json["rows"] = d.rows;
      json["columns"] = d.columns;
      break;
    case Distribution::Kind::computed:
      break;
  }
  return json;
}

}  // namespace fanin::cli
