/// Small sequence classifiers for tests: random texts, random parameters, and feeds.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/data/text_batches.h"
#include "host/models/sequence_classifier.h"
#include "tests/support/random.h"
#include "unroll/session.h"

namespace unroll::test {

/// A tokenizer of the words <eos>, <unk>, w2, w3, ...
inline Tokenizer numbered_words(std::int64_t vocabulary) {
  std::string text = "<eos>\n<unk>\n";
  for (std::int64_t k = 2; k < vocabulary; ++k) text += "w" + std::to_string(k) + "\n";
  return Tokenizer::parse(TokenizerKind::kWord, text, "words");
}

/// The classes c000, c001, ...
inline ClassLabels numbered_labels(std::int64_t classes) {
  std::vector<std::string> labels;
  for (std::int64_t k = 0; k < classes; ++k) {
    const std::string number = std::to_string(k);
    labels.push_back("c" + std::string(3 - number.size(), '0') + number);
  }
  return {labels, "labels"};
}

inline SequenceClassifier classifier_of(const SequenceClassifierConfig& config) {
  return {config, numbered_words(config.vocabulary), numbered_labels(config.classes)};
}

/// Texts of these lengths, of random tokens and classes.
inline std::shared_ptr<const LabelledSplit> random_texts(const SequenceClassifierConfig& config,
                                                         const std::vector<std::int64_t>& lengths,
                                                         std::uint64_t seed) {
  Random random(seed);
  LabelledSplit split;
  split.statistics.per_class.resize(std::size_t(config.classes));
  for (const std::int64_t length : lengths)
    split.add(random.integers(std::size_t(length), 0, std::int32_t(config.vocabulary)),
              random.integer(0, std::int32_t(config.classes)));
  return std::make_shared<const LabelledSplit>(std::move(split));
}

/// The values of a graph's placeholders; a prediction graph has none for the targets.
inline std::vector<Feed> feeds_of(const std::vector<Tensor>& inputs, const Batch& batch) {
  std::vector<Feed> feeds;
  for (const Column& column : batch.columns) {
    const bool targets = &column == &batch.columns[2];
    if (targets && inputs.size() < batch.columns.size()) continue;
    const auto size = std::size_t(column.shape.elements());
    if (column.dtype == DType::kInt32)
      feeds.emplace_back(inputs[feeds.size()], std::span(column.ids).first(size), column.shape);
    else
      feeds.emplace_back(inputs[feeds.size()], std::span(column.values).first(size), column.shape);
  }
  return feeds;
}

}  // namespace unroll::test
