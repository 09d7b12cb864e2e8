// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

namespace fanin::cli {

// A file that is written beside its place and renamed when it is complete, so that a file of that name is only ever
// replaced by a whole one. What is no regular file (a device, a pipe) is written straight away. All functions throw
// std::runtime_error with the path and the system's reason.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();  // removes what was not committed
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* bytes, std::size_t count);
  void commit();

 private:
  [[noreturn]] void fail(const char* doing) const;

  std::string path_;
  std::string temporary_;  // empty if written straight away or committed
  int descriptor_ = -1;
};

// Makes SIGINT, SIGTERM and SIGHUP remove the unfinished file before they end the process, and a full disk or a closed
// pipe an error of write() rather than a signal.
void handle_signals();

}  // namespace fanin::cli
