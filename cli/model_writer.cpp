// SPDX-License-Identifier: Apache-2.0
#include "cli/model_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <memory>
#include <utility>

#include "cli/progress.h"
#include "cli/stream.h"
#include "cli/table.h"
#include "fanin/cpu.h"
#include "fanin/error.h"
#include "fanin/seed.h"

namespace fanin::cli {

namespace {

// The time that this thread has worked, whatever else the processor did meanwhile.
double thread_seconds() {
  std::timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Closes a descriptor.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags, mode_t permissions = 0)
      : value(open(path.c_str(), flags | O_CLOEXEC, permissions)) {
    if (value < 0) fail_with("write", path);
  }
  ~Descriptor() {
    if (value >= 0) close(value);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int release() { return std::exchange(value, -1); }

  int value;
};

struct Made {
  std::uint64_t elements = 0;
  double seconds = 0;
  std::vector<PartFound> found;
};

// Asks the system to write so many bytes to the disk at a time, so that it works while tensors are filled.
constexpr std::uint64_t flush_bytes = std::uint64_t{32} << 20;

void start_flush(int descriptor, std::uint64_t first, std::uint64_t bytes) {
#if defined(__linux__)
  sync_file_range(descriptor, static_cast<off_t>(first), static_cast<off_t>(bytes), SYNC_FILE_RANGE_WRITE);
#else
  static_cast<void>(descriptor), static_cast<void>(first), static_cast<void>(bytes);
#endif
}

// Below this, the clock and the start of threads take a good part of the time.
constexpr std::uint64_t least_bytes_to_compare = std::uint64_t{64} << 20;

// The seconds a byte takes in a memset to zero on so many threads, each in memory of its own.
double memset_seconds(int threads) {
  const std::uint64_t piece = piece_bytes_for(threads);
  const std::uint64_t bytes = 64 * piece * static_cast<std::uint64_t>(threads);
  double seconds = 0;
  const auto make = [](std::uint64_t /*first*/, std::size_t size, std::byte* memory) {
    const double start = thread_seconds();
    std::memset(memory, 0, size);
    return thread_seconds() - start;
  };
  stream<double>(0, bytes, piece, threads, make,
                 [&](std::uint64_t, std::size_t, const std::byte*, double part) { seconds += part / threads; });
  return seconds / static_cast<double>(bytes);
}

// Differs after a change of the file.
std::string state_of(const std::string& path) {
  return path + " " + std::to_string(std::filesystem::file_size(path)) + " " +
         std::to_string(std::filesystem::last_write_time(path).time_since_epoch().count());
}

}  // namespace

void WriteArguments::add_to(Command& command) {
  command.option("--out", out, "FILE.safetensors; with --shard-size a directory; -: standard output");
  command.option("--shard-size", shard_size, "Writes files of at most this size and their index, e.g. 5GB");
  command.flag("--no-stats", no_stats, "Measures no statistics of what is written, which is faster");
  command.flag("--resume", resume, "Goes on where the same command was killed, and keeps the pieces on failure");
}

WriteOptions WriteArguments::options_without_out() const {
  WriteOptions options;
  if (shard_size) options.shard_bytes = parse_bytes(*shard_size, "--shard-size");
  return options;
}

WriteOptions WriteArguments::options(int threads) const {
  if (out.empty()) {
    throw InvalidArgument(
        "--out is missing: FILE.safetensors, a directory with --shard-size, or -. --check needs none");
  }
  WriteOptions options = options_without_out();
  options.out = out;
  options.threads = threads;
  options.statistics = !no_stats;
  options.resume = resume;
  const std::string ending = ".safetensors";
  const bool is_file_name =
      out.size() > ending.size() && out.compare(out.size() - ending.size(), ending.size(), ending) == 0;
  if (kind_of_output(out) != OutputKind::place || is_file_name != shard_size.has_value()) return options;
  throw InvalidArgument(shard_size
                            ? "With --shard-size, --out is a directory, whose name does not end in .safetensors. "
                              "Received: \"" +
                                  out + "\""
                            : "--out takes a name that ends in .safetensors, or a directory with --shard-size. "
                              "Received: \"" +
                                  out + "\"");
}

void print_written(const Written& written, const std::string& out) {
  constexpr double giga = 1e9;
  std::cout << "written to " << out;
  if (written.files > 1) std::cout << " as " << written.files << " files";
  if (written.resumed > 0) std::cout << "; " << written.resumed << " bytes were there before";
  if (written.bytes >= least_bytes_to_compare) {
    std::cout << std::fixed << std::setprecision(2) << "; " << static_cast<double>(written.bytes) / giga << " GB in "
              << written.seconds << " s: " << static_cast<double>(written.bytes) / giga / written.seconds << " GB/s";
  }
  std::cout << '\n';
}

ModelWriter::ModelWriter(std::vector<const ModelTensor*> tensors, Metadata metadata, const WriteOptions& options)
    : tensors_(std::move(tensors)),
      metadata_(std::move(metadata)),
      options_(options),
      threads_(options.threads > 0 ? options.threads : available_threads()),
      files_(layout_of(tensors_, options.shard_bytes, metadata_)),
      kept_(files_.size(), 0) {
  if (kind_of_output(options_.out) != OutputKind::place) {
    if (options_.shard_bytes || options_.resume) {
      throw InvalidArgument("--shard-size and --resume need a --out on a disk. Received: " + options_.out);
    }
    stream_.emplace(options_.out);
    return;
  }
  std::vector<std::string> names;
  std::string identity = std::to_string(files_.size());
  std::uint64_t bytes = 0;
  for (const FileLayout& file : files_) {
    if (options_.shard_bytes) names.push_back(file.name);
    // The header has all that decides the bytes, but for a specification that is too long for it and loaded values.
    identity += " " + file.header_hash;
    bytes += file.bytes();
  }
  for (const std::string& file : loaded_files(tensors_)) identity += " " + hash_text(state_of(file));
  partial_.emplace(options_.out, std::move(names), identity, options_.resume);
  if (partial_->is_finished()) {
    for (std::size_t j = 0; j < files_.size(); ++j) kept_[j] = files_[j].bytes();
    return;
  }
  for (std::size_t j = 0; partial_->has_pieces() && j < files_.size(); ++j) {
    kept_[j] = kept_bytes(j);
    bytes -= kept_[j];
  }
  check_room(folder_of(resolved(options_.out)), bytes);
}

// How much of a file is there and right, as far as samples of it tell.
std::uint64_t ModelWriter::kept_bytes(std::size_t number) const {
  const FileLayout& file = files_[number];
  const std::string path = partial_->file(number);
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) return 0;
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size < file.header_bytes || size > file.bytes()) return 0;
  const Descriptor opened(path, O_RDONLY);
  std::string header(file.header_bytes, '\0');
  if (read_at(opened.value, header.data(), header.size(), 0) != header.size()) return 0;
  if (header != header_of(file, tensors_, metadata_)) return 0;
  // Elements begin at multiples of their size, which divides 8.
  const std::uint64_t there = size == file.bytes() ? file.data_bytes : (size - file.header_bytes) / 8 * 8;
  constexpr std::uint64_t window = std::uint64_t{256} << 10;
  constexpr std::uint64_t windows = 64;
  const auto wanted = std::make_unique<std::byte[]>(window + 8);
  const auto found = std::make_unique<std::byte[]>(window + 8);
  const auto is_right = [&](std::uint64_t first, std::uint64_t count) {
    fill_bytes(file, tensors_, first, count, wanted.get());
    return read_at(opened.value, found.get(), count, file.header_bytes + first) == count &&
           std::memcmp(wanted.get(), found.get(), count) == 0;
  };
  const std::uint64_t step = std::max(window, there / windows / 8 * 8);
  for (std::uint64_t first = 0; first < there; first += step) {
    if (!is_right(first, std::min(window, there - first))) return 0;
  }
  const std::uint64_t last = there > window ? (there - window) / 8 * 8 : 0;
  if (there > 0 && !is_right(last, there - last)) return 0;
  return file.header_bytes + there;
}

