/// Fuzz target: tokenizer.json, and a text after a line that ends it. What is accepted encodes the
/// text to ids within the vocabulary, the same whether it comes whole or in pieces; what was learnt
/// from the text gives it back.
#include <optional>

#include "host/base/utf8.h"
#include "host/data/bpe.h"
#include "host/data/bpe_encoder.h"
#include "host/data/tokenizer.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

constexpr const char* kByteLevel =
    R"({"added_tokens":[{"id":3,"content":"<x>","normalized":false}],"normalizer":{"type":"NFC"},)"
    R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":true},"decoder":null,)"
    R"("model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}})";
constexpr const char* kCharacters =
    R"({"added_tokens":[{"id":0,"content":"<unk>","normalized":true}],"pre_tokenizer":{"type":)"
    R"("Metaspace","replacement":"\u2581","prepend_scheme":"first","split":false},"model":{)"
    R"("unk_token":"<unk>","fuse_unk":true,"vocab":{"<unk>":0,"a":1,"\u2581":2,"\u2581a":3},)"
    R"("merges":[["\u2581","a"]]}})";

/// The ids, and -1 for what is unknown, of a text that comes in pieces of so many characters.
std::vector<std::int32_t> encode(const Bpe& bpe, std::string_view text, int characters) {
  BpeEncoder encoder(bpe, "text");
  while (!text.empty()) {
    const std::string_view before = text;
    for (int k = 0; k < characters && !text.empty(); ++k) take_code_point(text);
    encoder.add(before.substr(0, before.size() - text.size()));
  }
  encoder.finish();
  return encoder.output().ids;
}

}  // namespace

std::vector<std::string> seeds() {
  return {std::string(kByteLevel) + "\nab <x>ab\n\nba  a",
          std::string(kCharacters) + "\na a\xE2\x96\x81  a<unk>xyz\n a",
          "{\"model\": {\"vocab\": {}, \"merges\": []}}\na",
          "{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": [\"a a\"]}}\na"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  const std::string_view all = fuzz::text_of(data, size);
  const std::size_t end = all.find('\n');
  const std::string_view text = end == all.npos ? "" : all.substr(end + 1);
  const bool is_text = find_invalid_utf8(text) == text.size() && text.find('\0') == text.npos;
  std::optional<Tokenizer> tokenizer;
  if (fuzz::accepts(
          [&] { tokenizer = Tokenizer::parse(TokenizerKind::kBpe, all.substr(0, end), "file"); })) {
    fuzz::require(tokenizer->vocabulary_text() == all.substr(0, end), "the file comes back");
    fuzz::require(tokenizer->start() >= 0 && tokenizer->start() < tokenizer->size(),
                  "a history has a start");
    if (is_text) {
      const std::vector<std::int32_t> ids = fuzz::encode(*tokenizer->bpe(), text, 1 << 20);
      fuzz::require(ids == fuzz::encode(*tokenizer->bpe(), text, 1), "pieces give the same ids");
      for (const std::int32_t id : ids)
        fuzz::require(id >= -1 && id < tokenizer->size(), "ids lie within the vocabulary");
      for (const std::int32_t id : tokenizer->encode(text)) tokenizer->text(id);
    }
  }
  if (!is_text || text.empty() || text.starts_with("\xEF\xBB\xBF")) return 0;
  const Tokenizer learnt =
      Tokenizer::build(TokenizerKind::kBpe, TextSource(text, "text"), {.max_size = 300});
  fuzz::require(learnt.decode(learnt.encode(text)) == text, "decoding gives the text back");
  fuzz::require(
      Tokenizer::parse(TokenizerKind::kBpe, learnt.vocabulary_text(), "learnt").encode(text) ==
          learnt.encode(text),
      "what was learnt is read back");
  return 0;
}
