// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/filler.h"
#include "cli/misfit.h"
#include "cli/npy.h"
#include "cli/output_file.h"
#include "cli/progress.h"

namespace fanin::cli {

namespace {

struct Arguments {
  InitializerArguments initializer;
  TensorArguments tensor;
  std::optional<std::string> subsequence;
  std::optional<std::string> name;
  std::string device = "auto";
  int threads = 0;
  std::optional<std::string> partition_shape;
  std::optional<std::string> partition_offset;
  std::optional<std::string> out;
  std::optional<std::string> format;
  std::string output_scale = "1";
  std::string rounding = "nearest";
};

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// auto, cpu, cuda or cuda:n.
Device parse_device(const std::string& text) {
  if (text == "cpu") return host;
  if (text == "auto") return available().cuda_devices > 0 ? cuda(0) : host;
  if (text == "cuda") return cuda(0);
  const std::string prefix = "cuda:";
  int ordinal = 0;
  const char* const end = text.data() + text.size();
  if (text.size() > prefix.size() && text.compare(0, prefix.size(), prefix) == 0 && text[prefix.size()] != '-') {
    const auto result = std::from_chars(text.data() + prefix.size(), end, ordinal);
    if (result.ec == std::errc() && result.ptr == end) return cuda(ordinal);
  }
  throw InvalidArgument("--device takes auto, cpu, cuda or cuda:N, N below 2^31. Received: " + text);
}

TensorOptions options_of(const Arguments& arguments, const Shape& shape) {
  TensorOptions options;
  options.layout = arguments.tensor.parsed_layout();
  options.name = arguments.name;
  if (arguments.subsequence) options.subsequence = parse_unsigned(*arguments.subsequence, "--subsequence");
  if (arguments.partition_shape.has_value() != arguments.partition_offset.has_value()) {
    throw InvalidArgument("A partition needs both --partition-shape and --partition-offset");
  }
  if (arguments.partition_shape) {
    options.block = {parse_extents(*arguments.partition_offset, "--partition-offset"),
                     parse_extents(*arguments.partition_shape, "--partition-shape")};
    // For the library, two empty vectors mean the whole tensor.
    if (options.block.offset.size() != shape.size() || options.block.extent.size() != shape.size()) {
      throw InvalidArgument("A partition needs an offset and an extent for each dimension of the tensor. Received: " +
                            *arguments.partition_offset + " and " + *arguments.partition_shape + " for shape " +
                            to_string(shape));
    }
  }
  return options;
}

// What --output-scale gives: a number, or a file of scales of float8_e8m0fnu, whose bytes go to `scales`.
OutputScale parse_output_scale(const std::string& text, std::string& scales) {
  double number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec == std::errc() && result.ptr == text.data() + text.size()) return {number};
  try {
    scales = read_file(text);
  } catch (const InvalidArgument& error) {
    throw InvalidArgument(std::string("--output-scale takes a positive number or a file of scales. ") + error.what());
  }
  return {1, scales.data(), DType::float8_e8m0fnu, scales.size()};
}

void check_not_scales(const std::string& scales, const std::string& out) {
  std::error_code error;
  if (kind_of_output(out) != OutputKind::place || !std::filesystem::equivalent(scales, out, error) || error) return;
  throw InvalidArgument("--output-scale and --out must be different files. Received: " + scales + " and " + out);
}

// Whether the output has NumPy's header. A stream has no ending that says so.
bool is_npy(const Arguments& arguments) {
  if (arguments.format) {
    if (*arguments.format == "npy" || *arguments.format == "bin") return *arguments.format == "npy";
    throw InvalidArgument("--format takes npy or bin. Received: " + *arguments.format);
  }
  if (!arguments.out) return false;
  const std::string& out = *arguments.out;
  if (ends_with(out, ".npy") || ends_with(out, ".bin")) return ends_with(out, ".npy");
  if (kind_of_output(out) != OutputKind::place) return true;
  throw InvalidArgument(
      "--out takes a name that ends in .npy (NumPy) or .bin (the elements alone), or any with "
      "--format. Received: " +
      out);
}

void run(const Arguments& arguments) {
  const Initializer initializer = arguments.initializer.make();
  const Shape shape = parse_extents(arguments.tensor.shape, "--shape");
  const DType dtype = parse_dtype(arguments.tensor.dtype);
  TensorOptions options = options_of(arguments, shape);
  std::string scales;
  options.output_scale = parse_output_scale(arguments.output_scale, scales);
  options.rounding = parse_rounding(arguments.rounding);
  const Device device = parse_device(arguments.device);
  if (!device.is_host()) Tensor({}, DType::float32, device);  // throws and says why if there is no such device
  const bool npy = is_npy(arguments) && arguments.out;
  if (arguments.out && !scales.empty()) check_not_scales(arguments.output_scale, *arguments.out);
  const Distribution asked = initializer.describe(shape, options).distribution;
  const FillParams params = initializer.params(shape, dtype, options);
  const Shape written = arguments.partition_shape ? options.block.extent : shape;

  const std::string header = npy ? npy_header(written, dtype) : "";
  const std::uint64_t bytes = bytes_of(dtype, params.index.count);
  std::optional<OutputFile> out;
  if (arguments.out) {
    out.emplace(*arguments.out);
    out->expect(header.size() + bytes);
    out->write(header.data(), header.size());
  }
  std::optional<Progress> progress;
  progress.emplace(bytes);
  const Statistics found = fill_in_pieces(params, device, arguments.threads, out ? &*out : nullptr,
                                          [&](std::uint64_t done) { progress->update(done); });
  progress.reset();
  if (out) out->commit();

  std::cout << initializer.class_name() << ", shape " << to_string(written);
  if (written != shape) std::cout << " of " << to_string(shape);
  std::cout << ", " << name_of(dtype) << ", on " << to_string(device);
  if (params.is_random()) {
    std::cout << ", seed " << params.seed << (initializer.seed().kind() == Seed::Kind::none ? " (drawn)" : "")
              << ", subsequence " << params.subsequence;
  }
  std::cout << '\n' << found.count() << " elements";
  if (found.count() > 0) {
    std::cout << std::setprecision(6) << ": mean " << found.mean() << ", stddev " << found.stddev() << ", min "
              << found.min() << ", max " << found.max();
  }
  std::cout << '\n';
  const std::string misfit =
      scales.empty() ? misfit_of(asked, dtype, options.output_scale.number, options.rounding) : "";
  if (!misfit.empty()) std::cout << "note: " << misfit << '\n';
  if (out) std::cout << "written to " << *arguments.out << '\n';
}

}  // namespace

