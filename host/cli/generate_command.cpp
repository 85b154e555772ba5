/// unroll generate: text from a model, drawn and written token by token, or found by a beam.
#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "host/cli/commands.h"
#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/cli/terminal.h"
#include "host/cli/text_input.h"
#include "host/cli/truth.h"
#include "host/cli/values.h"
#include "host/infer/beam.h"
#include "host/infer/generate.h"
#include "host/infer/text_ids.h"
#include "host/infer/token_json.h"

namespace unroll::cli {
namespace {

/// Between texts that are not JSON.
constexpr const char* kBetween = "---\n";

struct GenerateFlags {
  std::string checkpoint, prompt, prompt_file, stop;
  std::int64_t length = 100, count = 1;
  std::optional<std::int64_t> beam;
  SamplingOptions sampling;
  CLI::Option* seed = nullptr;
  bool no_unknown = false, json = false;
  DeviceFlags device;

  /// Whether it depends on the seed what comes out.
  bool draws() const { return !beam && sampling.temperature > 0; }
};

/// A seed for one who has given none. JSON's readers keep 32 bits exactly.
std::uint64_t fresh_seed() {
  return std::random_device()();
}

/// The best checkpoint of a run answers. Before the first validation there is none.
void note_unvalidated(const LoadedModel& model) {
  const nlohmann::json& metrics = model.description.metrics;
  if (metrics.is_object() && metrics.contains("step") && !metrics.contains("valid_loss"))
    note(
        fmt::format("the run has not validated yet: the parameters of step {} answer", model.step));
}

/// A file or a pipe gets the bytes as they were drawn; a terminal gets them escaped.
class TextOutput {
 public:
  void write(const std::string& piece) { print_raw(is_terminal_ ? text_.next(piece) : piece); }
  void end(bool in_line) { print_raw(text_.rest() + (in_line ? "\n" : "")); }

 private:
  const bool is_terminal_ = ::isatty(STDOUT_FILENO) == 1;
  TerminalText text_;
};

/// One of the texts. Its tokens are all that were drawn, and the text ends before the stop string.
struct GeneratedText {
  TokenWriter writer;
  TextUntil until;
  std::string text = {};
  std::size_t written = 0;  // of the text
  std::vector<std::int32_t> ids = {};
  std::vector<double> log_probs = {};
  bool finished = false, stopped = false;

  void add(std::int32_t id, double log_prob) {
    ids.push_back(id);
    log_probs.push_back(log_prob);
    text += until.next(writer.next(id));
    stopped = until.stopped();
    if (stopped) finished = true;
  }
  void finish() {
    text += until.rest();
    finished = true;
  }
};

/// Writes the texts in their order, the first that is not finished as it grows.
class SampleOutput {
 public:
  SampleOutput(const GenerateFlags& flags, const Tokenizer& tokenizer)
      : flags_(flags), tokenizer_(tokenizer) {
    samples.reserve(std::size_t(flags.count));
    for (std::int64_t k = 0; k < flags.count; ++k) {
      samples.push_back({TokenWriter(tokenizer), TextUntil(flags.stop)});
      samples.back().text = samples.back().writer.begin(flags.prompt);
    }
  }

  std::vector<GeneratedText> samples;

  void write() {
    for (; current_ < samples.size(); ++current_) {
      GeneratedText& sample = samples[current_];
      if (!flags_.json) write_text(sample);
      if (!sample.finished) return;
      if (flags_.json && samples.size() > 1) print_json(json(sample));
    }
  }

  Json json(const GeneratedText& sample) const {
    Json tokens = Json::array();
    double log_prob = 0;
    for (const std::int32_t id : sample.ids) tokens.push_back(json_text(tokenizer_, id));
    for (const double p : sample.log_probs) log_prob += p;
    Json json = {{"prompt", flags_.prompt},
                 {"text", sample.text},
                 {"ids", sample.ids},
                 {"tokens", std::move(tokens)},
                 {"logprobs", sample.log_probs},
                 {"logprob", log_prob},
                 {"finish", sample.stopped ? "stop" : "length"}};
    if (flags_.draws()) json["seed"] = flags_.sampling.seed;
    if (samples.size() > 1) json["sample"] = &sample - samples.data();
    return json;
  }