void ModelWriter::take(const std::vector<PartFound>& found, Written& written) const {
  for (const PartFound& part : found) written.found[part.tensor][part.part].add(part.found);
}

// Writes what is missing of a file.
void ModelWriter::write_file(std::size_t number, std::uint64_t kept, Written& written) {
  const FileLayout& file = files_[number];
  std::optional<Descriptor> opened;
  if (partial_) {
    opened.emplace(partial_->file(number), O_WRONLY | O_CREAT, partial_->permissions());
    const auto end = static_cast<off_t>(kept);
    if (ftruncate(opened->value, end) != 0 || lseek(opened->value, end, SEEK_SET) != end) {
      fail_with("write", partial_->file(number));
    }
  }
  const auto write = [&](const void* bytes, std::size_t count) {
    if (stream_) return stream_->write(bytes, count);
    write_all(opened->value, bytes, count, options_.out);
  };
  if (kept == 0) {
    const std::string header = header_of(file, tensors_, metadata_);
    write(header.data(), header.size());
  }
  const std::uint64_t begin = kept == 0 ? 0 : kept - file.header_bytes;
  written.resumed += begin;
  done_ += begin;
  std::uint64_t flushed = begin;
  const auto make = [&](std::uint64_t first, std::size_t bytes, std::byte* memory) {
    const double start = thread_seconds();
    Made made;
    made.elements = fill_bytes(file, tensors_, first, bytes, memory);
    made.seconds = thread_seconds() - start;
    if (options_.statistics) made.found = statistics_of(file, tensors_, first, bytes, memory);
    return made;
  };
  stream<Made>(begin, file.data_bytes, piece_bytes_for(threads_), threads_, make,
               [&](std::uint64_t first, std::size_t bytes, const std::byte* memory, const Made& made) {
                 write(memory, bytes);
                 done_ += bytes;
                 written.bytes += bytes;
                 written.elements += made.elements;
                 written.fill_seconds += made.seconds / threads_;
                 take(made.found, written);
                 progress_->update(done_);
                 if (opened && first + bytes - flushed >= flush_bytes) {
                   start_flush(opened->value, file.header_bytes + flushed, first + bytes - flushed);
                   flushed = first + bytes;
                 }
               });
  if (opened) partial_->finish(number, opened->release(), file.bytes() - kept);
}

