#include "host/data/token_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "host/data/hash.h"
#include "host/data/strict_json.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::int64_t kHuge = std::int64_t{1} << 60;

TokenCacheHeader header() {
  TokenCacheHeader h;
  h.key = {{"tokenizer", "word"}};
  h.sources = {{"/a.txt", 10, 20, "hash"}};
  h.width = 2;
  return h;
}

std::string whole_file(const TempFolder& folder) {
  const fs::path place = folder.path() / "x.tokens";
  TokenCacheWriter writer(NewFile(place), header(), "some words");
  const std::vector<std::int32_t> ids = {1, 2, 65535};
  writer.add(ids);
  writer.add(ids);
  writer.finish({{{.tokens = 3}, {.tokens = 2}, {.tokens = 1}}});
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

TEST(TokenCache, AnUnfinishedFileIsRemoved) {
  const TempFolder folder;
  { const TokenCacheWriter writer(NewFile(folder.path() / "x.tokens"), header(), "w"); }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

// Whatever the header's bytes are, reading it throws nothing but its own error.
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
  EXPECT_TRUE(contains(changed([](json& h) { h["version"] = 2; }), "got version 2, expected 1"));
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
