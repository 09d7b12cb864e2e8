// SPDX-License-Identifier: Apache-2.0
#include "cli/partial_checkpoint.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "cli/checkpoint_layout.h"

namespace fanin::cli {

namespace {

namespace fs = std::filesystem;

struct stat status_of(const std::string& path, bool& exists) {
  struct stat status = {};
  exists = lstat(path.c_str(), &status) == 0;
  return status;
}

// A number that says which file it is, wherever it is renamed to on its disk.
std::string identity_of(const std::string& path) {
  bool exists = false;
  const struct stat status = status_of(path, exists);
  return exists ? std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) : "none";
}

// What is not on the disk is lost when the system stops, so a file's length says nothing after that.
std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  return std::getline(file, id) ? id : "unknown";
}

// Makes a rename in this folder permanent.
void sync_folder(const std::string& folder) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  fsync(descriptor);  // not every file system can
  close(descriptor);
}

// Exchanges two paths. Returns false if the system cannot.
bool exchange_paths(const std::string& a, const std::string& b) {
#if defined(SYS_renameat2)
  constexpr unsigned rename_exchange = 2;  // <linux/fs.h>
  if (syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), rename_exchange) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) fail_with("finish", b);
#else
  static_cast<void>(a);
  static_cast<void>(b);
#endif
  return false;
}

void rename_to(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) fail_with("finish", to);
}

// Gives a file or directory the owner and the permissions of the one that it is to replace.
void take_permissions(const std::string& path, const struct stat& old) {
  if (chown(path.c_str(), old.st_uid, old.st_gid) != 0) errno = 0;  // only root may give files away
  chmod(path.c_str(), old.st_mode & 07777);
}

// Names such as model-00001-of-00004.safetensors.
bool is_shard_or_index(const std::string& name) {
  static const std::regex shard("model(-[0-9]{5,}-of-[0-9]{5,})?\\.safetensors");
  return name == index_name || std::regex_match(name, shard);
}

constexpr const char* first_line = "fanin-partial 1";

}  // namespace

PartialCheckpoint::PartialCheckpoint(const std::string& target, std::vector<std::string> files,
                                     const std::string& identity, bool keeps)
    : target_(resolved(target)),
      files_(std::move(files)),
      keeps_(keeps),
      on_disk_(std::max<std::size_t>(files_.size(), 1)) {
  while (target_.size() > 1 && target_.back() == '/') target_.pop_back();
  check_target();
  folder_ = partial_path(target_);
  journal_ = folder_ + "/journal";
  data_ = folder_ + "/data";
  old_ = folder_ + "/old";
  // Another process may remove the folder between the two steps.
  for (int tries = 100; !lock_; --tries) {
    if (mkdir(folder_.c_str(), 0777) != 0 && errno != EEXIST) fail_with("write", folder_);
    // What is in it is removed, so it must not be a link to a folder elsewhere.
    bool exists = false;
    const struct stat status = status_of(folder_, exists);
    if (exists && !S_ISDIR(status.st_mode)) {
      throw std::runtime_error("Cannot write \"" + target_ + "\": its unfinished files would lie in \"" + folder_ +
                               "\", which is no directory; remove that file");
    }
    try {
      lock_.emplace(journal_, target_);
    } catch (const std::runtime_error&) {
      if (tries == 0 || access(folder_.c_str(), F_OK) == 0) throw;
    }
  }
  restore_old();
  read_permissions();
  try {
    const std::string mine = identity + "\n";
    if (keeps_ && read_journal(identity)) return;
    std::error_code error;
    fs::remove_all(data_, error);
    if (error) {
      throw std::runtime_error("Cannot remove the earlier pieces \"" + data_ + "\": " + error.message());
    }
    if (ftruncate(lock_->descriptor(), 0) != 0) fail_with("write", journal_);
    if (!keeps_) {
      for (const std::string& path : {folder_, journal_, data_}) unfinished_.emplace_back(path);
      for (const std::string& name : files_) unfinished_.emplace_back(data_ + "/" + name);
      if (!files_.empty()) unfinished_.emplace_back(data_ + "/" + index_name);
    }
    if (files_.empty()) {
      const int descriptor = open(data_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (descriptor < 0) fail_with("write", data_);
      close(descriptor);
    } else if (mkdir(data_.c_str(), 0777) != 0) {
      fail_with("write", data_);
    }
    take_permissions_of_target();  // now, because the pieces are as secret as the whole
    // One write, so that a journal is there whole or not at all. The first two lines keep their length.
    append(std::string(first_line) + "\nboot " + boot_id() + "\ndata " + identity_of(data_) + "\nfor " + mine);
  } catch (...) {
    if (!keeps_) remove_all();
    throw;
  }
}

PartialCheckpoint::~PartialCheckpoint() {
  for (const Complete& file : complete_) close(file.descriptor);
  if (!is_over_ && (!keeps_ || is_empty())) remove_all();
}

bool PartialCheckpoint::is_empty() const {
  std::error_code ignored;
  return fs::is_empty(data_, ignored);
}

// An old directory is replaced as a whole, so it must hold nothing else than a checkpoint.
void PartialCheckpoint::check_target() const {
  bool exists = false;
  const struct stat status = status_of(target_, exists);
  if (exists && S_ISLNK(status.st_mode)) {
    struct stat ignored = {};
    if (stat(target_.c_str(), &ignored) != 0) fail_with("write", target_);  // a link to nothing, or a cyclic one
  }
  if (target_.empty()) {
    errno = ENOENT;
    fail_with("write", target_);
  }
  check_folder(folder_of(target_));
  if (!exists) return;
  if (files_.empty()) {
    errno = EISDIR;
    if (S_ISDIR(status.st_mode)) fail_with("write", target_);
    struct stat standard = {};
    if (fstat(STDOUT_FILENO, &standard) == 0 && standard.st_dev == status.st_dev && standard.st_ino == status.st_ino) {
      throw std::runtime_error("Cannot write \"" + target_ + "\": it is the standard output, where the report goes");
    }
    if (access(target_.c_str(), W_OK) != 0) fail_with("write", target_);
    return;
  }
  errno = ENOTDIR;
  if (!S_ISDIR(status.st_mode)) fail_with("write the directory", target_);
  // A directory that is moved must be writable itself, and so must one whose files are removed.
  if (access(target_.c_str(), R_OK | W_OK | X_OK) != 0) fail_with("write the directory", target_);
  for (const auto& entry : fs::directory_iterator(target_)) {
    const std::string name = entry.path().filename().string();
    if (is_shard_or_index(name) && entry.symlink_status().type() != fs::file_type::directory) continue;
    throw std::runtime_error("Cannot replace the directory \"" + target_ + "\": it also holds \"" + name +
                             "\", which is no shard and no index; name another directory or move that file");
  }
}

void PartialCheckpoint::read_permissions() {
  std::error_code error;
  if (files_.empty() || !fs::is_directory(target_, error)) return;
  for (const auto& entry : fs::directory_iterator(target_, error)) {
    const fs::perms old = entry.status(error).permissions();
    if (!error) permissions_ &= static_cast<mode_t>(old) | S_IRUSR | S_IWUSR;
  }
}

// Returns whether the journal is of the same output, and reads it.
bool PartialCheckpoint::read_journal(const std::string& identity) {
  std::ifstream file(journal_);
  std::string first;
  std::string boot;
  std::string data;
  std::string output;
  if (!std::getline(file, first) || !std::getline(file, boot) || !std::getline(file, data) ||
      !std::getline(file, output)) {
    return false;
  }
  if (first != first_line || output != "for " + identity) return false;
  const std::string wanted = data.substr(std::min<std::size_t>(data.size(), 5));
  if (identity_of(data_) != wanted) {
    if (identity_of(target_) != wanted) return false;
    is_finished_ = true;
    return true;
  }
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    std::size_t number = 0;
    if (words >> word >> number && word == "disk" && number < on_disk_.size()) on_disk_[number] = true;
  }
  const std::string now = "boot " + boot_id();
  if (boot != now) {
    for (std::size_t j = 0; j < on_disk_.size(); ++j) {
      if (!on_disk_[j] && truncate(this->file(j).c_str(), 0) != 0 && errno != ENOENT) fail_with("write", this->file(j));
    }
    if (now.size() != boot.size()) return false;
    const auto place = static_cast<off_t>(first.size() + 1);
    if (pwrite(lock_->descriptor(), now.data(), now.size(), place) < 0) fail_with("write", journal_);
  }
  has_pieces_ = true;
  return true;
}