 private:
  void write_text(GeneratedText& sample) {
    if (sample.written == 0 && current_ > 0 && !begun_) print_raw(kBetween);
    begun_ = true;
    if (sample.written < sample.text.size())
      output_.write(sample.text.substr(std::exchange(sample.written, sample.text.size())));
    if (!sample.finished) return;
    output_.end(!sample.text.empty() && !sample.text.ends_with('\n'));
    begun_ = false;
  }

  const GenerateFlags& flags_;
  const Tokenizer& tokenizer_;
  TextOutput output_;
  std::size_t current_ = 0;
  bool begun_ = false;  // the current one
};

/// The lines of a text that are complete and not empty.
std::vector<std::string> sentences_of(std::string_view text) {
  std::vector<std::string> sentences;
  for (std::size_t end = 0; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1))
    if (end > 0) sentences.emplace_back(text.substr(0, end));
  return sentences;
}

void check(const GenerateFlags& flags) {
  require_range("--length", double(flags.length), 1, 1 << 30);
  require_range("--n", double(flags.count), 1, 1 << 16);
  if (flags.beam) require_range("--beam", double(*flags.beam), 1, 1 << 12);
  if (flags.beam && flags.count > *flags.beam)
    throw UsageError(
        fmt::format("--n: got {}, expected at most the {} of --beam", flags.count, *flags.beam));
  try {
    flags.sampling.check();
  } catch (const std::invalid_argument& error) {
    throw UsageError(std::string("--") + error.what());
  }
}

void draw_samples(const GenerateFlags& flags, const LoadedModel& model,
                  const std::vector<std::int32_t>& prompt, SampleOutput& output) {
  SamplingOptions sampling = flags.sampling;
  if (flags.no_unknown)
    sampling.excluded_id = task_of<LanguageModelTask>(model).tokenizer().unk().value_or(-1);
  TokenStates states(model,
                     {.rows = flags.count, .sampler = sampling, .drawn_log_prob = flags.json});
  const std::vector<std::vector<std::int32_t>> prompts(std::size_t(flags.count), prompt);
  output.write();
  generate(states, prompts, flags.length, [&](std::int64_t row, std::int32_t token) {
    GeneratedText& sample = output.samples[std::size_t(row)];
    sample.add(token, flags.json ? double(states.drawn_log_prob(row)) : 0);
    if (std::ssize(sample.ids) == flags.length) sample.finish();
    output.write();
    return !sample.finished;
  });
}

/// A text is complete with the stop string, or without one at the end of a line.
void find_best(const GenerateFlags& flags, const LoadedModel& model,
               const std::vector<std::int32_t>& prompt, SampleOutput& output) {
  TokenStates states(model, {.rows = *flags.beam});
  const Tokenizer& tokenizer = states.tokenizer();
  const auto ends = [&](std::span<const std::int32_t> tokens) {
    if (flags.stop.empty()) return tokens.back() == tokenizer.line_end();
    GeneratedText sample{TokenWriter(tokenizer), TextUntil(flags.stop)};
    sample.writer.begin(flags.prompt);
    for (const std::int32_t token : tokens) sample.add(token, 0);
    return sample.stopped;
  };
  const std::vector<BeamText> texts =
      beam_search(states, prompt,
                  {.length = flags.length,
                   .excluded_id = flags.no_unknown ? tokenizer.unk().value_or(-1) : -1,
                   .ends = ends});
  while (output.samples.size() > texts.size()) output.samples.pop_back();
  for (std::size_t k = 0; k < output.samples.size(); ++k) {
    GeneratedText& sample = output.samples[k];
    for (std::size_t t = 0; t < texts[k].tokens.size(); ++t)
      sample.add(texts[k].tokens[t], texts[k].log_probs[t]);
    sample.finish();
    sample.stopped = texts[k].ended;
  }
  output.write();
}

/// How many sentences the built-in grammar accepts, in all texts.
Json grammar_json(const Truth& truth, const std::vector<GeneratedText>& samples) {
  std::int64_t accepted = 0, complete = 0;
  for (const GeneratedText& sample : samples)
    for (const std::string& sentence : sentences_of(sample.text)) {
      ++complete;
      accepted += truth.accepts(sentence) ? 1 : 0;
    }
  note(fmt::format("{} of {} complete sentences are the built-in grammar's", accepted, complete));
  return {{"sentences", complete}, {"grammatical", accepted}};
}

void run_generate(GenerateFlags flags) {
  if (flags.seed->count() == 0) flags.sampling.seed = fresh_seed();
  check(flags);
  if (!flags.prompt_file.empty()) flags.prompt = read_beginning(flags.prompt_file);
  const LoadedModel model = load_model(flags.checkpoint, flags.device.open(), warn);
  const Tokenizer& tokenizer = task_of<LanguageModelTask>(model).tokenizer();
  note_unvalidated(model);
  if (flags.draws()) note(fmt::format("seed: {}", flags.sampling.seed));
  const Truth truth(model);
  const std::vector<std::int32_t> prompt = text_ids(tokenizer, flags.prompt, warn);
  SampleOutput output(flags, tokenizer);
  (flags.beam ? find_best : draw_samples)(flags, model, prompt, output);
  Json grammar;
  if (truth.applies()) grammar = grammar_json(truth, output.samples);
  if (flags.json && output.samples.size() == 1) {
    Json json = output.json(output.samples[0]);
    if (!grammar.is_null()) json.update(grammar);
    print_json(json);
  }
}

void add_sampling(CLI::App& command, GenerateFlags& flags) {
  CLI::Option* beam = command.add_option(
      "--beam", flags.beam,
      "Draw nothing: the most probable text by token, of so many that are followed side by side");
  flags.seed = command.add_option("--seed", flags.sampling.seed, "Of the draws [a fresh one]");
  const std::vector<CLI::Option*> draws{
      command
          .add_option("--temperature", flags.sampling.temperature,
                      "Below 1 favours probable tokens; 0 always takes the most probable")
          ->capture_default_str(),
      command
          .add_option("--top-k", flags.sampling.top_k, "Only the k most probable tokens; 0: all")
          ->capture_default_str(),
      command
          .add_option("--top-p", flags.sampling.top_p,
                      "Only the most probable tokens that together reach this")
          ->capture_default_str(),
      command
          .add_option("--min-p", flags.sampling.min_p,
                      "Only tokens at least this many times as probable as the most probable")
          ->capture_default_str()};
  beam->excludes(flags.seed);
  for (CLI::Option* option : draws) beam->excludes(option);
}

}  // namespace

void add_generate(CLI::App* command, std::function<void()>& run) {
  auto flags = std::make_shared<GenerateFlags>();
  command->add_option("--checkpoint", flags->checkpoint, "Run folder (its best) or one checkpoint")
      ->required();
  CLI::Option* prompt = command->add_option("--prompt", flags->prompt, "How the text begins");
  command
      ->add_option("--prompt-file", flags->prompt_file,
                   "A file with that, - for stdin; a newline at its end is not read")
      ->excludes(prompt);
  command->add_option("--length", flags->length, "Tokens at most")->capture_default_str();
  command->add_option("--n", flags->count, "So many texts, side by side")->capture_default_str();
  command->add_option("--stop", flags->stop, "A text ends before this string");
  command->add_flag("--no-unk", flags->no_unknown, "Never <unk>");
  add_sampling(*command, *flags);
  command->add_flag("--json", flags->json,
                    "One JSON object a text, with ln P of each token, when it is complete");
  flags->device.add_to(*command);
  command->footer(
      "Text k of --n is the same for any n. Several texts are divided by lines of ---.\n"
      "With --beam a text ends before the stop string, or without one at the end of a line.");
  command->callback([flags, &run] { run = [flags] { run_generate(*flags); }; });
}

}  // namespace unroll::cli
