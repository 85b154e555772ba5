#include "host/models/tokenizer_file.h"

#include <fmt/format.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "host/base/utf8.h"
#include "host/models/checkpoint_format.h"

namespace unroll {

using checkpoint_format::kTokenizerJson;

nlohmann::json tokenizer_to_json(TokenizerKind kind, const std::string& start) {
  nlohmann::json json = {{"type", to_string(kind)}};
  if (!start.empty()) json["start"] = start;
  return json;
}

std::string tokenizer_start_from(const JsonObject& json) {
  return json.has("start") ? json.string("start") : "";
}

TokenizerKind tokenizer_kind_from(const JsonObject& json) {
  const std::string name = json.string("type");
  const std::optional<TokenizerKind> kind = tokenizer_kind(name);
  if (!kind)
    throw std::runtime_error(fmt::format("{}: type: got {}, expected word, char, byte or bpe",
                                         json.where(), in_quotes(name)));
  return *kind;
}

Tokenizer read_tokenizer(const JsonObject& json, const Checkpoint& checkpoint,
                         std::int64_t vocabulary) {
  const TokenizerKind kind = tokenizer_kind_from(json);
  const char* const name = kind == TokenizerKind::kBpe ? kTokenizerJson : "vocab.txt";
  const std::string file = (checkpoint.directory / name).string();
  const std::string* text = checkpoint.vocabulary ? &*checkpoint.vocabulary : nullptr;
  if (kind == TokenizerKind::kBpe) {
    const auto found = checkpoint.files.find(kTokenizerJson);
    text = found == checkpoint.files.end() ? nullptr : &found->second;
  }
  if (kind != TokenizerKind::kByte && !text)
    throw std::runtime_error(fmt::format("{}: {} is missing", checkpoint.directory.string(), name));
  Tokenizer tokenizer = Tokenizer::parse(kind, text ? *text : std::string(), file);
  if (tokenizer.size() != vocabulary)
    throw std::runtime_error(fmt::format("{}: got {} tokens, expected {} as in config.json", file,
                                         tokenizer.size(), vocabulary));
  const std::string start = tokenizer_start_from(json);
  try {
    return start.empty() ? tokenizer : tokenizer.starting_after(start);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(json.where() + ": " + error.what());
  }
}

void add_tokenizer(const Tokenizer& tokenizer, TaskFiles& files) {
  if (tokenizer.kind() == TokenizerKind::kBpe)
    files.others[kTokenizerJson] = tokenizer.vocabulary_text();
  else if (tokenizer.kind() != TokenizerKind::kByte)
    files.vocabulary = tokenizer.vocabulary_text();
}

}  // namespace unroll
