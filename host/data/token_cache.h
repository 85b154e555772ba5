/// The ids of a corpus in one file, so that a text is tokenised once and then mapped into memory.
///
///   magic | u64 n | n bytes of JSON | their hash | vocabulary text | zeros up to a multiple of 64
///   | ids, 1, 2 or 4 bytes each
///
/// All little-endian. A file is what a crash or another program may have left, so reading trusts
/// nothing: every length is checked against the file. If one does not fit, that is an error, and
/// the caller makes the file again. Where bytes are the tokens there are no ids in it: the sources
/// themselves are mapped.
///
/// A cache is used only by the user that made it, because another user's may hold another text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "host/base/file.h"
#include "host/data/text_reader.h"
#include "host/data/token_ids.h"

namespace unroll {

/// Identifies an unchanged source: by its stamp, or else by its content.
struct SourceStamp {
  std::string path;  // canonical
  FileStamp stamp;
  std::string hash;  // of all its bytes

  bool operator==(const SourceStamp&) const = default;
};

/// Without the hash, which takes reading it.
/// Errors    std::runtime_error if the file cannot be opened, or is not a regular file.
SourceStamp stamp_source(const std::filesystem::path& file);

struct TokenCacheHeader {  // NOLINT(bugprone-exception-escape): the JSON library's own move
  nlohmann::json key;      // all that decides the ids, beside the sources; an object
  std::vector<SourceStamp> sources;
  std::int64_t vocabulary_bytes = 0;
  std::string vocabulary_hash;
  int width = 0;  // bytes of an id; 0: there are none in the file
  std::int64_t tokens = 0;
  std::string ids_sample;                  // sample_hash() of the ids
  std::array<TextStatistics, 3> splits{};  // train, valid, test
  // Where things are: found by parsing, not written.
  std::int64_t vocabulary_offset = 0, ids_offset = 0;
};

/// `file` is all of the file, `name` is how errors call it.
/// Errors    std::runtime_error unless the header is whole, of this version, and its lengths add up
///           to the file's. Vocabulary and ids are not looked at.
TokenCacheHeader parse_token_cache_header(std::span<const std::byte> file, const std::string& name);

/// A cache in memory, verified: the vocabulary wholly, the ids by a sample.
struct TokenCache {  // NOLINT(bugprone-exception-escape): as above
  MappedFile file;
  TokenCacheHeader header;

  std::string_view vocabulary() const;
  TokenIds ids() const;
};

/// The cache's name in a folder of caches, which users may share: each user has another.
std::string token_cache_name(const nlohmann::json& key, const std::vector<SourceStamp>& sources);

/// Nothing if there is no such file.
/// Errors    std::runtime_error if it cannot be read, is damaged, or is not a regular file that
///           only this user may write.
std::optional<TokenCache> read_token_cache(const std::filesystem::path& file);

/// Writes the stamps of its sources anew into a cache that was read. One that is interrupted leaves
/// a damaged cache, which is made again.
/// Errors    std::runtime_error if it cannot be written.
void restamp_token_cache(const std::filesystem::path& file, const TokenCacheHeader& header);

/// Where a cache is written: beside its final place without a name, so that a killed process leaves
/// nothing; where the file system cannot do that, under a name that no other process uses. Two
/// processes that write the same cache both succeed. Removed again unless it is committed.
class NewFile {
 public:
  /// Errors    std::runtime_error if it cannot be made.
  explicit NewFile(std::filesystem::path place);
  /// A file without a name, in the folder for temporary files.
  static NewFile nameless();
  ~NewFile();
  NewFile(NewFile&& other) noexcept;
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  int fd() const { return fd_.get(); }
  /// How errors call it.
  const std::filesystem::path& place() const { return place_; }
  /// Errors    std::runtime_error if not all of it reaches the disk.
  void sync();
  /// Gives it its name, replacing what has it. Errors: std::runtime_error, as where the folder does
  /// not let it; the file can be used without a name.
  void commit();

 private:
  NewFile(std::filesystem::path place, std::string temporary, int fd);

  std::filesystem::path place_;
  std::string temporary_;  // empty if there is none
  Descriptor fd_;
  bool pending_ = true;  // still to be committed
};

/// Writes a cache: the ids as they come, then the header, which knows their number.
class TokenCacheWriter {
 public:
  /// `header` has all but tokens, ids_sample, splits, and the hashes of the sources.
  TokenCacheWriter(NewFile file, TokenCacheHeader header, std::string vocabulary);

  void add(std::span<const std::int32_t> ids);
  /// Errors    as add(): std::runtime_error if the disk is full, for instance.
  TokenCache finish(const std::array<TextStatistics, 3>& splits,
                    const std::vector<SourceStamp>& sources);
  /// Makes the finished cache one to be found. Errors: as NewFile::commit().
  void commit() { file_.commit(); }

 private:
  template <typename Id>
  void append(std::span<const std::int32_t> ids);
  void flush();

  NewFile file_;
  TokenCacheHeader header_;
  std::string vocabulary_;
  std::vector<std::byte> buffer_;
  std::int64_t written_ = 0, started_ = 0;  // bytes; those that are on their way to the disk
};

}  // namespace unroll
