#include "host/data/bpe_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "host/base/strict_json.h"
#include "host/base/utf8.h"

namespace unroll {
namespace {

using nlohmann::json;

constexpr std::int64_t kMostTokens = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kLongestAdded = 1024;  // bytes

constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

[[noreturn]] void fail_part(const JsonObject& json, std::string_view key, const std::string& got,
                            std::string_view expected) {
  throw std::runtime_error(
      fmt::format("{}: {}: got {}, expected {}", json.where(), key, got, expected));
}

bool is_given(const JsonObject& json, std::string_view key) {
  return json.has(key) && !json.at(key).is_null();
}

bool flag(const JsonObject& json, std::string_view key, bool otherwise) {
  return is_given(json, key) ? json.boolean(key) : otherwise;
}

/// A text that would change what the encoding does.
void require_no_text(const JsonObject& json, std::string_view key) {
  if (is_given(json, key) && !json.string(key).empty())
    fail_part(json, key, in_quotes(json.string(key)), "none");
}

/// The items of a normalizer, pre_tokenizer or decoder, which may be a Sequence of others.
std::vector<JsonObject> steps_of(const JsonObject& json, std::string_view key,
                                 std::string_view items) {
  if (!is_given(json, key)) return {};
  const JsonObject step = json.object(key);
  if (step.string("type") != "Sequence") return {step};
  std::vector<JsonObject> steps;
  if (!step.at(items).is_array()) fail_part(step, items, "something else", "an array");
  for (const nlohmann::json& item : step.at(items)) steps.emplace_back(item, step.where());
  return steps;
}

/// What is to be replaced; "Regex" or "String".
std::string pattern_of(const JsonObject& step, const char* kind) {
  const JsonObject pattern = step.object("pattern");
  if (!pattern.has(kind)) fail_part(step, "pattern", "another kind", fmt::format("a {}", kind));
  return pattern.string(kind);
}

class FileReader {
 public:
  FileReader(const json& value, const std::string& name) : json_(value, name) {}

  BpeParts read() {
    read_words();
    read_normalizers();
    check_decoders();
    read_model();
    return std::move(parts_);
  }

 private:
  // ---- how a text becomes words

  void read_words() {
    const std::vector<JsonObject> steps = steps_of(json_, "pre_tokenizer", "pretokenizers");
    constexpr std::string_view kExpected =
        "ByteLevel, Metaspace, or Split and ByteLevel in a Sequence";
    parts_.byte_level = false;
    parts_.pattern = WordPattern::kWhole;
    bool split = false;
    for (const JsonObject& step : steps) {
      const std::string type = step.string("type");
      const bool first = &step == &steps.front();
      if (type == "Split" && first && steps.size() == 2) {
        read_split(step);
        split = true;
      } else if (type == "ByteLevel" && first == !split) {
        read_byte_level(step, split);
      } else if (type == "Metaspace" && steps.size() == 1) {
        read_metaspace(step);
      } else {
        fail_part(json_, "pre_tokenizer", in_quotes(type), kExpected);
      }
    }
    if (split && !parts_.byte_level) fail_part(json_, "pre_tokenizer", "'Split'", kExpected);
  }

  void read_split(const JsonObject& step) {
    const std::string pattern = pattern_of(step, "Regex");
    for (const auto& [known, rule] : {std::pair(kGpt2, WordPattern::kGpt2),
                                      {kLlama3, WordPattern::kDigits},
                                      {kQwen2, WordPattern::kDigit}})
      if (pattern == known) parts_.pattern = rule;
    if (parts_.pattern == WordPattern::kWhole)
      fail_part(step, "pattern", in_quotes(pattern), "that of GPT-2, Llama 3 or Qwen 2");
    if (step.string("behavior") != "Isolated" || step.boolean("invert"))
      fail_part(step, "behavior", in_quotes(step.string("behavior")), "Isolated and not inverted");
  }

  void read_byte_level(const JsonObject& step, bool split) {
    parts_.byte_level = true;
    const bool regex = flag(step, "use_regex", true);
    if (split && regex) fail_part(step, "use_regex", "true", "false after a Split");
    if (regex) parts_.pattern = WordPattern::kGpt2;
    const bool blank = step.boolean("add_prefix_space");
    if (split && blank) fail_part(step, "add_prefix_space", "true", "false after a Split");
    parts_.first_blank = blank ? FirstBlank::kAlways : FirstBlank::kNever;
  }

  void read_metaspace(const JsonObject& step) {
    if (step.string("replacement") != kBlankMark)
      fail_part(step, "replacement", in_quotes(step.string("replacement")), "U+2581");
    parts_.mark_blanks = true;
    if (flag(step, "split", true)) parts_.pattern = WordPattern::kBlanks;
    const std::string scheme = is_given(step, "prepend_scheme") ? step.string("prepend_scheme")
                               : flag(step, "add_prefix_space", true) ? "always"
                                                                      : "never";
    if (scheme == "always")
      parts_.first_blank = FirstBlank::kAlways;
    else if (scheme == "first")
      parts_.first_blank = FirstBlank::kFirst;
    else if (scheme != "never")
      fail_part(step, "prepend_scheme", in_quotes(scheme), "always, first or never");
  }

