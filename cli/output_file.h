// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace fanin::cli {

// What --out means.
enum class OutputKind : std::uint8_t {
  standard,  // "-", /dev/stdout: the standard output
  stream,    // a device, a pipe, for example >(gzip ...), or another descriptor, for example /dev/fd/3
  place      // a file or a directory, which may not exist yet
};
OutputKind kind_of_output(const std::string& path);

// A lock on a file or a directory of unfinished output. It is held until the object is destroyed, or the process ends
// in any way.
class OutputLock {
 public:
  // Creates the file if need be. Throws std::runtime_error if another process has it, with the name of what is written.
  OutputLock(const std::string& path, const std::string& writes);
  ~OutputLock();
  OutputLock(const OutputLock&) = delete;
  OutputLock& operator=(const OutputLock&) = delete;

  int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

// An unfinished file or directory that a signal removes before it ends the process, while this object exists. The last
// one is removed first. It need not be there yet.
class UnfinishedPath {
 public:
  explicit UnfinishedPath(const std::string& path);
  ~UnfinishedPath();
  UnfinishedPath(UnfinishedPath&& other) noexcept;
  UnfinishedPath& operator=(UnfinishedPath&&) = delete;

  struct Entry;

 private:
  Entry* entry_;  // null after a move
};

// A file that is written beside its destination, as .NAME.fanin-partial, and renamed when it is complete, so that only
// a complete file replaces an existing one. It is locked meanwhile; one that a killed process left is overwritten.
// Standard output, devices and pipes are written directly. All functions throw std::runtime_error with the path and the
// system's reason.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();  // removes the file unless it was committed
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Throws if the disk has no room for so many bytes.
  void expect(std::uint64_t bytes) const;
  void write(const void* bytes, std::size_t count);
  // For people and their tools: a reader that has enough, such as `head`, is no failure.
  void write_text(const std::string& text);
  void commit();

 private:
  [[noreturn]] void fail(const char* doing) const;

  std::string path_;
  std::string temporary_;           // empty if written directly or committed
  std::optional<OutputLock> lock_;  // of the temporary file
  std::optional<UnfinishedPath> unfinished_;
  int descriptor_ = -1;  // the lock's, if there is one
};

// The path of an existing file or directory behind links; any other path as it is.
std::string resolved(const std::string& path);

// The place of unfinished output: .NAME.fanin-partial, beside the path.
std::string partial_path(const std::string& path);

// "." or the folder of a path.
std::string folder_of(const std::string& path);

// Throws std::runtime_error if the folder cannot be written, and names it.
void check_folder(const std::string& folder);

// Throws std::runtime_error if the disk of a folder has no room for so many bytes.
void check_room(const std::string& folder, std::uint64_t bytes);

// Reads until the end of the file or an error; returns the bytes read. errno is 0 if the file ended.
std::size_t read_at(int descriptor, void* bytes, std::size_t count, std::uint64_t offset);

// Writes all bytes. Throws std::runtime_error with the path.
void write_all(int descriptor, const void* bytes, std::size_t count, const std::string& path);

// Throws std::runtime_error with errno's reason.
[[noreturn]] void fail_with(const std::string& doing, const std::string& path);

// Makes signals that end the process remove unfinished files, and makes a full disk or a closed pipe an error of
// write() instead of a signal. Opens what the parent closed of the standard streams, so that no file takes its number.
void prepare_process();

// Whether the reader of a pipe or socket has gone, for example `head -1`.
bool is_reader_gone(int descriptor);

}  // namespace fanin::cli
