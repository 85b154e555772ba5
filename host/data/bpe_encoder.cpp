#include "host/data/bpe_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "host/data/bpe_normalize.h"

namespace unroll {
namespace {

// Words of a text's own language are fewer, and almost all shorter. Some 20 MB.
constexpr std::int32_t kCachedWords = 1 << 17;
constexpr std::size_t kLongestCached = 64;

/// Where a text can be cut so that its parts are normalized as the whole is: before the last white
/// space, which combines with nothing before it. 0 if nowhere.
std::size_t last_cut(std::string_view text) {
  const std::size_t blank = text.find_last_of(" \t\n");
  return blank == text.npos ? 0 : blank;
}

}  // namespace

void WordStream::require_short(std::size_t bytes) const {
  if (bytes > kLongestWord)
    throw std::runtime_error(
        fmt::format("{}: got more than {} bytes without a place to cut, expected shorter words",
                    name_, kLongestWord));
}

BpeEncoder::BpeEncoder(const Bpe& bpe, const std::string& name)
    : bpe_(bpe), words_(bpe.words(), name) {}

void BpeEncoder::add_token(std::int32_t id) {
  output_.ids.push_back(id);
  text_begins_ = false;
}

void BpeEncoder::find_raw(std::string_view text, bool ends) {
  if (bpe_.raw().empty()) return normalize_text(text, ends);
  raw_ += text;
  std::size_t at = 0;
  for (;;) {
    const TokenMatcher::Match match = bpe_.raw().find(raw_, at, ends);
    const bool found = match.id >= 0;
    normalize_text(std::string_view(raw_).substr(at, match.begin - at), found || ends);
    at = match.begin;
    if (!found) break;
    add_token(match.id);
    at = match.end;
  }
  raw_.erase(0, at);
}

void BpeEncoder::normalize_text(std::string_view text, bool ends) {
  const auto& steps = bpe_.parts().normalizations;
  if (steps.empty()) return find_normalized(text, ends);
  to_normalize_ += text;
  const std::size_t cut = ends ? to_normalize_.size() : last_cut(to_normalize_);
  words_.require_short(to_normalize_.size() - cut);
  std::string part = to_normalize_.substr(0, cut);
  to_normalize_.erase(0, cut);
  for (const Normalization step : steps)
    if (!part.empty() && (step != Normalization::kMarkBegin || part_begins_))
      part = normalize(std::move(part), step);
  part_begins_ = ends || (part_begins_ && cut == 0);
  find_normalized(part, ends);
}

void BpeEncoder::find_normalized(std::string_view text, bool ends) {
  if (bpe_.normalized().empty()) return find_words(std::string(text), ends);
  normalized_ += text;
  std::size_t at = 0;
  for (;;) {
    const TokenMatcher::Match match = bpe_.normalized().find(normalized_, at, ends);
    const bool found = match.id >= 0;
    find_words(normalized_.substr(at, match.begin - at), found || ends);
    at = match.begin;
    if (!found) break;
    add_token(match.id);
    at = match.end;
  }
  normalized_.erase(0, at);
}

void BpeEncoder::find_words(std::string text, bool ends) {
  const BpeParts& parts = bpe_.parts();
  if (parts.mark_blanks) text = normalize(std::move(text), Normalization::kMarkBlanks);
  if (!text.empty()) {
    const std::string_view blank = parts.byte_level ? " " : kBlankMark;
    const bool wanted = parts.first_blank == FirstBlank::kAlways ||
                        (parts.first_blank == FirstBlank::kFirst && text_begins_);
    if (words_begin_ && wanted && !text.starts_with(blank)) text.insert(0, blank);
    words_begin_ = text_begins_ = false;
  }
  words_.add(text, ends, [&](std::string_view word) { encode_word(word); });
  if (ends) words_begin_ = true;
}

void BpeEncoder::encode_word(std::string_view word) {
  const bool cacheable = word.size() <= kLongestCached;
  if (cacheable)
    if (const std::int32_t k = cache_.find(word); k >= 0) {
      const std::size_t begin = k > 0 ? ends_[std::size_t(k) - 1] : 0;
      output_.ids.insert(output_.ids.end(), cached_.begin() + std::ptrdiff_t(begin),
                         cached_.begin() + std::ptrdiff_t(ends_[std::size_t(k)]));
      return;
    }
  const std::size_t before = output_.ids.size(), unknown = output_.unknown.size();
  bpe_.encode_word(word, scratch_, output_);
  if (!cacheable || output_.unknown.size() > unknown) return;
  if (cache_.size() == kCachedWords) {
    cache_ = {};
    ends_.clear();
    cached_.clear();
  }
  cache_.add(word);
  cached_.insert(cached_.end(), output_.ids.begin() + std::ptrdiff_t(before), output_.ids.end());
  ends_.push_back(cached_.size());
}

}  // namespace unroll
