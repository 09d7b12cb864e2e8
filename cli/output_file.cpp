// SPDX-License-Identifier: Apache-2.0
#include "cli/output_file.h"

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

namespace fanin::cli {

namespace {

// The names of unfinished files, in memory that a signal handler can read. The program writes at most two files at a
// time.
std::array<std::array<char, PATH_MAX>, 2> unfinished{};

void remember(const std::string& path) {
  for (auto& slot : unfinished) {
    if (slot[0] != '\0' || path.size() >= slot.size()) continue;
    std::memcpy(slot.data(), path.c_str(), path.size() + 1);
    return;
  }
}

void forget(const std::string& path) {
  for (auto& slot : unfinished) {
    if (path == slot.data()) slot[0] = '\0';
  }
}

void remove_and_die(int signal) {
  for (const auto& slot : unfinished) {
    if (slot[0] != '\0') unlink(slot.data());
  }
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
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    // A signal that the parent ignores (nohup, a background job) stays ignored.
    if (std::signal(signal, remove_and_die) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
  for (const int signal : {SIGXFSZ, SIGPIPE}) std::signal(signal, SIG_IGN);
}

OutputFile::OutputFile(const std::string& path) : path_(path) {
  struct stat status = {};
  const bool exists = stat(path.c_str(), &status) == 0;
  struct stat link = {};
  if (!exists && (path.empty() || errno != ENOENT || (lstat(path.c_str(), &link) == 0 && S_ISLNK(link.st_mode)))) {
    fail("write");  // for example a dangling or cyclic link, or an unreadable folder
  }
  struct stat standard = {};
  if (exists && !S_ISCHR(status.st_mode) && fstat(STDOUT_FILENO, &standard) == 0 && standard.st_dev == status.st_dev &&
      standard.st_ino == status.st_ino) {
    throw std::runtime_error("Cannot write \"" + path + "\": it is the standard output, where the report goes");
  }
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
    // A link stays a link, and its target is replaced.
    if (char* resolved = realpath(path.c_str(), nullptr); resolved != nullptr) {
      path_ = resolved;
      std::free(resolved);
    }
  }
  const std::size_t slash = path_.rfind('/');
  const std::size_t base = slash == std::string::npos ? 0 : slash + 1;
  temporary_ = path_.substr(0, base) + ".fanin-XXXXXX";
  descriptor_ = mkostemp(temporary_.data(), O_CLOEXEC);
  if (descriptor_ < 0) {
    temporary_.clear();
    fail("write");
  }
  remember(temporary_);
  if (exists && fchown(descriptor_, status.st_uid, status.st_gid) != 0) errno = 0;  // only root may give files away
  fchmod(descriptor_, exists ? status.st_mode & 07777 : default_mode());
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (temporary_.empty()) return;
  unlink(temporary_.c_str());
  forget(temporary_);
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
  forget(temporary_);
  temporary_.clear();
}

}  // namespace fanin::cli