  void read_normalizers() {
    for (const JsonObject& step : steps_of(json_, "normalizer", "normalizers")) {
      const std::string type = step.string("type");
      if (type == "NFC") {
        add(Normalization::kNfc);
      } else if (type == "NFD") {
        add(Normalization::kNfd);
      } else if (type == "NFKC") {
        add(Normalization::kNfkc);
      } else if (type == "NFKD") {
        add(Normalization::kNfkd);
      } else if (type == "Lowercase") {
        add(Normalization::kLowercase);
      } else if (type == "Prepend" && step.string("prepend") == kBlankMark) {
        add(Normalization::kMarkBegin);
      } else if (type == "Replace" && pattern_of(step, "String") == " " &&
                 step.string("content") == kBlankMark) {
        add(Normalization::kMarkBlanks);
      } else {
        fail_part(
            json_, "normalizer", in_quotes(type),
            "NFC, NFD, NFKC, NFKD, Lowercase, Prepend of U+2581, or Replace of a blank by it");
      }
    }
  }

  void add(Normalization step) { parts_.normalizations.push_back(step); }

  /// Texts are put together as the words were taken apart.
  void check_decoders() const {
    for (const JsonObject& step : steps_of(json_, "decoder", "decoders")) {
      const std::string type = step.string("type");
      const bool known = parts_.byte_level
                             ? type == "ByteLevel"
                             : type == "Metaspace" || type == "Replace" || type == "ByteFallback" ||
                                   type == "Fuse" || type == "Strip";
      if (!known)
        fail_part(json_, "decoder", in_quotes(type),
                  parts_.byte_level ? "ByteLevel, as the pre_tokenizer"
                                    : "Metaspace, or Replace, ByteFallback, Fuse and Strip");
    }
  }

  // ---- the model

  void read_model() {
    const JsonObject model = json_.object("model");
    if (is_given(model, "type") && model.string("type") != "BPE")
      fail_part(model, "type", in_quotes(model.string("type")), "BPE");
    require_no_text(model, "continuing_subword_prefix");
    require_no_text(model, "end_of_word_suffix");
    if (is_given(model, "dropout") && model.number("dropout", 0, 1) > 0)
      fail_part(model, "dropout", fmt::format("{}", model.number("dropout", 0, 1)), "none");
    parts_.fuse_unknown = flag(model, "fuse_unk", false);
    parts_.ignore_merges = flag(model, "ignore_merges", false);
    read_vocabulary(model.object("vocab"));
    read_added();
    if (is_given(model, "unk_token")) {
      const std::string token = model.string("unk_token");
      parts_.unknown = find(token);
      if (!parts_.unknown) fail_part(model, "unk_token", in_quotes(token), "one of vocab");
    }
    // Where each byte has a character there is none that is not a token.
    if (flag(model, "byte_fallback", false) && !parts_.byte_level) read_byte_tokens(model);
    read_merges(model);
  }

  std::optional<std::int32_t> find(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }

  void read_vocabulary(const JsonObject& vocabulary) {
    for (const auto& [token, value] : vocabulary.value().get_ref<const json::object_t&>()) {
      const std::int64_t id = vocabulary.integer(token, 0, kMostTokens);
      if (token.empty()) fail_part(vocabulary, "''", "an empty token", "a text");
      ids_.emplace(token, std::int32_t(id));
    }
  }

  void read_added() {
    if (is_given(json_, "added_tokens")) {
      if (!json_.at("added_tokens").is_array())
        fail_part(json_, "added_tokens", "something else", "an array");
      for (const nlohmann::json& value : json_.at("added_tokens"))
        add_token(JsonObject(value, json_.where() + ": added_tokens"));
    }
    place_tokens();
  }

  void add_token(const JsonObject& token) {
    BpeParts::Added added;
    added.content = token.string("content");
    added.id = std::int32_t(token.integer("id", 0, kMostTokens));
    added.normalized = flag(token, "normalized", false);
    for (const char* key : {"single_word", "lstrip", "rstrip"})
      if (flag(token, key, false)) fail_part(token, key, "true", "false");
    if (added.content.empty() || added.content.size() > kLongestAdded)
      fail_part(token, "content", fmt::format("{} bytes", added.content.size()),
                fmt::format("1 to {}", kLongestAdded));
    const auto known = ids_.find(added.content);
    added.in_vocabulary = known != ids_.end();
    if (added.in_vocabulary && known->second != added.id)
      fail_part(token, "id", std::to_string(added.id),
                fmt::format("{}, as {} has in vocab", known->second, in_quotes(added.content)));
    parts_.added.push_back(std::move(added));
  }

