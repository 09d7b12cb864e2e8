// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

namespace fanin::cli {

// A file that is written beside its destination and renamed when it is complete, so that only a complete file replaces
// an existing one. Anything but a regular file (a device, a pipe) is written directly. All functions throw
// std::runtime_error with the path and the system's reason.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();  // removes the file unless it was committed
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* bytes, std::size_t count);
  void commit();

 private:
  [[noreturn]] void fail(const char* doing) const;

  std::string path_;
  std::string temporary_;  // empty if written directly or committed
  int descriptor_ = -1;
};

// Makes SIGINT, SIGTERM and SIGHUP remove unfinished files before they end the process, and makes a full disk or a
// closed pipe an error of write() instead of a signal.
void handle_signals();

}  // namespace fanin::cli
