// SPDX-License-Identifier: Apache-2.0
#include "output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace fanin::tool {

namespace {

// The unfinished file's name, where a signal handler can read it. One program writes one file at a time.
std::array<char, PATH_MAX> unfinished{};

void remove_and_die(int signal) {
  if (unfinished[0] != '\0') unlink(unfinished.data());
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

mode_t default_mode() {
  const mode_t mask = umask(0);
  umask(mask);
  return 0666 & ~mask;
}

}  // namespace

void handle_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, remove_and_die);
  for (const int signal : {SIGXFSZ, SIGPIPE}) std::signal(signal, SIG_IGN);
}

OutputFile::OutputFile(const std::string& path) : path_(path) {
  struct stat status {};
  const bool exists = stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) {
    errno = EISDIR;
    fail("write");
  }
  if (exists && !S_ISREG(status.st_mode)) {
    descriptor_ = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail("write");
    return;
  }
  if (exists) {
    if (access(path.c_str(), W_OK) != 0) fail("write");
    // A link stays a link: what it names is replaced.
    if (char* resolved = realpath(path.c_str(), nullptr); resolved != nullptr) {
      path_ = resolved;
      std::free(resolved);
    }
  }
  const std::size_t slash = path_.rfind('/');
  const std::size_t base = slash == std::string::npos ? 0 : slash + 1;
  temporary_ = path_.substr(0, base) + "." + path_.substr(base) + ".XXXXXX";
  descriptor_ = mkostemp(temporary_.data(), O_CLOEXEC);
  if (descriptor_ < 0) {
    temporary_.clear();
    fail("write");
  }
  if (temporary_.size() < unfinished.size()) std::memcpy(unfinished.data(), temporary_.c_str(), temporary_.size() + 1);
  fchmod(descriptor_, exists ? status.st_mode & 07777 : default_mode());
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
  unfinished[0] = '\0';
}

void OutputFile::fail(const char* doing) const {
  throw std::runtime_error("Cannot " + std::string(doing) + " \"" + path_ + "\": " + std::strerror(errno));
}

void OutputFile::write(const void* bytes, std::size_t count) {
  const char* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::write(descriptor_, next, count);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write");
    next += written;
    count -= static_cast<std::size_t>(written);
  }
}

void OutputFile::commit() {
  if (!temporary_.empty() && fsync(descriptor_) != 0) fail("finish");
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (close(descriptor) != 0) fail("finish");
  if (temporary_.empty()) return;
  if (rename(temporary_.c_str(), path_.c_str()) != 0) fail("finish");
  temporary_.clear();
}

}  // namespace fanin::tool
