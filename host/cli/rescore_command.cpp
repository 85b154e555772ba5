/// unroll rescore: n-best lists, sorted by their scores and a model's.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <map>
#include <memory>

#include "host/base/utf8.h"
#include "host/cli/commands.h"
#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/cli/values.h"
#include "host/infer/line_input.h"
#include "host/infer/rescore.h"

namespace unroll::cli {
namespace {

/// The feature that a model's ln P becomes.
constexpr const char* kFeature = "Unroll";

struct RescoreFlags {
  std::string checkpoint, data, format, reference;
  RescoreWeights weights;
  DeviceFlags device;
};

LineInput open_lines(const std::string& file) {
  return file.empty() ? LineInput(STDIN_FILENO, "stdin") : LineInput(std::filesystem::path(file));
}

/// Calls use(line) for each line. Errors get the name and the line's number.
template <typename Use>
void for_each_line(LineInput& input, const LineBatch& batch, const Use& use) {
  for (std::size_t k = 0; k < batch.lines.size(); ++k) try {
      use(batch.lines[k], batch.first + std::int64_t(k));
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(fmt::format("{}: line {}: {}", input.name(),
                                           batch.first + std::int64_t(k), error.what()));
    }
}

/// Texts by the ids of lists: Moses numbers them by their lines, from 0.
std::map<std::string, std::string> read_references(const std::string& file, NBestFormat format) {
  std::map<std::string, std::string> references;
  LineInput input{std::filesystem::path(file)};
  for (LineBatch batch; input.next(batch);)
    for_each_line(input, batch, [&](const std::string& line, std::int64_t number) {
      if (format == NBestFormat::kMoses) {
        references[std::to_string(number - 1)] = line;
        return;
      }
      const std::vector<std::string_view> words = words_of(line);
      if (words.empty()) throw std::runtime_error("got no word, expected an id and a text");
      const std::string id(words[0]);
      if (!references.emplace(id, line.substr(line.find(id) + id.size())).second)
        throw std::runtime_error(fmt::format("id: got {} again, expected it once", in_quotes(id)));
    });
  return references;
}

class ListWriter {
 public:
  explicit ListWriter(NBestFormat format) : format_(format) {}

  void write(std::span<NBestList> lists, const RescoreWeights& weights) const {
    std::string out;
    for (NBestList& list : lists) {
      rescore(list, weights, kFeature);
      for (const Hypothesis& hypothesis : list.hypotheses)
        out += to_line(format_, hypothesis) + "\n";
    }
    print_raw(out);
  }

 private:
  NBestFormat format_;
};

std::string percent(const WordErrorRate& errors) {
  return fmt::format("{:.2f} %", 100 * errors.rate());
}

void note_tuned(const TunedWeights& tuned) {
  note(fmt::format("tuned: --weight {:.4g} --word-bonus {:.4g}", tuned.weights.model,
                   tuned.weights.word_bonus));
  note(fmt::format("word error rate {} | before {} | oracle {} | words {}", percent(tuned.after),
                   percent(tuned.before), percent(tuned.oracle), tuned.after.words));
}

void run_rescore(const RescoreFlags& flags) {
  const NBestFormat format = choose<NBestFormat>(
      "--format", flags.format, {{"moses", NBestFormat::kMoses}, {"kaldi", NBestFormat::kKaldi}});
  require_range("--weight", flags.weights.model, 0, 1);
  require_range("--word-bonus", flags.weights.word_bonus, -1e6, 1e6);
  const bool tunes = !flags.reference.empty();
  LineInput input = open_lines(flags.data);
  std::map<std::string, std::string> references;
  if (tunes) references = read_references(flags.reference, format);
  const LoadedModel model = load_model(flags.checkpoint, flags.device.open(), warn);
  const Tokenizer& tokenizer = task_of<LanguageModelTask>(model).tokenizer();
  Scorer scorer(model);
  const ListWriter writer(format);
  NBestReader reader(format);
  std::vector<NBestList> lists, kept;
  const auto flush = [&] {
    score_lists(scorer, tokenizer, lists);
    if (!tunes) writer.write(lists, flags.weights);
    if (tunes) std::ranges::move(lists, std::back_inserter(kept));
    lists.clear();
  };
  for (LineBatch batch; input.next(batch);) {
    std::exception_ptr error;
    try {
      for_each_line(input, batch, [&](const std::string& line, std::int64_t) {
        if (auto list = reader.add(line)) lists.push_back(std::move(*list));
      });
    } catch (const std::runtime_error&) {
      error = std::current_exception();
    }
    flush();  // the lists before a line that is wrong
    if (error) std::rethrow_exception(error);
  }
  if (auto list = reader.end()) lists.push_back(std::move(*list));
  flush();
  if (!tunes) return;
  const TunedWeights tuned = tune(kept, references);
  writer.write(kept, tuned.weights);
  note_tuned(tuned);
}

}  // namespace

void add_rescore(CLI::App* command, std::function<void()>& run) {
  auto flags = std::make_shared<RescoreFlags>();
  command->add_option("--checkpoint", flags->checkpoint, "Run folder (its best) or one checkpoint")
      ->required();
  command
      ->add_option("--format", flags->format,
                   "moses (id ||| text ||| features ||| score) or kaldi (utterance-N text)")
      ->required();
  command->add_option("--data", flags->data, "File of n-best lists [stdin]");
  CLI::Option* weight =
      command
          ->add_option("--weight", flags->weights.model,
                       "Of the model's ln P, from 0 to 1; the list's own score has the rest")
          ->capture_default_str();
  CLI::Option* bonus = command
                           ->add_option("--word-bonus", flags->weights.word_bonus,
                                        "Nats that are added to ln P for each word")
                           ->capture_default_str();
  command
      ->add_option("--tune", flags->reference,
                   "File of the right texts: take the weights with the fewest word errors")
      ->excludes(weight)
      ->excludes(bonus);
  flags->device.add_to(*command);
  command->footer(
      "The hypotheses of a list stand side by side and come out in the same format, the best\n"
      "first. With kaldi, which has no scores, the model decides; its reference has ids, too.");
  command->callback([flags, &run] { run = [flags] { run_rescore(*flags); }; });
}

}  // namespace unroll::cli
