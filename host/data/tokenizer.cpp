#include "host/data/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "host/base/utf8.h"
#include "host/data/bpe.h"
#include "host/data/bpe_encoder.h"
#include "host/data/bpe_file.h"
#include "host/data/bpe_training.h"

namespace unroll {
namespace {

constexpr std::int32_t kBytes = 256;
constexpr std::size_t kPiece = 1 << 14;  // ids handed to a sink at a time

TextReader::Content content_of(TokenizerKind kind) {
  return kind == TokenizerKind::kByte ? TextReader::Content::kBytes : TextReader::Content::kText;
}

/// Collects ids for a sink and counts the different ones.
class Pieces {
 public:
  Pieces(const IdSink& sink, std::int32_t vocabulary)
      : sink_(sink), ids_(kPiece), seen_(static_cast<std::size_t>(vocabulary)) {}
  void add(std::int32_t id) {
    ids_[count_++] = id;
    seen_[static_cast<std::size_t>(id)] = true;
    if (count_ == kPiece) flush();
  }
  void flush() {
    tokens_ += static_cast<std::int64_t>(count_);
    if (count_ > 0) sink_(std::span(ids_).first(count_));
    count_ = 0;
  }
  std::int64_t tokens() const { return tokens_; }
  std::int64_t types() const { return std::count(seen_.begin(), seen_.end(), true); }

