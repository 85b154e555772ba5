#include "host/data/tagged_batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <map>
#include <stdexcept>
#include <utility>

#include "host/data/columns.h"
#include "unroll/math/philox.h"

namespace unroll {
namespace {

constexpr std::size_t kSentenceColumns = 3, kAllColumns = 6;

std::vector<std::int64_t> sentence_lengths(const TaggedSplit& sentences) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t k = 0; k < sentences.size(); ++k) lengths.push_back(sentences.length(k));
  return lengths;
}

/// A count as one of few values: a multiple of 4, and of a quarter of the power of two that is not
/// above it. So at most a fifth of a value above 16 is padding.
std::int64_t rounded_up(std::int64_t count) {
  const auto step =
      std::max<std::int64_t>(4, std::int64_t(std::bit_floor(std::uint64_t(count))) / 4);
  return (count + step - 1) / step * step;
}

}  // namespace

TaggedBatches::TaggedBatches(std::shared_ptr<const TaggedSplit> sentences, const Options& options)
    : sentences_(std::move(sentences)),
      options_(options),
      places_(sentence_lengths(*sentences_),
              {.batch = options.batch, .most_steps = kMostSteps, .seed = options.seed}),
      form_rooms_(std::size_t(places_.size())),
      places_of_forms_(std::size_t(sentences_->distinct.size()), -1) {
  if (!(options_.unknown_rate >= 0 && options_.unknown_rate <= 1))
    throw std::invalid_argument(fmt::format("a rate of unknown words of {}, expected one in [0, 1]",
                                            options_.unknown_rate));
  measure_forms();
}

Batch TaggedBatches::largest() const {
  const std::int64_t n = options_.batch, t = places_.steps();
  Batch batch;
  batch.columns = {id_column({t, n}, RowAxis::kSecond), id_column({n}, RowAxis::kFirst),
                   id_column({t, n}, RowAxis::kSecond)};
  if (!options_.characters) return batch;
  // Which sentences of equal length share a batch differs between epochs, but not how many tokens
  // the batches have.
  std::int64_t tokens = 0;
  for (std::int64_t k = 0; k < places_.size(); ++k) {
    std::int64_t count = 0;
    for (const std::int64_t sentence : places_.at(k).items) count += places_.length(sentence);
    tokens = std::max(tokens, count);
  }
  const std::int64_t u = rounded_up(std::min(tokens, sentences_->distinct.size()));
  const std::int64_t c = std::min(rounded_up(sentences_->statistics.longest_form), kMostCharacters);
  batch.columns.push_back(id_column({c, u}));
  batch.columns.push_back(id_column({u}));
  batch.columns.push_back(id_column({t, n}, RowAxis::kSecond));
  return batch;
}

bool TaggedBatches::next(Batch& batch) {
  const auto place = places_.next();
  if (!place) return false;
  if (batch.columns.size() != (options_.characters ? kAllColumns : kSentenceColumns))
    batch = largest();
  rows_ = place->items;
  write_sentences(*place, batch);
  if (options_.characters) write_characters(*place, batch);
  batch.position_after = places_.position();
  return true;
}

void TaggedBatches::write_sentences(const LengthBatches::Place& place, Batch& batch) {
  const std::int64_t n = options_.batch;
  batch.columns[0].shape = batch.columns[2].shape = {place.steps, n};
  const std::span<std::int32_t> words = room(batch.columns[0].ids, batch.columns[0].shape);
  const std::span<std::int32_t> lengths = room(batch.columns[1].ids, batch.columns[1].shape);
  const std::span<std::int32_t> targets = room(batch.columns[2].ids, batch.columns[2].shape);
  std::ranges::fill(words, 0);
  std::ranges::fill(lengths, 1);
  std::ranges::fill(targets, kIgnoredId);
  batch.count = 0;
  for (std::size_t row = 0; row < place.items.size(); ++row) {
    const std::int64_t sentence = place.items[row], length = places_.length(sentence);
    const std::int64_t first = sentences_->begins[std::size_t(sentence)];
    for (std::int64_t t = 0; t < length; ++t) {
      const std::size_t at = std::size_t(t * n) + row;
      words[at] = word_of(first + t);
      targets[at] = sentences_->tags[std::size_t(first + t)];
    }
    lengths[row] = std::int32_t(length);
    batch.count += length;
  }
}

