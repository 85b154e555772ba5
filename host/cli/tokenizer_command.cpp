/// unroll tokenizer train: learns a byte-pair encoding from a text.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "host/base/interrupted.h"
#include "host/cli/commands.h"
#include "host/cli/output.h"
#include "host/cli/signals.h"
#include "host/cli/values.h"
#include "host/data/bpe_training.h"
#include "host/data/text_files.h"
#include "host/data/tokenizer.h"

namespace unroll::cli {
namespace {

struct TokenizerTrainFlags {
  std::string data, output = "tokenizer.json";
  std::int64_t size = 8000;
};

void run_tokenizer_train(const TokenizerTrainFlags& flags) {
  require_range("--size", double(flags.size), double(kFewestBpeTokens), double(kMostBpeTokens));
  TextSource text(find_texts(flags.data).front());
  text.stop_by(&catch_stop_signals());
  try {
    const Tokenizer tokenizer =
        Tokenizer::build(TokenizerKind::kBpe, std::move(text), {.max_size = flags.size});
    if (tokenizer.size() < flags.size)
      warn(fmt::format("the text has no more pairs: got {} tokens, expected {}", tokenizer.size(),
                       flags.size));
    replace_file(flags.output, tokenizer.vocabulary_text());
  } catch (const Interrupted&) {
    throw Stopped(stop_signal(), "stopped; nothing has been written");
  }
  note("saved: " + flags.output);
}

}  // namespace

void add_tokenizer(CLI::App* command, std::function<void()>& run) {
  const auto flags = std::make_shared<TokenizerTrainFlags>();
  command->require_subcommand(1);
  CLI::App* const train =
      command->add_subcommand("train", "Learn byte pairs from a text: a tokenizer.json");
  train->add_option("--data", flags->data, "File with text, or folder whose train.txt is the text")
      ->required();
  train->add_option("--size", flags->size, "Tokens, the 256 bytes among them")
      ->capture_default_str();
  train->add_option("--output", flags->output, "The file to write")->capture_default_str();
  train->callback([flags, &run] { run = [flags] { run_tokenizer_train(*flags); }; });
}

}  // namespace unroll::cli
