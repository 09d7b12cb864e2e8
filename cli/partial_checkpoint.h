// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/output_file.h"

namespace fanin::cli {

// The unfinished form of a checkpoint, a file or a directory of files: a directory .NAME.fanin-partial beside its
// place, with
//   journal  locked by the process that writes; says for which output the pieces are, and which files are on the disk
//   data     the file or the directory, which is renamed to its place when it is complete
//   old      the directory that was in its place, for the moment of two renames where the system cannot exchange two
// A process that is killed leaves it. The next one with the same output may go on with it.
class PartialCheckpoint {
 public:
  // `identity` tells outputs apart. If `keeps`, goes on with what is there of the same output, and leaves it there when
  // the write fails. Otherwise removes both. `files` are the names in the directory; none: a single file. Throws
  // std::runtime_error, also if another process writes there.
  PartialCheckpoint(const std::string& target, std::vector<std::string> files, const std::string& identity, bool keeps);
  ~PartialCheckpoint();
  PartialCheckpoint(const PartialCheckpoint&) = delete;
  PartialCheckpoint& operator=(const PartialCheckpoint&) = delete;

  // A process was killed after it had put everything in its place.
  bool is_finished() const { return is_finished_; }

  // Whether there may be pieces to go on with.
  bool has_pieces() const { return has_pieces_; }

  // The path of a file. A single file is number 0.
  std::string file(std::size_t number) const;

  // For new files: what all files of the directory that is to be replaced permit, so that none can be read by more.
  mode_t permissions() const { return permissions_; }

  // Whether an earlier process has put a complete file on the disk.
  bool is_on_disk(std::size_t number) const;
  // Takes over the descriptor of a complete file. Puts it on the disk, small ones many at a time, because each time
  // takes milliseconds.
  void finish(std::size_t number, int descriptor, std::uint64_t bytes);

  // Puts the file or directory in its place by one rename and removes the rest.
  void commit();

 private:
  void read_permissions();
  bool read_journal(const std::string& identity);
  void append(const std::string& lines);
  void sync_files();
  void restore_old();
  void remove_all();
  bool is_empty() const;
  void check_target() const;
  bool take_permissions_of_target();

  std::string target_;
  std::vector<std::string> files_;
  bool keeps_;
  mode_t permissions_ = 0666;
  std::string folder_;   // .NAME.fanin-partial
  std::string journal_;  // paths in it
  std::string data_;
  std::string old_;
  std::vector<UnfinishedPath> unfinished_;
  std::optional<OutputLock> lock_;
  std::vector<bool> on_disk_;
  // Complete files that are perhaps not yet on the disk.
  struct Complete {
    std::size_t number;
    int descriptor;
  };
  std::vector<Complete> complete_;
  std::uint64_t complete_bytes_ = 0;
  bool is_finished_ = false;
  bool has_pieces_ = false;
  bool is_over_ = false;  // nothing is to be removed any more
};

}  // namespace fanin::cli
