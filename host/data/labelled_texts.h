/// Texts of which each has a class, as token ids in memory: what a classifier learns from. A file
/// has one of them per line: label, tab, text. Text is as text_reader.h says, of which a line here
/// ends without its '\r'; where bytes are tokens, a text may have any but the newline. Further tabs
/// are white space of the text.
///
/// The tokens of a text end with the tokenizer's line end: <eos>, or the newline. Without it,
/// neither the state after the last word nor a mean of states could tell that no word follows, and
/// what is odd only at the end of a text would go unseen.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/interrupted.h"
#include "host/data/class_labels.h"
#include "host/data/text_reader.h"
#include "host/data/tokenizer.h"

namespace unroll {

struct LabelledStatistics {
  std::int64_t texts = 0;
  std::int64_t tokens = 0, longest = 0;  // line ends included
  std::int64_t unknown = 0;              // tokens that became <unk>
  std::vector<std::int64_t> per_class;   // texts
};

/// The texts of one file, in its order.
struct LabelledSplit {
  std::vector<std::int32_t> ids;           // one text after the other
  std::vector<std::int64_t> begins = {0};  // [texts + 1]: text k is ids [begins[k], begins[k + 1])
  std::vector<std::int32_t> classes;       // [texts]; kIgnoredId: not known
  LabelledStatistics statistics;

  std::int64_t size() const { return std::int64_t(classes.size()); }
  std::span<const std::int32_t> text(std::int64_t k) const {
    const auto at = std::size_t(k);
    return std::span(ids).subspan(std::size_t(begins[at]), std::size_t(length(k)));
  }
  std::int64_t length(std::int64_t k) const {
    return begins[std::size_t(k) + 1] - begins[std::size_t(k)];
  }
  /// Appends a text, and counts it.
  void add(std::span<const std::int32_t> tokens, std::int32_t its_class);
};

/// Longer ones are a mistake, such as a file without line ends.
inline constexpr std::int64_t kMostTextTokens = std::int64_t(1) << 20;

/// The tokens of a text. Newlines in it are blanks, because a text is one line. Calls `unknown` for
/// each word or character that becomes <unk>.
/// Errors    std::runtime_error as Tokenizer::encode(); also if it has no token beside its end, or
///           more than kMostTextTokens.
std::vector<std::int32_t> encode_text(
    const Tokenizer& tokenizer, std::string_view text,
    const std::function<void(std::string_view)>& unknown = nullptr);

struct LabelledTextsOptions {
  TokenizerKind tokenizer = TokenizerKind::kWord;
  Vocabulary::Limits limits = {};
  /// Replaces the vocabulary of the training texts; its kind is `tokenizer`.
  std::optional<Tokenizer> given = {};
  /// LabelledTexts::fingerprint that the texts must have; empty: any.
  std::string fingerprint = {};
  const std::atomic<bool>* stop = nullptr;  // ends the reading when set
};

/// Cheap to copy; copies share the texts.
struct LabelledTexts {
  Tokenizer tokenizer;  // made from the training texts
  ClassLabels labels;   // those of the training texts
  std::shared_ptr<const LabelledSplit> train, valid, test;
  std::string name;  // how errors call them
  /// Equal exactly for equal files read in the same way, from any place.
  std::string fingerprint;
};

/// Reads train.tsv, valid.tsv and test.tsv of a folder.
/// Errors    std::invalid_argument as Vocabulary::Limits::check(); std::runtime_error if a file is
///           missing, cannot be read, is empty, or is not text; if a line, which is named, has no
///           tab, a label that is_label() refuses, a text that encode_text() refuses, or a label
///           that no training text has; if there are fewer than 2 or more than ClassLabels::kMost
///           classes; if the vocabulary is empty; if they are not those of `fingerprint`;
///           Interrupted.
LabelledTexts read_labelled_texts(const std::filesystem::path& folder,
                                  const LabelledTextsOptions& options);

/// The same from anywhere: training, validation, test. `name` is how errors call all of them.
LabelledTexts read_labelled_texts(std::array<TextSource, 3> sources, const std::string& name,
                                  const LabelledTextsOptions& options);

/// One file more, for a model that exists.
/// Errors    as above, with the labels in place of those of training texts.
LabelledSplit read_labelled_split(TextSource source, const Tokenizer& tokenizer,
                                  const ClassLabels& labels);

}  // namespace unroll
