/// Fuzz target: the header of a token cache. The input is a whole file. Because a hash protects the
/// header, it is also used as the header's JSON in a file whose hash is right. Accepted offsets lie
/// within the file.
#include "host/data/token_cache.h"

#include <cstring>

#include "host/base/hash.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

constexpr std::string_view kMagic = "UNROLLTK";

std::string file_of(std::string_view header, std::size_t rest) {
  std::string file(kMagic);
  const std::uint64_t length = header.size();
  file.append(reinterpret_cast<const char*>(&length), sizeof length);
  file.append(header).append(hash_of(bytes_of(header)));
  return file + std::string(rest, '\0');
}

void check(std::string_view file) {
  TokenCacheHeader header;
  if (!accepts([&] { header = parse_token_cache_header(bytes_of(file), "file"); })) return;
  const auto size = std::int64_t(file.size());
  require(header.vocabulary_offset >= 0 && header.vocabulary_bytes >= 0 &&
              header.vocabulary_offset + header.vocabulary_bytes <= size,
          "the vocabulary lies within the file");
  require(header.ids_offset >= header.vocabulary_offset + header.vocabulary_bytes &&
              header.tokens >= 0 && header.ids_offset + header.tokens * header.width == size,
          "the ids are the rest of the file");
}

}  // namespace

std::vector<std::string> seeds() {
  const std::string statistics =
      R"({"tokens":20,"characters":90,"lines":4,"unknown":1,"types":9,"empty_lines":0,)"
      R"("longest_line":30,"crlf_lines":0})";
  const std::string header =
      R"({"version":2,"key":{"tokenizer":"word"},"sources":[{"path":"/a","size":90,"mtime_ns":5,)"
      R"("ctime_ns":6,"inode":7,"hash":"0f"}],"vocabulary_bytes":30,"vocabulary_hash":"0e","width":2,"tokens":60,)"
      R"("ids_sample":"0d","splits":{"train":)" +
      statistics + R"(,"valid":)" + statistics + R"(,"test":)" + statistics + "}}";
  return {header, file_of(header, 200)};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll::fuzz;
  const std::string_view input = text_of(data, size);
  check(input);
  for (const std::size_t rest : {std::size_t{0}, std::size_t{64}, std::size_t{200}})
    check(file_of(input, rest));
  return 0;
}
