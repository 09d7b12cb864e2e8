// SPDX-License-Identifier: Apache-2.0
// Fills a model on many processes with tensor, pipeline, expert and data parallelism, and writes one safetensors file
// together. A rank needs the specification, the seed and its place; nothing is sent between ranks to fill. The file is
// the same for any number of ranks.
//
//     mpirun -n 8 mpi_model SPEC.json 42 OUT.safetensors [--tensor 2] [--pipeline 2] [--device]
//
// Ranks that --tensor and --pipeline leave over are data-parallel: they hold copies, but for experts, of which each has
// its own.
#include <mpi.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fanin/fanin.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

struct Options {
  std::string spec, out;
  std::uint64_t seed = 0;
  int tensor = 1, pipeline = 1;
  bool device = false;
};

Options parse(int argc, char** argv) {
  Options options;
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--device") {
      options.device = true;
    } else if (word == "--tensor" || word == "--pipeline") {
      (word == "--tensor" ? options.tensor : options.pipeline) = i + 1 < argc ? std::atoi(argv[++i]) : 0;
    } else {
      words.push_back(word);
    }
  }
  if (words.size() != 3 || options.tensor < 1 || options.pipeline < 1) {
    throw fanin::InvalidArgument(
        "usage: mpi_model SPEC.json SEED OUT.safetensors [--tensor N] [--pipeline N] [--device]");
  }
  options.spec = words[0];
  options.seed = std::strtoull(words[1].c_str(), nullptr, 10);
  options.out = words[2];
  return options;
}

// Where a rank is in each kind of parallelism, and how many there are.
struct Mesh {
  int tensor, tensors, stage, stages, replica, replicas;
};

Mesh mesh_of(const Options& options, int rank, int ranks) {
  const int replicas = ranks / (options.tensor * options.pipeline);
  if (replicas * options.tensor * options.pipeline != ranks) {
    throw fanin::InvalidArgument("The number of ranks must be a multiple of --tensor times --pipeline. Received: " +
                                 std::to_string(ranks));
  }
  return {rank % options.tensor,
          options.tensor,
          rank / options.tensor % options.pipeline,
          options.pipeline,
          rank / (options.tensor * options.pipeline),
          replicas};
}

// The number in place of a capture of the specification, such as {layer}.
std::optional<std::int64_t> number_of(const fanin::ModelSpec& spec, const fanin::ModelTensor& tensor,
                                      const std::string& capture) {
  const std::vector<std::string>& names = spec.entries[tensor.entry].captures;
  const auto at = std::find(names.begin(), names.end(), capture);
  if (at == names.end()) return std::nullopt;
  return tensor.captures[static_cast<std::size_t>(at - names.begin())];
}

// The block of a tensor that a rank holds: a piece of its longest axis.
fanin::Block block_of(const fanin::ModelTensor& tensor, const Mesh& mesh) {
  const fanin::Shape& shape = tensor.shape;
  fanin::Block block{fanin::Shape(std::vector<std::int64_t>(shape.size())), shape};
  if (shape.empty()) return {};
  const auto axis = static_cast<std::size_t>(std::max_element(shape.begin(), shape.end()) - shape.begin());
  block.offset[axis] = shape[axis] * mesh.tensor / mesh.tensors;
  block.extent[axis] = shape[axis] * (mesh.tensor + 1) / mesh.tensors - block.offset[axis];
  return block;
}

// One tensor of the file, and what this rank holds of it.
struct Held {
  const fanin::ModelTensor* tensor;
  MPI_Offset begin;  // in the file
  bool writes;       // one of the replicas does
  fanin::Block block;
  std::optional<fanin::Tensor> memory;  // none: other ranks hold it
};

std::vector<Held> held_by(const fanin::ModelSpec& spec, const Mesh& mesh, fanin::Device device) {
  std::int64_t layers = 0;
  for (const fanin::ModelTensor& tensor : spec.tensors) {
    layers = std::max(layers, number_of(spec, tensor, "layer").value_or(-1) + 1);
  }
  std::vector<Held> all;
  std::int64_t stage = 0;  // what precedes the layers is on the first stage, what follows them on the last
  for (const fanin::ModelTensor& tensor : spec.tensors) {
    if (const auto layer = number_of(spec, tensor, "layer")) {
      stage = *layer * mesh.stages / layers;
    } else if (!all.empty() && number_of(spec, *all.back().tensor, "layer")) {
      stage = mesh.stages - 1;
    }
    const auto expert = number_of(spec, tensor, "expert");
    const bool mine = stage == mesh.stage && (!expert || *expert % mesh.replicas == mesh.replica);
    Held held{&tensor, 0, mine && (expert || mesh.replica == 0), block_of(tensor, mesh), {}};
    if (tensor.shape.empty() && mesh.tensor != 0) held.writes = false;
    if (mine) held.memory.emplace(tensor.shape.empty() ? tensor.shape : held.block.extent, tensor.dtype, device);
    all.push_back(std::move(held));
  }
  // Wider elements first, as safetensors_header asks.
  std::stable_sort(all.begin(), all.end(),
                   [](const Held& a, const Held& b) { return size_of(a.tensor->dtype) > size_of(b.tensor->dtype); });
  return all;
}

