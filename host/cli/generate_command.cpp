/// unroll generate: text drawn from a model, as it is drawn.
#include <fmt/format.h>
#include <unistd.h>

#include <memory>

#include "host/cli/commands.h"
#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/cli/terminal.h"
#include "host/cli/token_json.h"
#include "host/cli/truth.h"
#include "host/cli/values.h"
#include "host/infer/generate.h"
#include "host/infer/text_ids.h"

namespace unroll::cli {
namespace {

struct GenerateFlags {
  std::string checkpoint, prompt;
  std::int64_t length = 100;
  SamplingOptions sampling{.seed = 1111};
  bool json = false;
  DeviceFlags device;
};

/// A file or a pipe gets the bytes as they were drawn; a terminal gets them escaped.
class TextOutput {
 public:
  void write(const std::string& piece) { print_raw(is_terminal_ ? text_.next(piece) : piece); }
  void end(bool in_line) { print_raw(text_.rest() + (in_line ? "\n" : "")); }

 private:
  const bool is_terminal_ = ::isatty(STDOUT_FILENO) == 1;
  TerminalText text_;
};

/// The lines of a text that are complete and not empty.
std::vector<std::string> sentences_of(std::string_view text) {
  std::vector<std::string> sentences;
  for (std::size_t end = 0; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1))
    if (end > 0) sentences.emplace_back(text.substr(0, end));
  return sentences;
}

void run_generate(const GenerateFlags& flags) {
  require_range("--length", double(flags.length), 1, 1 << 30);
  try {
    flags.sampling.check();
  } catch (const std::invalid_argument& error) {
    throw UsageError(std::string("--") + error.what());
  }
  const LoadedModel model = load_model(flags.checkpoint, flags.device.open(), warn);
  const Tokenizer& tokenizer = task_of<LanguageModelTask>(model).tokenizer();
  const Truth truth(model);
  TokenStates states(model, {.sampler = flags.sampling});
  const std::vector<std::int32_t> prompt = text_ids(tokenizer, flags.prompt, warn);

  TokenWriter writer(tokenizer);
  TextOutput output;
  std::string text;
  Json ids = Json::array(), tokens = Json::array();
  const auto write = [&](const std::string& piece) {
    text += piece;
    if (!flags.json) output.write(piece);
  };
  write(writer.begin(flags.prompt));
  generate(states, std::span(&prompt, 1), flags.length, [&](std::int64_t, std::int32_t token) {
    write(writer.next(token));
    ids.push_back(token);
    tokens.push_back(json_text(tokenizer, token));
  });
  if (!flags.json) output.end(writer.in_line());

  Json json = {{"prompt", flags.prompt}, {"text", text}, {"ids", ids}, {"tokens", tokens}};
  if (truth.applies()) {
    std::int64_t accepted = 0;
    const std::vector<std::string> sentences = sentences_of(text);
    for (const std::string& sentence : sentences) accepted += truth.accepts(sentence) ? 1 : 0;
    json["sentences"] = sentences.size();
    json["grammatical"] = accepted;
    note(fmt::format("{} of {} complete sentences are the built-in grammar's", accepted,
                     sentences.size()));
  }
  if (flags.json) print_json(json);
}

}  // namespace

void add_generate(CLI::App* command, std::function<void()>& run) {
  auto flags = std::make_shared<GenerateFlags>();
  command->add_option("--checkpoint", flags->checkpoint, "Run folder (its best) or one checkpoint")
      ->required();
  command->add_option("--prompt", flags->prompt, "How the text begins");
  command->add_option("--length", flags->length, "Tokens to draw")->capture_default_str();
  command
      ->add_option("--temperature", flags->sampling.temperature,
                   "Below 1 favours probable tokens; 0 always takes the most probable")
      ->capture_default_str();
  command->add_option("--top-k", flags->sampling.top_k, "Only the k most probable tokens; 0: all")
      ->capture_default_str();
  command
      ->add_option("--top-p", flags->sampling.top_p,
                   "Only the most probable tokens that together reach this")
      ->capture_default_str();
  command->add_option("--seed", flags->sampling.seed, "Of the draws")->capture_default_str();
  command->add_flag("--json", flags->json, "One JSON object at the end");
  flags->device.add_to(*command);
  command->callback([flags, &run] { run = [flags] { run_generate(*flags); }; });
}

}  // namespace unroll::cli
