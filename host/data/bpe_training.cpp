#include "host/data/bpe_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host/base/utf8.h"
#include "host/data/bpe_encoder.h"
#include "host/data/word_table.h"

namespace unroll {
namespace {

struct CountedWords {
  std::vector<std::string> words;
  std::vector<std::int64_t> counts;
};

CountedWords count(TextSource text) {
  TextReader reader(std::move(text));
  WordStream stream({}, reader.name());
  WordTable table;
  CountedWords counted;
  const auto add = [&](std::string_view word) {
    const auto k = std::size_t(table.add(word));
    if (k == counted.counts.size()) counted.counts.push_back(0);
    ++counted.counts[k];
  };
  for (std::string_view block = reader.next_block(); !block.empty(); block = reader.next_block())
    stream.add(block, false, add);
  stream.add({}, true, add);
  if (reader.statistics().lines == 0)
    throw std::runtime_error(reader.name() + ": is empty, expected text to learn tokens from");
  counted.words = table.words();
  return counted;
}

struct IdPair {
  std::int32_t left, right;

  std::uint64_t key() const { return std::uint64_t(left) << 32 | std::uint32_t(right); }
};

/// A pair to merge, with the words that have it.
struct Candidate {
  std::int64_t count;
  IdPair pair;
  std::vector<std::int32_t> words;

  /// The largest is merged first.
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair.key() > other.pair.key();
  }
};

class Trainer {
 public:
  Trainer(CountedWords counted, std::int64_t size) : counts_(std::move(counted.counts)) {
    add_bytes();
    for (const std::string& word : counted.words) {
      std::vector<std::int32_t> ids;
      for (const char byte : word) ids.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
      words_.push_back(std::move(ids));
    }
    size_ = std::size_t(size);
  }

  BpeParts train() {
    for (std::size_t k = 0; k < words_.size(); ++k)
      for (std::size_t t = 1; t < words_[k].size(); ++t)
        change({words_[k][t - 1], words_[k][t]}, std::int32_t(k), 1);
    propose();
    while (parts_.tokens.size() < size_ && !candidates_.empty()) {
      std::pop_heap(candidates_.begin(), candidates_.end());
      Candidate top = std::move(candidates_.back());
      candidates_.pop_back();
      if (const std::int64_t count = pairs_[top.pair.key()]; count != top.count) {
        top.count = count;  // merges of other pairs changed it
        if (count > 0) add(std::move(top));
        continue;
      }
      apply(top);
      propose();
    }
    return std::move(parts_);
  }

 private:
  /// Bytes are in the order of the characters that stand for them.
  void add_bytes() {
    std::vector<std::pair<char32_t, std::size_t>> order;
    for (std::size_t byte = 0; byte < 256; ++byte)
      order.emplace_back(byte_characters()[byte], byte);
    std::ranges::sort(order);
    for (const auto& [character, byte] : order) byte_ids_[byte] = add_token(utf8_of(character));
  }

  /// The token of this spelling, which is new or another merge made it.
  std::int32_t add_token(const std::string& token) {
    const auto [at, is_new] = ids_.emplace(token, std::int32_t(parts_.tokens.size()));
    if (is_new) parts_.tokens.push_back(token);
    return at->second;
  }

  void change(const IdPair& pair, std::int32_t word, std::int64_t by) {
    pairs_[pair.key()] += by * counts_[std::size_t(word)];
    if (by < 0) return;
    std::vector<std::int32_t>& words = new_pairs_[pair.key()];
    if (words.empty() || words.back() != word) words.push_back(word);
  }

  /// Makes candidates of the pairs that have come up.
  void propose() {
    for (auto& [key, words] : new_pairs_)
      if (const std::int64_t count = pairs_[key]; count > 0)
        add({count, {std::int32_t(key >> 32), std::int32_t(key & 0xFFFFFFFF)}, std::move(words)});
    new_pairs_.clear();
  }

  void add(Candidate candidate) {
    candidates_.push_back(std::move(candidate));
    std::push_heap(candidates_.begin(), candidates_.end());
  }

  void apply(const Candidate& candidate) {
    const auto& [left, right] = candidate.pair;
    const std::int32_t merged =
        add_token(parts_.tokens[std::size_t(left)] + parts_.tokens[std::size_t(right)]);
    parts_.merges.push_back({left, right, merged});
    for (const std::int32_t word : candidate.words) merge(word, candidate.pair, merged);
  }

  void merge(std::int32_t word, const IdPair& pair, std::int32_t merged) {
    std::vector<std::int32_t>& ids = words_[std::size_t(word)];
    std::size_t to = 0;
    for (std::size_t from = 0; from < ids.size(); ++to) {
      if (from + 1 == ids.size() || ids[from] != pair.left || ids[from + 1] != pair.right) {
        ids[to] = ids[from++];
        continue;
      }
      if (to > 0) {
        change({ids[to - 1], pair.left}, word, -1);
        change({ids[to - 1], merged}, word, 1);
      }
      from += 2;
      if (from < ids.size()) {
        change({pair.right, ids[from]}, word, -1);
        change({merged, ids[from]}, word, 1);
      }
      ids[to] = merged;
    }
    ids.resize(to);
  }

  std::size_t size_ = 0;
  std::vector<std::int64_t> counts_;              // of words
  std::vector<std::vector<std::int32_t>> words_;  // as tokens
  std::array<std::int32_t, 256> byte_ids_{};
  std::unordered_map<std::string, std::int32_t> ids_;
  std::unordered_map<std::uint64_t, std::int64_t> pairs_;  // counts
  std::unordered_map<std::uint64_t, std::vector<std::int32_t>> new_pairs_;
  std::vector<Candidate> candidates_;  // a heap
  BpeParts parts_;
};

}  // namespace

BpeParts train_bpe(TextSource text, std::int64_t size) {
  if (size < kFewestBpeTokens || size > kMostBpeTokens)
    throw std::invalid_argument(fmt::format("{} tokens of byte pairs, expected {} to {}", size,
                                            kFewestBpeTokens, kMostBpeTokens));
  return Trainer(count(std::move(text)), size).train();
}

}  // namespace unroll
