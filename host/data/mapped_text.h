/// A text whose bytes are the tokens, mapped into memory. Another program can change it there, so
/// it is checked again now and then.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

#include "host/base/file.h"
#include "host/data/token_cache.h"
#include "host/data/token_ids.h"

namespace unroll {

std::runtime_error changed_while_read(const std::filesystem::path& file);

/// Movable; a move leaves the ids where they are.
class MappedText {
 public:
  /// `source` has the hash of the expected content.
  /// Errors    std::runtime_error if it cannot be opened, or is not the file of that stamp.
  MappedText(const std::filesystem::path& path, const SourceStamp& source);

  TokenIds ids() const;

  /// Reads the file only if its stamp has changed.
  /// Errors    std::runtime_error if its content has changed.
  void require_unchanged();

 private:
  std::filesystem::path path_;
  Descriptor fd_;
  FileStamp kept_;
  std::string hash_;
  MappedFile file_;
};

}  // namespace unroll
