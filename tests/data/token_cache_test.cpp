#include "host/data/token_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <limits>

#include "host/base/file_hash.h"
#include "host/base/hash.h"
#include "host/base/strict_json.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::int64_t kHuge = std::int64_t{1} << 60;

TokenCacheHeader header() {
  TokenCacheHeader h;
  h.key = {{"tokenizer", "word"}};
  h.sources = {{"/a.txt", {10, 20, 30, 40}, std::string(32, 'e')}};
  h.width = 2;
  return h;
}

std::string whole_file(const TempFolder& folder) {
  const fs::path place = folder.path() / "x.tokens";
  TokenCacheWriter writer(NewFile(place), header(), "some words");
  const std::vector<std::int32_t> ids = {1, 2, 65535};
  writer.add(ids);
  writer.add(ids);
  writer.finish({{{.tokens = 3}, {.tokens = 2}, {.tokens = 1}}}, header().sources);
  writer.commit();
  return read_text(place);
}

std::string error_of_header(std::string_view file) {
  return error_of<std::runtime_error>([&] { parse_token_cache_header(bytes_of(file), "x"); });
}

TEST(TokenCache, ComesBackAsItWas) {
  const TempFolder folder;
  const std::string file = whole_file(folder);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
  const auto cache = read_token_cache(folder.path() / "x.tokens");
  ASSERT_TRUE(cache);
  EXPECT_EQ(cache->header.key, header().key);
  EXPECT_EQ(cache->header.sources, header().sources);
  EXPECT_EQ(cache->vocabulary(), "some words");
  ASSERT_EQ(cache->ids().size(), 6);
  EXPECT_EQ(cache->ids()[5], 65535);
  EXPECT_EQ(cache->header.splits[1].tokens, 2);
  EXPECT_EQ(cache->header.ids_offset % 64, 0);
  EXPECT_FALSE(read_token_cache(folder.path() / "other.tokens"));
}

TEST(TokenCache, ItsStampsAreWrittenAnew) {
  const TempFolder folder;
  whole_file(folder);
  const fs::path file = folder.path() / "x.tokens";
  TokenCacheHeader other = read_token_cache(file)->header;
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  other.sources[0].stamp = {kHuge, kLeast, kLeast, kLeast};  // the longest text there can be
  restamp_token_cache(file, other);
  const auto cache = read_token_cache(file);
  EXPECT_EQ(cache->header.sources, other.sources);
  EXPECT_EQ(cache->vocabulary(), "some words");
  EXPECT_EQ(cache->ids()[5], 65535);
}

// Another user's file may hold any ids, and a pipe would wait for its writer.
TEST(TokenCache, OnlyOnesOwnIsRead) {
  const TempFolder folder;
  whole_file(folder);
  const fs::path file = folder.path() / "x.tokens", other = folder.path() / "y.tokens";
  const auto error = [](const fs::path& place) {
    return error_of<std::runtime_error>([&] { read_token_cache(place); });
  };
  EXPECT_EQ(error(file), "no exception");
  for (const mode_t mode : {0620, 0602}) {
    ::chmod(file.c_str(), mode);
    EXPECT_TRUE(contains(error(file), "that others cannot write")) << mode;
  }
  ::chmod(file.c_str(), 0644);
  EXPECT_EQ(error(file), "no exception");
  fs::create_symlink(file, other);
  EXPECT_TRUE(contains(error(other), "y.tokens: cannot be opened"));
  fs::remove(other);
  ASSERT_EQ(::mkfifo(other.c_str(), 0600), 0);
  EXPECT_TRUE(contains(error(other), "is not a regular file, expected a token cache"));
  fs::remove(other);
  fs::create_directory(other);
  EXPECT_TRUE(contains(error(other), "is not a regular file, expected a token cache"));
  if (::geteuid() != 0) return;  // only root may give a file away
  ASSERT_EQ(::chown(file.c_str(), 12345, 12345), 0);
  EXPECT_TRUE(contains(error(file), "got the file of user 12345 with mode 644, expected one of"));
}