  /// All tokens by id, of which none may be missing.
  void place_tokens() {
    std::unordered_map<std::int32_t, std::string_view> by_id;
    const auto place = [&](std::int32_t id, std::string_view token) {
      const auto [at, is_new] = by_id.emplace(id, token);
      if (!is_new && at->second != token)
        throw std::runtime_error(fmt::format("{}: got the id {} for {} and {}, expected one token",
                                             json_.where(), id, in_quotes(at->second),
                                             in_quotes(token)));
    };
    for (const auto& [token, id] : ids_) place(id, token);
    for (const BpeParts::Added& token : parts_.added) place(token.id, token.content);
    if (by_id.empty())
      throw std::runtime_error(json_.where() + ": vocab: got no token, expected some");
    for (std::int64_t id = 0; id < std::ssize(by_id); ++id) {
      const auto at = by_id.find(std::int32_t(id));
      if (at == by_id.end())
        throw std::runtime_error(
            fmt::format("{}: got {} tokens and none with the id {}, expected ids without a gap",
                        json_.where(), by_id.size(), id));
      parts_.tokens.emplace_back(at->second);
    }
  }

  void read_byte_tokens(const JsonObject& model) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const std::string token = fmt::format("<0x{:02X}>", byte);
      const auto id = find(token);
      if (!id) fail_part(model, "byte_fallback", "no token " + token, "one for each byte");
      parts_.byte_tokens.push_back(*id);
    }
  }

  void read_merges(const JsonObject& model) {
    const json& merges = model.at("merges");
    if (!merges.is_array()) fail_part(model, "merges", "something else", "an array");
    std::vector<char> alone(parts_.tokens.size());  // what no merge may have
    for (const std::int32_t id : parts_.byte_tokens) alone[std::size_t(id)] = 1;
    if (parts_.unknown) alone[std::size_t(*parts_.unknown)] = 1;
    for (const json& value : merges) {
      const auto fail = [&](const std::string& got, std::string_view expected) {
        fail_part(model, fmt::format("merges: number {}", parts_.merges.size() + 1), got, expected);
      };
      const auto [left, right] = sides(value, fail);
      const auto id = [&](const std::string& token) {
        const auto found = find(token);
        if (!found) fail(in_quotes(token), "a token of vocab");
        return *found;
      };
      const BpeParts::Merge merge{id(left), id(right), id(left + right)};
      if (alone[std::size_t(merge.left)] || alone[std::size_t(merge.right)])
        fail(in_quotes(alone[std::size_t(merge.left)] ? left : right),
             "no token that stands for others");
      parts_.merges.push_back(merge);
    }
  }

  template <typename Fail>
  static std::pair<std::string, std::string> sides(const json& value, Fail&& fail) {
    constexpr const char* kForm = "two tokens";
    if (value.is_string()) {
      const auto& text = value.get_ref<const std::string&>();
      const std::size_t blank = text.find(' ');
      if (blank == text.npos || blank == 0 || blank + 1 == text.size() ||
          text.find(' ', blank + 1) != text.npos)
        fail(in_quotes(text), kForm);
      return {text.substr(0, blank), text.substr(blank + 1)};
    }
    if (!value.is_array() || value.size() != 2 || !value[0].is_string() || !value[1].is_string() ||
        value[0].get_ref<const std::string&>().empty() ||
        value[1].get_ref<const std::string&>().empty())
      fail("something else", kForm);
    return {value[0].get<std::string>(), value[1].get<std::string>()};
  }

  JsonObject json_;
  BpeParts parts_;
  std::unordered_map<std::string_view, std::int32_t> ids_;
};

}  // namespace

std::shared_ptr<const Bpe> parse_tokenizer_json(std::string_view text, const std::string& name) {
  if (std::ssize(text) > kMostTokenizerBytes)
    throw std::runtime_error(fmt::format("{}: got {} bytes, expected at most {}", name, text.size(),
                                         kMostTokenizerBytes));
  const json value = parse_json(text, name);
  return std::make_shared<const Bpe>(FileReader(value, name).read(), std::string(text));
}

std::string tokenizer_json(const BpeParts& parts) {
  const auto quoted = [](const std::string& token) { return json(token).dump(); };
  std::string text = R"({
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": [],
  "normalizer": null,
  "pre_tokenizer": {
    "type": "ByteLevel",
    "add_prefix_space": false,
    "trim_offsets": true,
    "use_regex": true
  },
  "post_processor": null,
  "decoder": {
    "type": "ByteLevel",
    "add_prefix_space": false,
    "trim_offsets": true,
    "use_regex": true
  },
  "model": {
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
    "ignore_merges": false,
    "vocab": {)";
  for (std::size_t id = 0; id < parts.tokens.size(); ++id)
    text += fmt::format("{}\n      {}: {}", id > 0 ? "," : "", quoted(parts.tokens[id]), id);
  text += "\n    },\n    \"merges\": [";
  for (std::size_t rank = 0; rank < parts.merges.size(); ++rank) {
    const auto token = [&](std::int32_t id) { return parts.tokens[std::size_t(id)]; };
    const BpeParts::Merge& merge = parts.merges[rank];
    text += fmt::format("{}\n      {}", rank > 0 ? "," : "",
                        quoted(token(merge.left) + " " + token(merge.right)));
  }
  return text + "\n    ]\n  }\n}\n";
}

}  // namespace unroll