void PartialCheckpoint::append(const std::string& lines) {
  lseek(lock_->descriptor(), 0, SEEK_END);
  write_all(lock_->descriptor(), lines.data(), lines.size(), journal_);
  fsync(lock_->descriptor());  // not every file system can
}

std::string PartialCheckpoint::file(std::size_t number) const {
  return files_.empty() ? data_ : data_ + "/" + files_[number];
}

bool PartialCheckpoint::is_on_disk(std::size_t number) const { return on_disk_[number]; }

void PartialCheckpoint::finish(std::size_t number, int descriptor, std::uint64_t bytes) {
  complete_.push_back({number, descriptor});
  complete_bytes_ += bytes;
  constexpr std::size_t most_files = 64;                         // a process may have few open files
  constexpr std::uint64_t most_bytes = std::uint64_t{64} << 20;  // that a system that stops may lose
  if (complete_.size() >= most_files || complete_bytes_ >= most_bytes) sync_files();
}

void PartialCheckpoint::sync_files() {
  std::string lines;
  for (const Complete& file : complete_) {
    if (fsync(file.descriptor) != 0) fail_with("finish", target_);
    lines += "disk " + std::to_string(file.number) + "\n";
  }
  if (!files_.empty() && !lines.empty()) append(lines);
  for (const Complete& file : complete_) close(file.descriptor);
  complete_.clear();
  complete_bytes_ = 0;
}

// A process was killed while the directory before was aside.
void PartialCheckpoint::restore_old() {
  bool exists = false;
  status_of(old_, exists);
  if (!exists) return;
  status_of(target_, exists);
  if (!exists) return rename_to(old_, target_);
  std::error_code ignored;
  fs::remove_all(old_, ignored);
}

// Returns whether there is a file or directory to replace.
bool PartialCheckpoint::take_permissions_of_target() {
  bool exists = false;
  const struct stat old = status_of(target_, exists);
  if (exists) take_permissions(data_, old);
  return exists;
}

void PartialCheckpoint::remove_all() {
  std::error_code ignored;
  fs::remove_all(data_, ignored);
  unlink(journal_.c_str());
  rmdir(folder_.c_str());
  unfinished_.clear();
  is_over_ = true;
}

void PartialCheckpoint::commit() {
  if (!is_finished_) {
    sync_files();
    check_target();
    const bool exists = take_permissions_of_target();
    if (files_.empty()) {
      rename_to(data_, target_);
    } else {
      sync_folder(data_);
      if (!exists) {
        rename_to(data_, target_);
      } else if (!exchange_paths(data_, target_)) {
        rename_to(target_, old_);
        rename_to(data_, target_);
        std::error_code ignored;
        fs::remove_all(old_, ignored);
      }
    }
    sync_folder(folder_of(target_));
  }
  remove_all();
}

}  // namespace fanin::cli