TEST(TokenCache, AnUnfinishedFileIsRemoved) {
  const TempFolder folder;
  { const TokenCacheWriter writer(NewFile(folder.path() / "x.tokens"), header(), "w"); }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

// For any bytes in the header, reading it throws nothing but its own error.
TEST(TokenCache, EveryCutAndEveryFlippedBitIsAnError) {
  const TempFolder folder;
  const std::string file = whole_file(folder);
  for (std::size_t size = 0; size < file.size(); ++size)
    ASSERT_NE(error_of_header(std::string_view(file).substr(0, size)), "no exception") << size;
  const auto ids =
      static_cast<std::size_t>(parse_token_cache_header(bytes_of(file), "x").vocabulary_offset);
  for (std::size_t bit = 0; bit < 8 * ids; ++bit) {
    std::string bad = file;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    const std::string what = error_of_header(bad);
    ASSERT_TRUE(what != "no exception" && what != "another exception") << bit << ' ' << what;
  }
}

// A header with a good hash may still claim anything.
TEST(TokenCache, ChecksLengthsThatAHashDoesNot) {
  const TempFolder folder;
  const std::string file = whole_file(folder);
  const auto changed = [&](const std::function<void(json&)>& change) {
    std::uint64_t length = 0;
    std::memcpy(&length, file.data() + 8, sizeof length);
    json value = parse_json(file.substr(16, length), "x");
    change(value);
    std::string text = format_json(value, "x");
    const std::uint64_t size = text.size();
    return error_of_header(file.substr(0, 8) +
                           std::string(reinterpret_cast<const char*>(&size), sizeof size) + text +
                           hash_of(bytes_of(text)) + file.substr(16 + length + 32));
  };
  EXPECT_TRUE(contains(changed([](json& h) { h["version"] = 1; }), "got version 1, expected 2"));
  EXPECT_TRUE(contains(changed([](json& h) { h["tokens"] = kHuge; }), "as its header says"));
  EXPECT_TRUE(
      contains(changed([](json& h) { h["vocabulary_bytes"] = kHuge; }), "as its header says"));
  EXPECT_TRUE(contains(changed([](json& h) { h["tokens"] = kHuge + 1; }), "a whole number in"));
  EXPECT_TRUE(contains(changed([](json& h) { h["tokens"] = -1; }), "a whole number in"));
  EXPECT_TRUE(contains(changed([](json& h) { h["width"] = 3; }), "width: got 3"));
  EXPECT_TRUE(contains(changed([](json& h) { h["splits"]["test"]["tokens"] = 2; }),
                       "more tokens than the 6 there are"));
  EXPECT_TRUE(contains(changed([](json& h) { h["splits"]["train"]["tokens"] = kHuge; }),
                       "more tokens than"));
  EXPECT_TRUE(contains(changed([](json& h) { h["sources"] = json::array(); }), "1 to 3"));
  EXPECT_TRUE(contains(changed([](json& h) { h.erase("key"); }), "key is missing"));
  EXPECT_TRUE(contains(changed([](json& h) { h["key"] = 1; }), "an object"));
}

TEST(File, OnlyRegularFilesAreRead) {
  const TempFolder folder;
  const auto error = [](const fs::path& path) {
    return error_of<std::runtime_error>([&] { open_regular(path, "a text"); });
  };
  EXPECT_EQ(error(folder.write("x", "")), "no exception");
  EXPECT_TRUE(contains(error(folder.path() / "y"), "y: cannot be opened: No such file"));
  ASSERT_EQ(::mkfifo((folder.path() / "y").c_str(), 0600), 0);  // it would wait for a writer
  EXPECT_TRUE(contains(error(folder.path() / "y"), "y: is a pipe, expected a text"));
  EXPECT_TRUE(contains(error(folder.path()), "is a folder, expected a text"));
  EXPECT_TRUE(contains(error("/dev/null"), "is a device or a socket, expected a text"));
}

// A file system's clock may stand still for two seconds.
TEST(File, AStampThatIsKeptIsOfAFileAtRest) {
  const TempFolder folder;
  const fs::path file = folder.write("x", "abc");
  const Descriptor fd = open_regular(file, "a file");
  const FileStamp now = stamp_of(fd.get(), file);
  EXPECT_EQ(now.size, 3);
  EXPECT_FALSE(now.at_rest);
  EXPECT_NE(now.to_keep(), now);
  FileStamp old = now;
  old.at_rest = true;
  EXPECT_EQ(old, now);
  EXPECT_EQ(old.to_keep(), old);
  EXPECT_TRUE(stamp_of(open_regular("/bin/sh", "a file").get(), "/bin/sh").at_rest);
}

TEST(File, ASampleSeesTheBeginningAndTheEnd) {
  std::vector<std::byte> bytes(5'000'000);
  const std::string hash = sample_hash(bytes);
  for (const std::size_t at : {std::size_t{0}, std::size_t{65'535}, bytes.size() - 1}) {
    bytes[at] = std::byte{1};
    EXPECT_NE(sample_hash(bytes), hash) << at;
    bytes[at] = std::byte{0};
  }
  bytes.resize(4 << 20);  // up to here it sees everything
  const std::string small = sample_hash(bytes);
  for (std::size_t at = 1000; at < bytes.size(); at += 65'537) {
    bytes[at] = std::byte{1};
    EXPECT_NE(sample_hash(bytes), small) << at;
    bytes[at] = std::byte{0};
  }
}

}  // namespace
}  // namespace unroll::test
