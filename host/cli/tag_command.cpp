/// unroll tag: sentences from stdin, with tags.
#include <unistd.h>

#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/cli/commands.h"
#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/cli/standard_input.h"
#include "host/data/conllu.h"
#include "host/data/line_reader.h"
#include "host/data/word_splitter.h"
#include "host/infer/tagger.h"
#include "host/models/model_file.h"
#include "host/models/sequence_tagger.h"

namespace unroll::cli {
namespace {

struct TagFlags {
  std::string checkpoint;
  DeviceFlags device;
};

struct WaitingSentence {
  std::vector<std::string> words;    // empty: there is nothing to tag
  std::optional<TaggedLines> lines;  // of CoNLL-U

  /// In CoNLL-U its own lines, else a line of word, tab and tag for each word and an empty line.
  std::string text(std::span<const std::int32_t> tags, const ClassLabels& names) {
    std::string text;
    for (std::size_t k = 0; k < words.size(); ++k)
      if (const std::string& tag = names.label(tags[k]); lines)
        lines->set_tag(std::int64_t(k), tag);
      else
        text += words[k] + "\t" + tag + "\n";
    if (!lines) return text + "\n";
    for (const std::string& line : lines->lines()) text += line;
    return text;
  }
};

/// Sentences until they are tagged: so many that batches are full and of similar lengths, so few
/// that memory does not grow with the text.
class WaitingSentences {
 public:
  explicit WaitingSentences(Tagger& tagger)
      : tagger_(tagger), print_(::isatty(STDOUT_FILENO) == 1 ? print : print_raw) {}

  void add(WaitingSentence sentence) {
    words_ += std::int64_t(sentence.words.size());
    waiting_.push_back(std::move(sentence));
    if (std::ssize(waiting_) >= kMost || words_ >= kMostWords) answer();
  }

  /// Writes all of them, in the order in which they came.
  void answer() {
    std::vector<std::vector<std::string>> sentences;
    std::vector<std::size_t> places;
    for (std::size_t k = 0; k < waiting_.size(); ++k)
      if (!waiting_[k].words.empty()) {
        sentences.push_back(waiting_[k].words);
        places.push_back(k);
      }
    std::vector<std::vector<std::int32_t>> tags(waiting_.size());
    const TaggingVocabulary& known = tagger_.model().vocabulary();
    if (!sentences.empty())
      tagger_.for_each(std::make_shared<const TaggedSplit>(untagged_split(sentences, known)),
                       [&](std::int64_t sentence, std::span<const std::int32_t> its_tags) {
                         tags[places[std::size_t(sentence)]].assign(its_tags.begin(),
                                                                    its_tags.end());
                       });
    std::string text;
    for (std::size_t k = 0; k < waiting_.size(); ++k) text += waiting_[k].text(tags[k], known.tags);
    waiting_.clear();
    words_ = 0;
    if (!text.empty()) print_(text);
  }

 private:
  static constexpr std::int64_t kMost = 1024, kMostWords = 32'768;

  Tagger& tagger_;
  void (*print_)(const std::string& text);
  std::vector<WaitingSentence> waiting_;
  std::int64_t words_ = 0;
};

/// Reads as far as is needed to tell CoNLL-U from text: a line that is neither empty nor a comment.
std::string read_beginning(const StandardInput& input) {
  std::string text;
  std::size_t decided = 0;  // lines that decide nothing
  std::vector<char> block(1 << 16);
  while (const std::size_t got = input.read(block)) {
    text.append(block.data(), got);
    for (std::size_t end = 0; (end = text.find('\n', decided)) != text.npos; decided = end + 1)
      if (const char first = text[decided]; first != '\n' && first != '\r' && first != '#')
        return text;
    if (text.size() > kMostLineBytes) break;  // the reader will say so
  }
  return text;
}

void tag_conllu(TextSource source, TagColumn column, WaitingSentences& waiting) {
  TaggedReader reader(std::move(source), {.column = column, .tagged = false});
  for (TaggedLines lines; reader.next(lines);) {
    WaitingSentence sentence;
    for (std::int64_t k = 0; k < lines.size(); ++k) sentence.words.emplace_back(lines.form(k));
    sentence.lines = std::exchange(lines, {});
    waiting.add(std::move(sentence));
  }
}

void tag_text(TextSource source, const TaggingVocabulary& known, WaitingSentences& waiting) {
  LineReader reader(std::move(source));
  while (const auto line = reader.next()) {
    WaitingSentence sentence;
    for (const TypedWord& word : split_words(*line, known)) sentence.words.emplace_back(word.text);
    if (!sentence.words.empty()) waiting.add(std::move(sentence));
  }
}

void run_tag(const TagFlags& flags) {
  const LoadedModel model = load_model(flags.checkpoint, flags.device.open(), warn);
  task_of<SequenceTagger>(model);
  const auto task = std::dynamic_pointer_cast<const SequenceTagger>(model.task);
  Tagger tagger(task, model.store);
  WaitingSentences waiting(tagger);
  const StandardInput input([&] { waiting.answer(); });
  const std::string beginning = read_beginning(input);
  TextSource source(
      beginning, [&](std::span<char> buffer) { return input.read(buffer); }, StandardInput::kName);
  try {
    if (is_conllu(beginning))
      tag_conllu(std::move(source), task->config().column, waiting);
    else
      tag_text(std::move(source), task->vocabulary(), waiting);
  } catch (const std::runtime_error&) {
    waiting.answer();  // what came before a bad line
    throw;
  }
  waiting.answer();
}

}  // namespace

void add_tag(CLI::App* command, std::function<void()>& run) {
  auto flags = std::make_shared<TagFlags>();
  command->add_option("--checkpoint", flags->checkpoint, "Run folder (its best) or one checkpoint")
      ->required();
  flags->device.add_to(*command);
  command->callback([flags, &run] { run = [flags] { run_tag(*flags); }; });
}

}  // namespace unroll::cli
