#include "host/data/token_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "host/base/file_hash.h"
#include "host/base/hash.h"
#include "host/base/strict_json.h"

static_assert(std::endian::native == std::endian::little, "ids are mapped as they are");

namespace unroll {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kMagic = "UNROLLTK";
constexpr std::int64_t kCacheVersion = 2;
constexpr std::int64_t kHeaderAt = 16;  // after magic and length
constexpr std::int64_t kHashBytes = 32;
constexpr std::int64_t kMaxHeaderBytes = 1 << 20, kMaxSources = 3;
constexpr std::int64_t kLargest = std::int64_t{1} << 60;  // sums and products of it are checked
constexpr std::int64_t kAlignment = 64;
constexpr std::size_t kWriteBytes = std::size_t{1} << 20;
// Written back as it grows: otherwise the last sync of a large file takes seconds, in which nothing
// can be interrupted.
constexpr std::int64_t kSyncBytes = 1 << 23, kUnsynced = 4 * kSyncBytes;
constexpr std::array kSplitNames{"train", "valid", "test"};
constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

constexpr std::array<std::pair<const char*, std::int64_t TextStatistics::*>, 8> kStatistics{
    {{"tokens", &TextStatistics::tokens},
     {"characters", &TextStatistics::characters},
     {"lines", &TextStatistics::lines},
     {"unknown", &TextStatistics::unknown},
     {"types", &TextStatistics::types},
     {"empty_lines", &TextStatistics::empty_lines},
     {"longest_line", &TextStatistics::longest_line},
     {"crlf_lines", &TextStatistics::crlf_lines}}};

constexpr std::int64_t aligned(std::int64_t size) {
  return (size + kAlignment - 1) / kAlignment * kAlignment;
}

std::string header_text(const TokenCacheHeader& header, const std::string& name) {
  json sources = json::array(), splits = json::object();
  for (const SourceStamp& source : header.sources)
    sources.push_back({{"path", source.path},
                       {"size", source.stamp.size},
                       {"mtime_ns", source.stamp.mtime_ns},
                       {"ctime_ns", source.stamp.ctime_ns},
                       {"inode", source.stamp.inode},
                       {"hash", source.hash}});
  for (std::size_t k = 0; k < header.splits.size(); ++k)
    for (const auto& [key, member] : kStatistics)
      splits[kSplitNames[k]][key] = header.splits[k].*member;
  return format_json({{"version", kCacheVersion},
                      {"key", header.key},
                      {"sources", sources},
                      {"vocabulary_bytes", header.vocabulary_bytes},
                      {"vocabulary_hash", header.vocabulary_hash},
                      {"width", header.width},
                      {"tokens", header.tokens},
                      {"ids_sample", header.ids_sample},
                      {"splits", splits}},
                     name);
}

/// What goes before the vocabulary. The header is followed by blanks as far as `size`.
std::string prefix(std::string header, std::size_t size) {
  header.resize(size, ' ');
  std::string bytes(kMagic);
  const std::uint64_t length = size;
  bytes.append(reinterpret_cast<const char*>(&length), sizeof length);
  return bytes + header + hash_of(bytes_of(header));
}

/// The size of the header's text for the largest numbers that it may hold.
std::size_t largest_header(TokenCacheHeader header, const std::string& name) {
  header.tokens = kMost;
  header.ids_sample = std::string(kHashBytes, '0');
  for (SourceStamp& source : header.sources) {
    source.stamp = {kMost, kLeast, kLeast, kLeast};  // the lowest is the longest
    source.hash = header.ids_sample;
  }
  for (TextStatistics& split : header.splits)
    for (const auto& [key, member] : kStatistics) split.*member = kMost;
  return header_text(header, name).size();
}

TokenCacheHeader header_from(const JsonObject& json) {
  if (json.integer("version", 0, kLargest) != kCacheVersion)
    throw std::runtime_error(fmt::format("{}: got version {}, expected {}", json.where(),
                                         json.integer("version", 0, kLargest), kCacheVersion));
  TokenCacheHeader header;
  header.key = json.object("key").value();
  const nlohmann::json& sources = json.at("sources");
  if (!sources.is_array() || sources.empty() || std::int64_t(sources.size()) > kMaxSources)
    throw std::runtime_error(json.where() + ": sources: expected 1 to 3 of them");
  for (const nlohmann::json& value : sources) {
    const JsonObject source(value, json.where() + ": sources");
    header.sources.push_back(
        {source.string("path"),
         {source.integer("size", 0, kLargest), source.integer("mtime_ns", kLeast, kMost),
          source.integer("ctime_ns", kLeast, kMost), source.integer("inode", kLeast, kMost)},
         source.string("hash")});
  }
  header.vocabulary_bytes = json.integer("vocabulary_bytes", 0, kLargest);
  header.vocabulary_hash = json.string("vocabulary_hash");
  header.width = static_cast<int>(json.integer("width", 0, 4));
  if (header.width == 3)
    throw std::runtime_error(json.where() + ": width: got 3, expected 0, 1, 2 or 4");
  header.tokens = json.integer("tokens", 0, kLargest);
  header.ids_sample = json.string("ids_sample");
  std::int64_t rest = header.tokens;
  for (std::size_t k = 0; k < header.splits.size(); ++k) {
    const JsonObject split = json.object("splits").object(kSplitNames[k]);
    for (const auto& [key, member] : kStatistics)
      header.splits[k].*member = split.integer(key, 0, kLargest);
    rest -= header.splits[k].tokens;
    if (rest < 0)
      throw std::runtime_error(fmt::format("{}: splits: got more tokens than the {} there are",
                                           json.where(), header.tokens));
  }
  return header;
}

/// A file in that folder that vanishes when the process ends in any way, unless it is given a
/// name; -1 where the system has no such thing.
int open_unnamed(const fs::path& folder) {
  if (::access("/proc/self/fd", X_OK) != 0) return -1;  // link_unnamed needs it
  return ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/// A file that another user may write can hold any ids.
void require_own(int fd, const fs::path& file) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail_call(file, "cannot be examined");
  if (!S_ISREG(status.st_mode))
    throw std::runtime_error(file.string() + ": is not a regular file, expected a token cache");
  if (status.st_uid != ::geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    throw std::runtime_error(
        fmt::format("{}: got the file of user {} with mode {:03o}, expected one of user {} that "
                    "others cannot write",
                    file.string(), status.st_uid, status.st_mode & 0777U, ::geteuid()));
}

void link_unnamed(int fd, const fs::path& place) {
  const std::string file = fmt::format("/proc/self/fd/{}", fd);
  // link() replaces nothing, and another process may make the same file in between, repeatedly.
  while (::linkat(AT_FDCWD, file.c_str(), AT_FDCWD, place.c_str(), AT_SYMLINK_FOLLOW) != 0)
    if (errno != EEXIST || (::unlink(place.c_str()) != 0 && errno != ENOENT))
      fail_call(place, "cannot be made");
}

}  // namespace

SourceStamp stamp_source(const fs::path& file) {
  const Descriptor fd = open_regular(file, "a text file");
  std::error_code error;
  const fs::path path = fs::canonical(file, error);
  if (error)
    throw std::runtime_error(
        fmt::format("{}: cannot be found: {}", file.string(), error.message()));
  return {path.string(), stamp_of(fd.get(), file), ""};
}

TokenCacheHeader parse_token_cache_header(std::span<const std::byte> file,
                                          const std::string& name) {
  const auto size = static_cast<std::int64_t>(file.size());
  const std::string_view text = text_of(file);
  if (!text.starts_with(kMagic) || size < kHeaderAt)
    throw std::runtime_error(
        fmt::format("{}: got {} bytes that do not begin with {}, expected a "
                    "token cache",
                    name, size, kMagic));
  std::uint64_t length = 0;
  std::memcpy(&length, file.data() + kMagic.size(), sizeof length);
  if (length > std::uint64_t(kMaxHeaderBytes) ||
      std::int64_t(length) > size - kHeaderAt - kHashBytes)
    throw std::runtime_error(
        fmt::format("{}: got a header of {} bytes in a file of {}", name, length, size));
  // A copy: what is parsed must be what was hashed, and another process may write to the file.
  const std::string header(text.substr(kHeaderAt, length));
  if (hash_of(bytes_of(header)) != text.substr(kHeaderAt + length, kHashBytes))
    throw std::runtime_error(name + ": the header is not what its hash says");

  const json value = parse_json(header, name);
  TokenCacheHeader result = header_from(JsonObject(value, name));
  result.vocabulary_offset = kHeaderAt + std::int64_t(length) + kHashBytes;
  result.ids_offset = aligned(result.vocabulary_offset + result.vocabulary_bytes);
  // None of these overflows: each factor or term is at most kLargest, and width at most 4.
  const std::int64_t expected = result.ids_offset + result.tokens * result.width;
  if (expected != size)
    throw std::runtime_error(
        fmt::format("{}: got {} bytes, expected {} as its header says", name, size, expected));
  return result;
}

std::string_view TokenCache::vocabulary() const {
  return text_of(file.bytes())
      .substr(static_cast<std::size_t>(header.vocabulary_offset),
              static_cast<std::size_t>(header.vocabulary_bytes));
}

TokenIds TokenCache::ids() const {
  if (header.width == 0) return {};
  return {file.bytes().data() + header.ids_offset, header.tokens, header.width};
}

std::string token_cache_name(const json& key, const std::vector<SourceStamp>& sources) {
  json text = {
      {"version", kCacheVersion}, {"user", ::geteuid()}, {"key", key}, {"paths", json::array()}};
  for (const SourceStamp& source : sources) text["paths"].push_back(source.path);
  return hash_of(bytes_of(format_json(text, "key"))) + ".tokens";
}

std::optional<TokenCache> read_token_cache(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  const Descriptor open(fd, file, "cannot be opened");
  require_own(open.get(), file);
  TokenCache cache{MappedFile(open.get(), file), {}};
  cache.header = parse_token_cache_header(cache.file.bytes(), file.string());
  if (hash_of(bytes_of(cache.vocabulary())) != cache.header.vocabulary_hash)
    throw std::runtime_error(file.string() + ": the vocabulary is not what its hash says");
  const auto ids_offset = static_cast<std::size_t>(cache.header.ids_offset);
  const auto end =
      static_cast<std::size_t>(cache.header.vocabulary_offset + cache.header.vocabulary_bytes);
  const auto padding = cache.file.bytes().subspan(end, ids_offset - end);
  if (std::ranges::any_of(padding, [](std::byte byte) { return byte != std::byte{0}; }))
    throw std::runtime_error(file.string() + ": got padding that is not zero");
  const auto ids = cache.file.bytes().subspan(ids_offset);
  if (sample_hash(ids) != cache.header.ids_sample)
    throw std::runtime_error(file.string() + ": the ids are not what their hash says");
  return cache;
}

void restamp_token_cache(const fs::path& file, const TokenCacheHeader& header) {
  const Descriptor fd(::open(file.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), file,
                      "cannot be opened");
  require_own(fd.get(), file);
  const auto size = static_cast<std::size_t>(header.vocabulary_offset - kHeaderAt - kHashBytes);
  write_all(fd.get(), bytes_of(prefix(header_text(header, file.string()), size)), file);
}

NewFile::NewFile(fs::path place, std::string temporary, int fd)
    : place_(std::move(place)),
      temporary_(std::move(temporary)),
      fd_(fd, place_, "cannot be made") {}

NewFile::NewFile(fs::path place)
    : NewFile([&] {
        if (const int fd = open_unnamed(place.parent_path()); fd >= 0)
          return NewFile(std::move(place), {}, fd);
        std::string temporary = place.string() + ".XXXXXX";
        const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);
        return NewFile(std::move(place), std::move(temporary), fd);
      }()) {}