MPI_Datatype element_type(fanin::DType dtype) {
  const MPI_Datatype types[] = {MPI_UINT8_T, MPI_UINT16_T, MPI_UINT32_T, MPI_UINT64_T};
  const std::size_t size = size_of(dtype);
  return types[size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3];
}

MPI_Datatype box_type(const fanin::Shape& whole, const fanin::Block& block, fanin::DType dtype) {
  const std::vector<int> sizes(whole.begin(), whole.end());
  const std::vector<int> extent(block.extent.begin(), block.extent.end());
  const std::vector<int> offset(block.offset.begin(), block.offset.end());
  MPI_Datatype type{};
  MPI_Type_create_subarray(static_cast<int>(sizes.size()), sizes.data(), extent.data(), offset.data(), MPI_ORDER_C,
                           element_type(dtype), &type);
  MPI_Type_commit(&type);
  return type;
}

void check(int error, const std::string& what) {
  if (error == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(error, text, &length);
  throw std::runtime_error(what + ": " + text);
}

// Every rank writes its box of every tensor.
void write(const std::string& path, const std::string& header, std::vector<Held>& all, int rank) {
  MPI_File file{};
  check(MPI_File_open(MPI_COMM_WORLD, path.c_str(), MPI_MODE_CREATE | MPI_MODE_WRONLY, MPI_INFO_NULL, &file),
        "cannot open " + path);
  check(MPI_File_set_size(file, 0), "cannot write " + path);
  if (rank == 0) {
    check(MPI_File_write_at(file, 0, header.data(), static_cast<int>(header.size()), MPI_BYTE, MPI_STATUS_IGNORE),
          "cannot write " + path);
  }
  for (Held& held : all) {
    const fanin::DType dtype = held.tensor->dtype;
    const bool writes = held.writes && held.memory->size() > 0;
    MPI_Datatype in_file = element_type(dtype), in_memory = in_file;
    fanin::Tensor values({}, dtype);
    if (writes) {
      values = held.memory->to(fanin::host);
      const bool scalar = held.tensor->shape.empty();
      const fanin::Shape whole = scalar ? fanin::Shape{1} : held.tensor->shape;
      const fanin::Block box = scalar ? fanin::Block{{0}, {1}} : held.block;
      in_file = box_type(whole, box, dtype);
      in_memory = box_type(box.extent, {fanin::Shape(std::vector<std::int64_t>(whole.size())), box.extent}, dtype);
    }
    check(MPI_File_set_view(file, held.begin, element_type(dtype), in_file, "native", MPI_INFO_NULL), path);
    check(MPI_File_write_all(file, values.data(), writes ? 1 : 0, in_memory, MPI_STATUS_IGNORE),
          "cannot write " + path);
    if (writes) {
      MPI_Type_free(&in_file);
      MPI_Type_free(&in_memory);
    }
  }
  check(MPI_File_close(&file), "cannot write " + path);
}

void run(const Options& options, int rank, int ranks) {
  const Mesh mesh = mesh_of(options, rank, ranks);
  std::ifstream text(options.spec, std::ios::binary);
  if (!text) throw std::runtime_error("cannot read " + options.spec);
  fanin::ModelSpecOptions spec_options;
  spec_options.source = options.spec;
  spec_options.folder = std::filesystem::path(options.spec).parent_path().string();
  const fanin::ModelSpec spec =
      fanin::parse_model_spec(std::string(std::istreambuf_iterator<char>(text), {}), options.seed, spec_options);

  const fanin::Device device =
      options.device ? fanin::cuda(rank % std::max(1, fanin::available().cuda_devices)) : fanin::host;
  std::vector<Held> all = held_by(spec, mesh, device);
  fanin::Plan plan;
  std::uint64_t bytes = 0;
  for (Held& held : all) {
    if (!held.memory) continue;
    add(plan, *held.tensor, held.memory->view(), held.block);
    bytes += held.memory->bytes();
  }
  const double start = MPI_Wtime();
  plan.fill();
  std::printf("rank %d (tensor %d, stage %d, replica %d): %.1f MB in %.3f s\n", rank, mesh.tensor, mesh.stage,
              mesh.replica, static_cast<double>(bytes) / 1e6, MPI_Wtime() - start);

  std::vector<fanin::StoredTensor> stored;
  for (const Held& held : all) stored.push_back({held.tensor->name, held.tensor->shape, held.tensor->dtype});
  const std::string header =
      fanin::safetensors_header(stored, {{"format", "pt"}, {"fanin.seed", std::to_string(options.seed)}});
  auto begin = static_cast<MPI_Offset>(header.size());
  for (Held& held : all) {
    held.begin = begin;
    begin += static_cast<MPI_Offset>(element_count(held.tensor->shape) * size_of(held.tensor->dtype));
  }
  const std::string unfinished = options.out + ".unfinished";
  write(unfinished, header, all, rank);
  if (rank == 0 && std::rename(unfinished.c_str(), options.out.c_str()) != 0) {
    throw std::runtime_error("cannot write " + options.out);
  }
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  try {
    run(parse(argc, argv), rank, ranks);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mpi_model: %s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  MPI_Finalize();
}