std::int32_t TaggedBatches::word_of(std::int64_t token) const {
  const auto form = std::size_t(sentences_->forms[std::size_t(token)]);
  const bool rare = sentences_->distinct.counts[form] == 1;
  if (rare && options_.seed && options_.unknown_rate > 0) {
    const std::uint64_t key = math::philox_key(*options_.seed, "tagged_batches/unknown");
    const float draw =
        math::uniform01(math::philox_word(key, std::uint64_t(epoch_), std::uint64_t(token)));
    if (double(draw) < options_.unknown_rate) return KnownWords::kUnknown;
  }
  return sentences_->distinct.words[form];
}

void TaggedBatches::write_characters(const LengthBatches::Place& place, Batch& batch) {
  find_forms(place);
  const std::int64_t n = options_.batch;
  const auto [u, c] = form_rooms_[std::size_t(place.rank)];
  batch.columns[3].shape = {c, u};
  batch.columns[4].shape = {u};
  batch.columns[5].shape = {place.steps, n};
  const std::span<std::int32_t> characters = room(batch.columns[3].ids, batch.columns[3].shape);
  const std::span<std::int32_t> lengths = room(batch.columns[4].ids, batch.columns[4].shape);
  const std::span<std::int32_t> forms = room(batch.columns[5].ids, batch.columns[5].shape);
  std::ranges::fill(characters, 0);
  std::ranges::fill(lengths, 1);
  std::ranges::fill(forms, 0);
  for (std::size_t k = 0; k < batch_forms_.size(); ++k) {
    const auto whole = sentences_->distinct.characters_of(batch_forms_[k]);
    const std::int64_t length = std::min(std::ssize(whole), kMostCharacters);
    const std::int64_t left_out = std::ssize(whole) - length;  // in the middle
    for (std::int64_t i = 0; i < length; ++i)
      characters[std::size_t(i * u) + k] =
          whole[std::size_t(i < kMostCharacters / 2 ? i : i + left_out)];
    lengths[k] = std::int32_t(length);
  }
  for (std::size_t row = 0; row < place.items.size(); ++row) {
    const std::int64_t first = sentences_->begins[std::size_t(place.items[row])];
    for (std::int64_t t = 0; t < places_.length(place.items[row]); ++t)
      forms[std::size_t(t * n) + row] =
          places_of_forms_[std::size_t(sentences_->forms[std::size_t(first + t)])];
  }
}

/// Fills batch_forms_, by first appearance, and says what room they need.
TaggedBatches::FormRoom TaggedBatches::find_forms(const LengthBatches::Place& place) {
  for (const std::int32_t form : batch_forms_) places_of_forms_[std::size_t(form)] = -1;
  batch_forms_.clear();
  std::int64_t longest = 1;
  for (const std::int64_t sentence : place.items) {
    const auto first = std::size_t(sentences_->begins[std::size_t(sentence)]);
    for (const std::int32_t form :
         std::span(sentences_->forms).subspan(first, std::size_t(places_.length(sentence)))) {
      std::int32_t& at = places_of_forms_[std::size_t(form)];
      if (at >= 0) continue;
      at = std::int32_t(batch_forms_.size());
      batch_forms_.push_back(form);
      longest = std::max(longest, std::ssize(sentences_->distinct.characters_of(form)));
    }
  }
  return {std::ssize(batch_forms_), std::min(longest, kMostCharacters)};
}

/// Finds U and C for each T of this epoch.
void TaggedBatches::measure_forms() {
  if (!options_.characters) return;
  std::map<std::int64_t, FormRoom> largest;  // by T
  for (std::int64_t k = 0; k < places_.size(); ++k) {
    const LengthBatches::Place place = places_.at(k);
    const FormRoom needed = find_forms(place);
    FormRoom& both = largest[place.steps];
    both.forms = std::max(both.forms, needed.forms);
    both.characters = std::max(both.characters, needed.characters);
  }
  for (std::int64_t k = 0; k < places_.size(); ++k) {
    const LengthBatches::Place place = places_.at(k);
    const FormRoom& both = largest.at(place.steps);
    form_rooms_[std::size_t(place.rank)] = {rounded_up(both.forms),
                                            std::min(rounded_up(both.characters), kMostCharacters)};
  }
}

void TaggedBatches::seek(std::int64_t epoch, std::int64_t position) {
  places_.seek(epoch, position);
  epoch_ = epoch;
  rows_ = {};
  measure_forms();
}

}  // namespace unroll
