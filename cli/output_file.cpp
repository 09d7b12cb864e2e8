// SPDX-License-Identifier: Apache-2.0
#include "cli/output_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "cli/table.h"

namespace fanin::cli {

// Of a list that a signal handler can walk: entries are never removed, only emptied.
struct UnfinishedPath::Entry {
  std::string path;
  std::atomic<bool> is_unfinished{true};
  Entry* next;
};

namespace {

std::atomic<UnfinishedPath::Entry*> unfinished{nullptr};
static_assert(std::atomic<UnfinishedPath::Entry*>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

void remove_and_die(int signal) {
  for (const UnfinishedPath::Entry* entry = unfinished; entry != nullptr; entry = entry->next) {
    if (entry->is_unfinished && unlink(entry->path.c_str()) != 0) rmdir(entry->path.c_str());
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// The open descriptor that a path such as /dev/fd/3 names.
std::optional<int> descriptor_of(const std::string& path) {
  if (path == "-" || path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  for (const std::string folder : {"/dev/fd/", "/proc/self/fd/"}) {
    if (path.compare(0, folder.size(), folder) != 0) continue;
    int number = 0;
    const char* const end = path.data() + path.size();
    const auto result = std::from_chars(path.data() + folder.size(), end, number);
    if (result.ec == std::errc() && result.ptr == end && fcntl(number, F_GETFD) >= 0) return number;
  }
  return {};
}

mode_t default_mode() {
  const mode_t mask = umask(0);
  umask(mask);
  return 0666 & ~mask;
}

}  // namespace

UnfinishedPath::UnfinishedPath(const std::string& path)
    : entry_(new Entry{path, {true}, unfinished}) {  // lives as long as the process
  unfinished = entry_;
}

UnfinishedPath::~UnfinishedPath() {
  if (entry_ != nullptr) entry_->is_unfinished = false;
}

UnfinishedPath::UnfinishedPath(UnfinishedPath&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}

void prepare_process() {
  for (const int signal : {SIGXFSZ, SIGPIPE}) std::signal(signal, SIG_IGN);
  for (int signal = 1; signal < NSIG; ++signal) {
    constexpr int harmless[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGTSTP, SIGTTIN, SIGTTOU};
    if (std::find(std::begin(harmless), std::end(harmless), signal) != std::end(harmless)) continue;
    // What the parent ignores (nohup, a background job) stays ignored, and what a sanitizer handles stays with it.
    struct sigaction action = {};
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_DFL) std::signal(signal, remove_and_die);
  }
  // Opened the wrong way round, so that their use goes on to be an error.
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) < 0 && errno == EBADF) {
      const int opened = open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
      if (opened >= 0 && opened != stream) {
        dup2(opened, stream);
        close(opened);
      }
    }
  }
}

bool is_reader_gone(int descriptor) {
  struct pollfd state = {descriptor, POLLOUT, 0};
  return poll(&state, 1, 0) == 1 && (state.revents & (POLLERR | POLLHUP)) != 0;
}

void fail_with(const std::string& doing, const std::string& path) {
  throw std::runtime_error("Cannot " + doing + " \"" + path + "\": " + std::strerror(errno));
}

std::string resolved(const std::string& path) {
  char* real = realpath(path.c_str(), nullptr);
  if (real == nullptr) return path;
  std::string result = real;
  std::free(real);
  return result;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

std::string partial_path(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::size_t base = slash == std::string::npos ? 0 : slash + 1;
  std::string name = path.substr(base);
  const std::string ending = ".fanin-partial";
  // A name that would be too long is cut, and its hash keeps it apart from others.
  if (1 + name.size() + ending.size() > NAME_MAX) {
    const std::string hash = hash_text(name);
    std::size_t kept = 200;
    while (kept > 0 && (static_cast<unsigned char>(name[kept]) & 0xc0) == 0x80) --kept;  // whole characters of UTF-8
    name = name.substr(0, kept) + hash;
  }
  return path.substr(0, base) + "." + name + ending;
}

void check_folder(const std::string& folder) {
  struct stat status = {};
  if (stat(folder.c_str(), &status) != 0) fail_with("write into the folder", folder);
  if (!S_ISDIR(status.st_mode)) {
    errno = ENOTDIR;
    fail_with("write into the folder", folder);
  }
  if (access(folder.c_str(), W_OK | X_OK) != 0) fail_with("write into the folder", folder);
}

void check_room(const std::string& folder, std::uint64_t bytes) {
  struct statvfs disk = {};
  if (statvfs(folder.c_str(), &disk) != 0 || disk.f_blocks == 0) return;  // a file system that does not say
  const std::uint64_t blocks = geteuid() == 0 ? disk.f_bfree : disk.f_bavail;
  const std::uint64_t unit = disk.f_frsize;
  if (bytes / unit < blocks) return;
  throw std::runtime_error("Cannot write into the folder \"" + folder + "\": " + std::to_string(bytes) +
                           " bytes are to be written, and its disk has room for " + std::to_string(blocks * unit));
}

void write_all(int descriptor, const void* bytes, std::size_t count, const std::string& path) {
  const char* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::write(descriptor, next, count);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_with("write", path);
    next += written;
    count -= static_cast<std::size_t>(written);
  }
}

std::size_t read_at(int descriptor, void* bytes, std::size_t count, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < count) {
    const ssize_t got =
        pread(descriptor, static_cast<char*>(bytes) + done, count - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) errno = 0;
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

OutputKind kind_of_output(const std::string& path) {
  // A file behind a descriptor is not replaced, because others write to the descriptor too.
  if (const auto descriptor = descriptor_of(path)) {
    return *descriptor == STDOUT_FILENO ? OutputKind::standard : OutputKind::stream;
  }
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) return OutputKind::place;
  return OutputKind::stream;
}

OutputLock::OutputLock(const std::string& path, const std::string& writes) {
  for (;;) {
    descriptor_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, default_mode());
    if (descriptor_ < 0) fail_with("write", path);
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const bool is_held = errno == EWOULDBLOCK;
      const int error = errno;
      close(descriptor_);
      errno = error;
      if (!is_held) fail_with("lock", path);
      throw std::runtime_error(std::string("Cannot write \"")
                                   .append(writes)
                                   .append("\": another process is writing it now (it holds a lock on \"")
                                   .append(path)
                                   .append("\")"));
    }
    // Whoever had the lock before may have removed or renamed the file.
    struct stat mine = {};
    struct stat there = {};
    if (fstat(descriptor_, &mine) == 0 && stat(path.c_str(), &there) == 0 && mine.st_ino == there.st_ino &&
        mine.st_dev == there.st_dev) {
      return;
    }
    close(descriptor_);
  }
}