 private:
  const IdSink& sink_;
  std::vector<std::int32_t> ids_;  // the first count_ are filled
  std::vector<char> seen_;
  std::size_t count_ = 0;
  std::int64_t tokens_ = 0;
};

}  // namespace

std::string to_string(TokenizerKind kind) {
  switch (kind) {
    case TokenizerKind::kWord:
      return "word";
    case TokenizerKind::kChar:
      return "char";
    case TokenizerKind::kByte:
      return "byte";
    case TokenizerKind::kBpe:
      return "bpe";
  }
  throw std::invalid_argument(fmt::format("tokenizer kind {}, expected a known one", int(kind)));
}

std::optional<TokenizerKind> tokenizer_kind(std::string_view name) {
  for (const TokenizerKind kind : kTokenizerKinds)
    if (to_string(kind) == name) return kind;
  return std::nullopt;
}

Tokenizer Tokenizer::build(TokenizerKind kind, TextSource text, const Vocabulary::Limits& limits) {
  Tokenizer tokenizer;
  tokenizer.kind_ = kind;
  if (kind == TokenizerKind::kWord)
    tokenizer.words_ =
        std::make_shared<const Vocabulary>(Vocabulary::build(std::move(text), limits));
  if (kind == TokenizerKind::kChar)
    tokenizer.chars_ =
        std::make_shared<const CharVocabulary>(CharVocabulary::build(std::move(text), limits));
  if (kind == TokenizerKind::kBpe) {
    BpeParts parts =
        train_bpe(std::move(text), limits.max_size > 0 ? limits.max_size : kMostBpeTokens);
    std::string json = tokenizer_json(parts);
    tokenizer.bpe_ = std::make_shared<const Bpe>(std::move(parts), std::move(json));
  }
  return tokenizer;
}

Tokenizer Tokenizer::parse(TokenizerKind kind, std::string_view text, const std::string& name) {
  Tokenizer tokenizer;
  tokenizer.kind_ = kind;
  if (kind == TokenizerKind::kWord)
    tokenizer.words_ = std::make_shared<const Vocabulary>(Vocabulary::parse(text, name));
  if (kind == TokenizerKind::kChar)
    tokenizer.chars_ = std::make_shared<const CharVocabulary>(CharVocabulary::parse(text, name));
  if (kind == TokenizerKind::kBpe) tokenizer.bpe_ = parse_tokenizer_json(text, name);
  if (kind == TokenizerKind::kByte && !text.empty())
    throw std::runtime_error(
        fmt::format("{}: got {} bytes, expected no vocabulary for bytes", name, text.size()));
  return tokenizer;
}

std::int32_t Tokenizer::size() const {
  return words_ ? words_->size() : chars_ ? chars_->size() : bpe_ ? bpe_->size() : kBytes;
}

std::int32_t Tokenizer::start() const {
  return given_start_.value_or(line_end());
}

Tokenizer Tokenizer::starting_after(std::string_view token) const {
  Tokenizer tokenizer = *this;
  tokenizer.given_start_ = find(token);
  if (!tokenizer.given_start_)
    throw std::runtime_error(
        fmt::format("start: got {}, expected one of the {} tokens", in_quotes(token), size()));
  return tokenizer;
}

std::int32_t Tokenizer::line_end() const {
  return words_ ? words_->eos() : chars_ ? chars_->newline() : bpe_ ? bpe_->start() : '\n';
}

std::optional<std::int32_t> Tokenizer::unk() const {
  if (words_) return words_->unk();
  if (chars_) return chars_->unk();
  if (bpe_) return bpe_->parts().unknown;
  return std::nullopt;
}

std::optional<std::int32_t> Tokenizer::find(std::string_view token) const {
  if (words_) return words_->find(token);
  if (bpe_) return bpe_->find(token);
  if (!chars_)
    return token.size() == 1 ? std::optional<std::int32_t>(static_cast<unsigned char>(token[0]))
                             : std::nullopt;
  if (token.empty() || find_invalid_utf8(token) != token.size()) return std::nullopt;
  const std::int32_t id = chars_->find(take_code_point(token));
  return id >= 0 && token.empty() ? std::optional(id) : std::nullopt;
}

std::string Tokenizer::text(std::int32_t id) const {
  if (words_) return words_->word(id);
  if (chars_) return chars_->text(id);
  if (bpe_) return bpe_->text(id);
  if (id < 0 || id >= kBytes)
    throw std::invalid_argument(fmt::format("token id {}, expected one in [0, {})", id, kBytes));
  return {static_cast<char>(id)};
}

std::string Tokenizer::label(std::int32_t id) const {
  const std::string raw = text(id);
  const std::string escaped = words_ ? raw : escape(raw);
  return escaped != raw ? escaped : printable(raw);
}

/// Calls emit(id, text) for every token; id is -1 for what is not in the vocabulary.
template <typename Emit>
void Tokenizer::encode_blocks(TextReader& reader, Emit&& emit) const {
  if (words_) {
    const std::int32_t eos = words_->eos();
    while (const auto word = reader.next())
      emit(word->empty() ? eos : words_->find(*word).value_or(-1), *word);
    return;
  }
  if (bpe_) {
    BpeEncoder encoder(*bpe_, reader.name());
    const auto emit_known = [&] {
      BpeOutput& output = encoder.output();
      auto unknown = output.unknown.begin();
      for (const std::int32_t id : output.ids)
        emit(id, id < 0 ? std::string_view(*unknown++) : std::string_view());
      output.clear();
    };
    for (std::string_view block = reader.next_block(); !block.empty();
         block = reader.next_block()) {
      encoder.add(block);
      emit_known();
    }
    encoder.finish();
    return emit_known();
  }
  for (std::string_view block = reader.next_block(); !block.empty(); block = reader.next_block())
    if (chars_)
      while (!block.empty()) {
        const char* const begin = block.data();
        const std::int32_t id = chars_->find(take_code_point(block));
        emit(id, std::string_view(begin, static_cast<std::size_t>(block.data() - begin)));
      }
    else
      for (const char& c : block)
        emit(static_cast<std::int32_t>(static_cast<unsigned char>(c)), std::string_view(&c, 1));
}

TextStatistics Tokenizer::encode(TextSource text, const IdSink& sink) const {
  TextReader reader(std::move(text), content_of(kind_));
  Pieces pieces(sink, size());
  std::int64_t unknown = 0;
  const std::int32_t instead = unk().value_or(-1);
  encode_blocks(reader, [&](std::int32_t id, std::string_view) {
    unknown += id < 0 ? 1 : 0;
    if (id < 0) id = instead;
    if (id >= 0) pieces.add(id);  // else there is nothing that stands for it
  });
  pieces.flush();
  TextStatistics statistics = reader.statistics();
  statistics.tokens = pieces.tokens();
  statistics.unknown = unknown;
  statistics.types = pieces.types();
  return statistics;
}

std::vector<std::int32_t> Tokenizer::encode(
    std::string_view text, const std::function<void(std::string_view)>& unknown) const {
  TextReader reader(TextSource(text, "text"), content_of(kind_));
  std::vector<std::int32_t> ids;
  encode_blocks(reader, [&](std::int32_t id, std::string_view token) {
    if (id < 0 && unknown) unknown(token);
    if (id < 0) id = unk().value_or(-1);
    if (id >= 0) ids.push_back(id);
  });
  if (words_ && !ids.empty() && !text.ends_with('\n')) ids.pop_back();  // the reader's line end
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids) const {
  TokenWriter writer(*this);
  std::string text;
  for (const std::int32_t id : ids) text += writer.next(id);
  return text;
}

std::string Tokenizer::vocabulary_text() const {
  return words_ ? words_->to_text() : chars_ ? chars_->to_text() : bpe_ ? bpe_->json() : "";
}

std::string TokenWriter::begin(std::string_view prompt) {
  std::string text(prompt);
  if (tokenizer_.kind() == TokenizerKind::kWord) {
    text.clear();
    bool blank = false;
    TextReader reader(TextSource(prompt, "prompt"));
    while (const auto word = reader.next()) {
      blank = blank && !word->empty();
      text += (blank ? " " : "") + (word->empty() ? "\n" : std::string(*word));
      blank = !word->empty();
    }
    if (!text.empty() && !prompt.ends_with('\n')) text.pop_back();  // the reader's line end
  }
  in_line_ = !text.empty() && text.back() != '\n';
  begun_ = begun_ || !text.empty();
  return text;
}

std::string TokenWriter::next(std::int32_t id) {
  if (const Bpe* const bpe = tokenizer_.bpe()) {
    std::string text = bpe->text(id);
    if (!std::exchange(begun_, true) && bpe->marks_begin() && text.starts_with(' '))
      text.erase(0, 1);
    if (!text.empty()) in_line_ = text.back() != '\n';
    return text;
  }
  const bool ends_line = id == tokenizer_.start();
  if (tokenizer_.kind() != TokenizerKind::kWord) {
    in_line_ = !ends_line;
    return tokenizer_.text(id);
  }
  const bool first = !std::exchange(in_line_, !ends_line);
  if (ends_line) return "\n";
  return first ? tokenizer_.text(id) : " " + tokenizer_.text(id);
}

}  // namespace unroll