void add_fill_command(Parser& program) {
  Command command = program.add_command("fill", "Fills one tensor, or a part of it, and writes it to a file");
  auto arguments = std::make_shared<Arguments>();
  arguments->initializer.add_to(command);
  arguments->tensor.add_to(command);
  command.option("--subsequence", arguments->subsequence, "The tensor's number, 0 to 2^64 - 1");
  command.option("--name", arguments->name, "The tensor's name; its hash is the subsequence");
  command.exclude("--name", "--subsequence");
  command.option("--device", arguments->device, "auto, cpu, cuda or cuda:N");
  add_threads_option(command, arguments->threads);
  command.option("--partition-shape", arguments->partition_shape, "Fill a part: its extents, e.g. 2,3");
  command.option("--partition-offset", arguments->partition_offset, "Where the part begins, e.g. 4,0");
  command.option("--output-scale", arguments->output_scale,
                 "What values are divided by before they are rounded: a number, or a file of scales as "
                 "float8_e8m0fnu, one byte for each 32 elements of the last dimension");
  command.option("--rounding", arguments->rounding, "nearest, or stochastic for narrow dtypes");
  command.option("--out", arguments->out,
                 "FILE.npy, or FILE.bin for the elements alone, or - for standard output; bfloat16 and float8 are "
                 "stored as integers, elements of 4 or 6 bits are packed and need .bin");
  command.option("--format", arguments->format, "npy or bin, whatever the name of --out ends in");
  command.run([arguments] {
    run(*arguments);
    return 0;
  });
}

}  // namespace fanin::cli