OutputLock::~OutputLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

OutputFile::OutputFile(const std::string& path) : path_(path) {
  const OutputKind kind = kind_of_output(path);
  if (kind == OutputKind::standard) {
    path_ = "standard output";
    descriptor_ = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    // What is printed from now on goes to standard error.
    if (descriptor_ < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) fail("write");
    return;
  }
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
  if (kind == OutputKind::stream) {
    const auto named = descriptor_of(path);
    descriptor_ = named ? fcntl(*named, F_DUPFD_CLOEXEC, 3) : open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail("write");
    return;
  }
  if (exists && access(path.c_str(), W_OK) != 0) fail("write");
  if (exists) path_ = resolved(path);  // a link stays a link, and its target is replaced
  check_folder(folder_of(path_));
  temporary_ = partial_path(path_);
  struct stat there = {};
  if (lstat(temporary_.c_str(), &there) == 0 && !S_ISREG(there.st_mode)) {
    throw std::runtime_error("Cannot write \"" + path_ + "\": its unfinished bytes would lie in \"" +
                             std::exchange(temporary_, {}) + "\", which is no file; remove that");
  }
  try {
    lock_.emplace(temporary_, path_);
  } catch (...) {
    temporary_.clear();
    throw;
  }
  unfinished_.emplace(temporary_);
  descriptor_ = lock_->descriptor();
  if (ftruncate(descriptor_, 0) != 0) fail("write");
  if (exists && fchown(descriptor_, status.st_uid, status.st_gid) != 0) errno = 0;  // only root may give files away
  fchmod(descriptor_, exists ? status.st_mode & 07777 : default_mode());
}

OutputFile::~OutputFile() {
  if (!lock_ && descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void OutputFile::fail(const char* doing) const { fail_with(doing, path_); }

void OutputFile::expect(std::uint64_t bytes) const {
  if (!temporary_.empty()) check_room(folder_of(path_), bytes);
}

void OutputFile::write(const void* bytes, std::size_t count) { write_all(descriptor_, bytes, count, path_); }

void OutputFile::write_text(const std::string& text) {
  try {
    write(text.data(), text.size());
  } catch (const std::runtime_error&) {
    if (!temporary_.empty() || !is_reader_gone(descriptor_)) throw;
  }
}

void OutputFile::commit() {
  if (temporary_.empty()) {
    const int descriptor = descriptor_;
    descriptor_ = -1;
    if (close(descriptor) != 0) fail("finish");
    return;
  }
  if (fsync(descriptor_) != 0 || rename(temporary_.c_str(), path_.c_str()) != 0) fail("finish");
  unfinished_.reset();
  temporary_.clear();
}

}  // namespace fanin::cli
