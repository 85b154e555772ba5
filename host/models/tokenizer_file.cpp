#include "host/models/tokenizer_file.h"

#include <fmt/format.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "host/base/utf8.h"

namespace unroll {

nlohmann::json tokenizer_to_json(TokenizerKind kind) {
  return {{"type", to_string(kind)}};
}

TokenizerKind tokenizer_kind_from(const JsonObject& json) {
  const std::string name = json.string("type");
  const std::optional<TokenizerKind> kind = tokenizer_kind(name);
  if (!kind)
    throw std::runtime_error(fmt::format("{}: type: got {}, expected word, char or byte",
                                         json.where(), in_quotes(name)));
  return *kind;
}

Tokenizer read_tokenizer(const JsonObject& json, const Checkpoint& checkpoint,
                         std::int64_t vocabulary) {
  const TokenizerKind kind = tokenizer_kind_from(json);
  const std::string file = (checkpoint.directory / "vocab.txt").string();
  if (kind != TokenizerKind::kByte && !checkpoint.vocabulary)
    throw std::runtime_error(checkpoint.directory.string() + ": vocab.txt is missing");
  Tokenizer tokenizer = Tokenizer::parse(kind, checkpoint.vocabulary.value_or(""), file);
  if (tokenizer.size() != vocabulary)
    throw std::runtime_error(fmt::format("{}: got {} tokens, expected {} as in config.json", file,
                                         tokenizer.size(), vocabulary));
  return tokenizer;
}

}  // namespace unroll
