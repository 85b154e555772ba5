/// unroll import: a checkpoint from weights that PyTorch trained.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <optional>

#include "host/cli/commands.h"
#include "host/cli/output.h"
#include "host/cli/tokenizer_input.h"
#include "host/cli/values.h"
#include "host/train/import.h"
#include "host/train/run_folder.h"
#include "host/train/training_checkpoint.h"

namespace unroll::cli {
namespace {

struct ImportFlags {
  std::string weights, vocabulary, save, model, gru_reset, lstm_gates, tokenizer;
  std::optional<double> dropout;
};

ImportOptions import_options(const ImportFlags& flags) {
  ImportOptions options;
  if (!flags.model.empty()) options.cell = choose_cell(flags.model);
  if (!flags.gru_reset.empty())
    options.reset = choose<GruReset>("--gru-reset", flags.gru_reset,
                                     {{"before", GruReset::kBefore}, {"after", GruReset::kAfter}});
  if (!flags.lstm_gates.empty()) options.input_gate = choose_input_gate(flags.lstm_gates);
  if (!flags.tokenizer.empty()) options.tokenizer = choose_tokenizer_kind(flags.tokenizer);
  if (flags.dropout && !(*flags.dropout >= 0 && float(*flags.dropout) < 1))
    throw UsageError(
        fmt::format("--dropout: got {}, expected 0 or more and below 1", *flags.dropout));
  options.dropout = flags.dropout;
  return options;
}

ImportedModel read_weights(const ImportFlags& flags, const ImportOptions& options) {
  try {
    return import_weights(SafetensorsFile::read(flags.weights), flags.weights, options, cpu(1));
  } catch (const CellUnknown& error) {
    throw std::runtime_error(fmt::format("{}: expected --model to say it", error.what()));
  }
}

void run_import(const ImportFlags& flags) {
  const ImportOptions options = import_options(flags);
  const RunLock lock(flags.save);
  if (!list_checkpoints(flags.save).empty())
    throw std::runtime_error("--save: " + flags.save +
                             " already holds a run; give another folder or remove this one");
  const ImportedModel model = read_weights(flags, options);
  const std::filesystem::path words =
      flags.vocabulary.empty()
          ? std::filesystem::path(flags.weights)
                .replace_filename(model.tokenizer == TokenizerKind::kBpe ? "tokenizer.json"
                                                                         : "vocab.txt")
          : std::filesystem::path(flags.vocabulary);
  const LanguageModelConfig& config = model.config;
  const Tokenizer tokenizer = read_tokenizer_file(model.tokenizer, words);
  if (tokenizer.size() != config.vocabulary)
    throw std::runtime_error(
        fmt::format("{}: got {} tokens, expected {}, the vocabulary of {}",
                    model.tokenizer == TokenizerKind::kByte ? "a model of bytes" : words.string(),
                    tokenizer.size(), config.vocabulary, flags.weights));
  const LanguageModelTask task(config, tokenizer);
  const RunDescription description{
      "a text that is not recorded", {{"imported_from", flags.weights}}, nullptr};
  const std::filesystem::path checkpoint =
      save_model(flags.save, 0, {task, description, *model.store}, {.best = true});
  for (const std::string& conclusion : model.notes) note(conclusion);
  note(fmt::format("model: {}, {} parameters", task.describe(), parameter_count(task)));
  note("saved: " + checkpoint.string());
}

}  // namespace

void add_import(CLI::App* command, std::function<void()>& run) {
  auto flags = std::make_shared<ImportFlags>();
  command
      ->add_option("--weights", flags->weights,
                   "Safetensors file of a state_dict with encoder, rnn and decoder")
      ->required();
  command->add_option(
      "--vocab", flags->vocabulary,
      "Its tokens, one per line in the order of their ids, or the tokenizer.json of "
      "byte pairs [vocab.txt or tokenizer.json beside the weights]");
  command->add_option("--tokenizer", flags->tokenizer,
                      "What a token is: word, char, byte or bpe [what the file says, else word]");
  command->add_option("--save", flags->save, "Folder for the checkpoint")->required();
  command->add_option("--model", flags->model,
                      "lstm, gru, rnn_tanh, rnn_relu or rnn_logistic [what the file or its shapes "
                      "say; an Elman network's must be said]");
  command->add_option("--gru-reset", flags->gru_reset,
                      "Reset gate before the recurrent product or after it [what the file says, "
                      "else after, as PyTorch]");
  command->add_option("--lstm-gates", flags->lstm_gates,
                      "Input gate of an LSTM: separate, coupled or capped [what the file says, "
                      "else separate; three gates are taken for a gru unless coupled is given]");
  command->add_option("--dropout", flags->dropout,
                      "Rate it was trained with [what the file says, else 0]");
  command->callback([flags, &run] { run = [flags] { run_import(*flags); }; });
}

}  // namespace unroll::cli