Written ModelWriter::write() {
  Written written;
  written.threads = threads_;
  written.files = files_.size();
  std::uint64_t total = 0;
  for (const ModelTensor* tensor : tensors_) written.found.emplace_back(tensor->parts.size());
  for (const FileLayout& file : files_) total += file.data_bytes;
  const double start = now_seconds();
  progress_.emplace(total);
  for (std::size_t j = 0; j < files_.size(); ++j) {
    if (kept_[j] == files_[j].bytes() && (partial_->is_finished() || partial_->is_on_disk(j))) {
      written.resumed += files_[j].data_bytes;
      progress_->update(done_ += files_[j].data_bytes);
    } else {
      write_file(j, kept_[j], written);
    }
  }
  progress_.reset();
  if (partial_ && !partial_->is_finished() && files_.size() > 1) {
    const std::string text = index_text(tensors_, files_);
    const std::string path = partial_->file(0).substr(0, partial_->file(0).rfind('/') + 1) + index_name;
    const Descriptor index(path, O_WRONLY | O_CREAT | O_TRUNC, partial_->permissions());
    write_all(index.value, text.data(), text.size(), path);
    if (fsync(index.value) != 0) fail_with("finish", path);
  }
  written.seconds = now_seconds() - start;
  if (options_.statistics && written.bytes >= least_bytes_to_compare) {
    written.memset_seconds = memset_seconds(threads_) * static_cast<double>(written.bytes);
  }
  return written;
}

void ModelWriter::commit() {
  if (partial_) return partial_->commit();
  stream_->commit();
}

}  // namespace fanin::cli
