#include "host/data/labelled_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "host/base/file.h"
#include "host/base/hash.h"
#include "host/base/strict_json.h"
#include "host/base/text_format.h"
#include "host/base/utf8.h"

namespace unroll {
namespace {

namespace fs = std::filesystem;

constexpr std::array kTables{"train.tsv", "valid.tsv", "test.tsv"};
constexpr const char* kLineForm = "label<TAB>text";

/// Reads the lines of a file. What it gives out is valid until the next call.
class LabelledLines {
 public:
  LabelledLines(TextSource source, TokenizerKind kind)
      : reader_(std::move(source), kind == TokenizerKind::kByte ? TextReader::Content::kBytes
                                                                : TextReader::Content::kText) {}

  struct Line {
    std::string_view label, text;
  };

  std::optional<Line> next() {
    if (!read_line()) return std::nullopt;
    ++number_;
    std::string_view line = line_;
    // As text, the reader has taken it off already.
    if (number_ == 1 && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t tab = line.find('\t');
    if (tab == line.npos)
      throw error(fmt::format("got no tab in {}, expected {}", in_quotes(line), kLineForm));
    const std::string_view label = line.substr(0, tab);
    if (label.empty()) throw error(fmt::format("got no label, expected {}", kLineForm));
    if (!is_label(label))
      throw error(
          fmt::format("got the label {}, expected UTF-8 without white space, but blanks within it",
                      in_quotes(label)));
    return Line{label, line.substr(tab + 1)};
  }

  std::int64_t number() const { return number_; }
  const std::string& name() const { return reader_.name(); }
  std::runtime_error error(const std::string& what) const {
    return error_at(name(), number_, what);
  }
  static std::runtime_error error_at(const std::string& name, std::int64_t number,
                                     const std::string& what) {
    return std::runtime_error(fmt::format("{}: line {}: {}", name, number, what));
  }

 private:
  bool read_line() {
    line_.clear();
    for (bool begun = false;; begun = true) {
      if (block_.empty()) block_ = reader_.next_block();
      if (block_.empty()) return begun;
      const std::size_t end = block_.find('\n');
      line_.append(block_.substr(0, end));
      block_.remove_prefix(std::min(end, block_.size() - 1) + 1);
      if (end != block_.npos) return true;
    }
  }

  TextReader reader_;
  std::string_view block_;
  std::string line_;
  std::int64_t number_ = 0;
};

/// Adds the tokens of a text of that line to the split.
void add_text(const Tokenizer& tokenizer, std::string_view text, std::int32_t its_class,
              LabelledSplit& split) {
  std::int64_t unknown = 0;
  split.add(encode_text(tokenizer, text, [&](std::string_view) { ++unknown; }), its_class);
  split.statistics.unknown += unknown;
}

void require_texts(const LabelledSplit& split, const std::string& name) {
  if (split.size() == 0)
    throw std::runtime_error(fmt::format("{}: is empty, expected lines of {}", name, kLineForm));
}

/// The training texts, before there is a tokenizer for them.
struct TrainingLines {
  std::string name;
  std::string texts;                  // each ended by a newline, as the tokenizer reads them
  std::vector<std::int32_t> numbers;  // of their labels, by first appearance
  std::vector<std::string> labels;    // by number
};

TrainingLines read_training_lines(TextSource source, TokenizerKind kind) {
  TrainingLines read;
  read.name = source.name();
  LabelledLines lines(std::move(source), kind);
  std::map<std::string, std::int32_t, std::less<>> numbers;
  while (const auto line = lines.next()) {
    auto found = numbers.find(line->label);
    if (found == numbers.end()) {
      if (std::ssize(read.labels) == ClassLabels::kMost)
        throw lines.error(fmt::format("got {}, one more class, expected at most {}",
                                      in_quotes(line->label), ClassLabels::kMost));
      found = numbers.emplace(line->label, std::int32_t(read.labels.size())).first;
      read.labels.emplace_back(line->label);
    }
    read.numbers.push_back(found->second);
    read.texts.append(line->text).push_back('\n');
  }
  return read;
}

LabelledSplit encode_training_lines(const TrainingLines& lines, const Tokenizer& tokenizer,
                                    const ClassLabels& labels, const std::atomic<bool>* stop) {
  std::vector<std::int32_t> classes;  // by number
  for (const std::string& label : lines.labels) classes.push_back(*labels.find(label));
  LabelledSplit split;
  split.statistics.per_class.resize(std::size_t(labels.size()));
  std::string_view left = lines.texts;
  for (const std::int32_t number : lines.numbers) {
    stop_if_asked(stop);
    const std::size_t end = left.find('\n');
    try {
      add_text(tokenizer, left.substr(0, end), classes[std::size_t(number)], split);
    } catch (const std::runtime_error& error) {
      throw LabelledLines::error_at(lines.name, split.size() + 1, error.what());
    }
    left.remove_prefix(end + 1);
  }
  return split;
}

Tokenizer build_tokenizer(const TrainingLines& lines, const LabelledTextsOptions& options) {
  if (options.given) return *options.given;
  TextSource texts(lines.texts, lines.name);
  texts.stop_by(options.stop);
  Tokenizer tokenizer = Tokenizer::build(options.tokenizer, std::move(texts), options.limits);
  if (tokenizer.size() <= 2)
    throw std::runtime_error(fmt::format(
        "{}: got no {} that occurs {} times in its texts, expected one for the vocabulary",
        lines.name, to_string(options.tokenizer), options.limits.min_count));
  return tokenizer;
}

}  // namespace

void LabelledSplit::add(std::span<const std::int32_t> tokens, std::int32_t its_class) {
  const auto length = std::int64_t(tokens.size());
  ids.insert(ids.end(), tokens.begin(), tokens.end());
  begins.push_back(begins.back() + length);
  classes.push_back(its_class);
  ++statistics.texts;
  statistics.tokens += length;
  statistics.longest = std::max(statistics.longest, length);
  if (its_class >= 0) ++statistics.per_class[std::size_t(its_class)];
}

std::vector<std::int32_t> encode_text(const Tokenizer& tokenizer, std::string_view text,
                                      const std::function<void(std::string_view)>& unknown) {
  std::string line(text);
  std::ranges::replace(line, '\n', ' ');
  line += '\n';
  std::vector<std::int32_t> ids = tokenizer.encode(line, unknown);
  if (ids.size() < 2)
    throw std::runtime_error(
        fmt::format("got no {} in the text, expected one or more", to_string(tokenizer.kind())));
  if (std::ssize(ids) > kMostTextTokens)
    throw std::runtime_error(
        fmt::format("got a text of {} tokens, expected at most {}", ids.size(), kMostTextTokens));
  return ids;
}

LabelledSplit read_labelled_split(TextSource source, const Tokenizer& tokenizer,
                                  const ClassLabels& labels) {
  LabelledLines lines(std::move(source), tokenizer.kind());
  LabelledSplit split;
  split.statistics.per_class.resize(std::size_t(labels.size()));
  while (const auto line = lines.next()) {
    const auto its_class = labels.find(line->label);
    if (!its_class)
      throw lines.error(fmt::format("got the label {}, expected one of the {} of training texts",
                                    in_quotes(line->label), labels.size()));
    try {
      add_text(tokenizer, line->text, *its_class, split);
    } catch (const std::runtime_error& error) {
      throw lines.error(error.what());
    }
  }
  require_texts(split, lines.name());
  return split;
}

LabelledTexts read_labelled_texts(std::array<TextSource, 3> sources, const std::string& name,
                                  const LabelledTextsOptions& options) {
  options.limits.check();
  std::array<Hash, 3> hashes;
  for (std::size_t k = 0; k < sources.size(); ++k) {
    sources[k].stop_by(options.stop);
    sources[k].hash_into(&hashes[k]);
  }
  LabelledTexts texts;
  texts.name = name;
  TrainingLines lines = read_training_lines(std::move(sources[0]), options.tokenizer);
  if (lines.numbers.empty()) require_texts({}, lines.name);
  texts.labels = ClassLabels(lines.labels, lines.name);
  texts.tokenizer = build_tokenizer(lines, options);
  const auto shared = [](LabelledSplit split) {
    return std::make_shared<const LabelledSplit>(std::move(split));
  };
  texts.train = shared(encode_training_lines(lines, texts.tokenizer, texts.labels, options.stop));
  lines = {};
  texts.valid = shared(read_labelled_split(std::move(sources[1]), texts.tokenizer, texts.labels));
  texts.test = shared(read_labelled_split(std::move(sources[2]), texts.tokenizer, texts.labels));

  nlohmann::json key = {{"tokenizer", to_string(options.tokenizer)},
                        {"max_size", options.limits.max_size},
                        {"min_count", options.limits.min_count}};
  if (options.given) key["given"] = hash_of(bytes_of(options.given->vocabulary_text()));
  for (const Hash& hash : hashes) key["files"].push_back(hash.hex());
  texts.fingerprint = hash_of(bytes_of(format_json(key, "fingerprint")));
  if (!options.fingerprint.empty() && options.fingerprint != texts.fingerprint)
    throw std::runtime_error(fmt::format(
        "{}: are not the texts that the run was begun with: got fingerprint {}, expected {}", name,
        texts.fingerprint, options.fingerprint));
  return texts;
}

LabelledTexts read_labelled_texts(const fs::path& folder, const LabelledTextsOptions& options) {
  require_folder(folder, "one with train.tsv, valid.tsv, test.tsv");
  std::error_code error;
  for (const char* table : kTables)
    if (fs::status(folder / table, error).type() == fs::file_type::not_found)
      throw std::runtime_error(fmt::format("{}: no {}, expected train.tsv, valid.tsv and test.tsv",
                                           folder.string(), table));
  return read_labelled_texts({TextSource(folder / kTables[0]), TextSource(folder / kTables[1]),
                              TextSource(folder / kTables[2])},
                             folder.string(), options);
}

}  // namespace unroll
