// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <memory>
#include <string>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/distribution_json.h"
#include "cli/misfit.h"
#include "cli/table.h"

namespace fanin::cli {

namespace {

std::string values_text(const Distribution& d) {
  switch (d.kind) {
    case Distribution::Kind::constant:
      return exact_number(d.value) + " everywhere";
    case Distribution::Kind::identity:
      return exact_number(d.value) + " on the diagonal, 0 elsewhere";
    case Distribution::Kind::uniform:
      return "uniform on [" + exact_number(d.low) + ", " + exact_number(d.high) + ")";
    case Distribution::Kind::normal:
      return "normal, mean " + exact_number(d.mean) + ", stddev " + exact_number(d.stddev);
    case Distribution::Kind::truncated_normal:
      break;
    case Distribution::Kind::orthogonal:
      return exact_number(d.value) + " times a random orthogonal matrix";
    case Distribution::Kind::computed:
      return d.uses_draw ? "computed from the element's coordinates and draw"
                         : "computed from the element's coordinates";
  }
  return "normal, mean " + exact_number(d.mean) + ", stddev " + exact_number(d.stddev) + ", cut at " +
         exact_number(d.lower) + " and " + exact_number(d.upper) + " stddev";
}

}  // namespace

void add_describe_command(Parser& program) {
  struct Arguments {
    InitializerArguments initializer;
    TensorArguments tensor;
    bool json = false;
  };
  Command command = program.add_command("describe", "Says what an initializer draws for a shape, and why");
  auto arguments = std::make_shared<Arguments>();
  arguments->initializer.add_to(command, "without it a fill draws one");
  arguments->tensor.add_to(command);
  command.flag("--json", arguments->json, "One JSON object instead of text");
  command.run([arguments] {
    const Initializer initializer = arguments->initializer.make();
    const Shape shape = parse_extents(arguments->tensor.shape, "--shape");
    const DType dtype = parse_dtype(arguments->tensor.dtype);
    TensorOptions options;
    options.layout = arguments->tensor.parsed_layout();
    const Description description = initializer.describe(shape, options);
    const FillParams params = initializer.params(shape, dtype, options);  // throws for what a fill refuses
    const Moments moments = moments_of(description.distribution);
    const bool limited = params.kind == FillParams::Kind::uniform ||
                         (params.kind == FillParams::Kind::normal &&
                          description.distribution.kind == Distribution::Kind::truncated_normal);
    const bool has_seed = params.is_random() && initializer.seed().kind() != Seed::Kind::none;
    const std::string misfit = misfit_of(description.distribution, dtype);

    if (arguments->json) {
      Json object{{"initializer", description.initializer},
                  {"shape", shape},
                  {"dtype", name_of(dtype)},
                  {"layout", name_of(description.layout)},
                  {"fan_in", description.fans.fan_in},
                  {"fan_out", description.fans.fan_out}};
      object.update(distribution_json(description.distribution));
      object["value_mean"] = moments.mean;
      object["value_stddev"] = moments.stddev;
      object["limits"] = limited ? Json{params.min, params.max} : Json();
      object["seed"] = has_seed ? Json(initializer.seed().value()) : Json();
      object["note"] = misfit.empty() ? Json() : Json(misfit);
      object["derivation"] = description.derivation;
      std::cout << object.dump() << '\n';
      return 0;
    }
    std::cout << description.initializer << ", shape " << to_string(shape) << ", " << name_of(dtype) << '\n'
              << "fans         in " << description.fans.fan_in << ", out " << description.fans.fan_out << " ("
              << name_of(description.layout) << ")\n"
              << "derivation   " << description.derivation << '\n'
              << "values       " << values_text(description.distribution) << '\n';
    if (params.kind != FillParams::Kind::computed) {
      std::cout << "their mean   " << exact_number(moments.mean) << '\n'
                << "their stddev " << exact_number(moments.stddev) << '\n';
    }
    if (limited) {
      std::cout << "limits       " << exact_number(params.min) << " to " << exact_number(params.max)
                << ", the outermost " << name_of(dtype) << " values that can occur\n";
    }
    if (has_seed) std::cout << "seed         " << initializer.seed().value() << '\n';
    if (!misfit.empty()) std::cout << "note: " << misfit << '\n';
    return 0;
  });
}

}  // namespace fanin::cli