NewFile NewFile::nameless() {
  NewFile file(temporary_folder() / "unroll-tokens");
  if (!file.temporary_.empty()) ::unlink(std::exchange(file.temporary_, {}).c_str());
  file.pending_ = false;
  return file;
}

NewFile::NewFile(NewFile&& other) noexcept
    : place_(std::move(other.place_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::move(other.fd_)),
      pending_(other.pending_) {}

NewFile::~NewFile() {
  if (!temporary_.empty() && fd_.get() >= 0) ::unlink(temporary_.c_str());
}

void NewFile::sync() {
  if (pending_ && ::fsync(fd_.get()) != 0) fail_call(place_, "cannot be synced");
}

void NewFile::commit() {
  if (!pending_) return;
  if (temporary_.empty()) {
    link_unnamed(fd_.get(), place_);
  } else if (::rename(temporary_.c_str(), place_.c_str()) != 0) {
    fail_call(place_, "cannot be made");
  }
  temporary_.clear();
  pending_ = false;
}

TokenCacheWriter::TokenCacheWriter(NewFile file, TokenCacheHeader header, std::string vocabulary)
    : file_(std::move(file)), header_(std::move(header)), vocabulary_(std::move(vocabulary)) {
  header_.vocabulary_bytes = std::int64_t(vocabulary_.size());
  header_.vocabulary_hash = hash_of(bytes_of(vocabulary_));
  const std::size_t size = largest_header(header_, file_.place().string());
  if (std::int64_t(size) > kMaxHeaderBytes)
    throw std::runtime_error(fmt::format("{}: got a header of {} bytes, expected at most {}",
                                         file_.place().string(), size, kMaxHeaderBytes));
  header_.vocabulary_offset = kHeaderAt + std::int64_t(size) + kHashBytes;
  header_.ids_offset = aligned(header_.vocabulary_offset + header_.vocabulary_bytes);
  const std::string none(static_cast<std::size_t>(header_.ids_offset), '\0');
  write_all(file_.fd(), bytes_of(none), file_.place());
}

template <typename Id>
void TokenCacheWriter::append(std::span<const std::int32_t> ids) {
  const std::size_t from = buffer_.size();
  buffer_.resize(from + ids.size() * sizeof(Id));
  std::byte* to = buffer_.data() + from;
  for (const std::int32_t id : ids) {
    const auto narrow = static_cast<Id>(id);
    std::memcpy(to, &narrow, sizeof narrow);
    to += sizeof narrow;
  }
}

void TokenCacheWriter::add(std::span<const std::int32_t> ids) {
  if (header_.width == 1)
    append<std::uint8_t>(ids);
  else if (header_.width == 2)
    append<std::uint16_t>(ids);
  else
    append<std::int32_t>(ids);
  header_.tokens += std::int64_t(ids.size());
  if (buffer_.size() >= kWriteBytes) flush();
}

void TokenCacheWriter::flush() {
  write_all(file_.fd(), buffer_, file_.place());
  written_ += std::int64_t(buffer_.size());
  buffer_.clear();
  // Only hurries what sync() does and checks.
  for (; written_ - started_ >= kSyncBytes; started_ += kSyncBytes) {
    ::sync_file_range(file_.fd(), started_, kSyncBytes, SYNC_FILE_RANGE_WRITE);
    if (started_ >= kUnsynced)
      ::sync_file_range(file_.fd(), started_ - kUnsynced, kSyncBytes, SYNC_FILE_RANGE_WAIT_BEFORE);
  }
}

TokenCache TokenCacheWriter::finish(const std::array<TextStatistics, 3>& splits,
                                    const std::vector<SourceStamp>& sources) {
  flush();
  MappedFile mapped(file_.fd(), file_.place());
  header_.splits = splits;
  header_.sources = sources;
  header_.ids_sample =
      sample_hash(mapped.bytes().subspan(static_cast<std::size_t>(header_.ids_offset)));
  const std::string name = file_.place().string();
  const auto size = static_cast<std::size_t>(header_.vocabulary_offset - kHeaderAt - kHashBytes);
  const std::string bytes = prefix(header_text(header_, name), size) + vocabulary_;
  if (::lseek(file_.fd(), 0, SEEK_SET) != 0) fail_call(file_.place(), "cannot be written");
  write_all(file_.fd(), bytes_of(bytes), file_.place());
  file_.sync();
  return {std::move(mapped), std::move(header_)};
}

}  // namespace unroll
