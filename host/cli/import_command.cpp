/// unroll import: a checkpoint from weights that PyTorch trained.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/cli/commands.h"
#include "host/cli/output.h"
#include "host/cli/tokenizer_input.h"
#include "host/cli/values.h"
#include "host/train/foreign_vocabulary.h"
#include "host/train/import.h"
#include "host/train/run_folder.h"
#include "host/train/training_checkpoint.h"

namespace unroll::cli {
namespace {

struct ImportFlags {
  std::string weights, vocabulary, save, model, gru_reset, lstm_gates, tokenizer, start;
  SpecialTokens special;
  std::vector<std::string> names;  // OLD=NEW
  std::optional<double> dropout;
};

TensorNameMap name_map(const std::vector<std::string>& names) {
  TensorNameMap map;
  for (const std::string& entry : names) {
    const std::size_t equals = entry.find('=');
    std::string from = entry.substr(0, equals), to;
    if (equals != entry.npos) to = entry.substr(equals + 1);
    if (from.empty() || to.empty())
      throw UsageError(
          fmt::format("--map: got {}, expected OLD=NEW, as in lstm=rnn", in_quotes(entry)));
    map.emplace_back(std::move(from), std::move(to));
  }
  return map;
}

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
  options.names = name_map(flags.names);
  return options;
}

ImportedModel read_weights(const ImportFlags& flags, const ImportOptions& options) {
  try {
    return import_weights(SafetensorsFile::read(flags.weights), flags.weights, options, cpu(1));
  } catch (const CellUnknown& error) {
    throw std::runtime_error(fmt::format("{}: expected --model to say it", error.what()));
  } catch (const TensorMissing& error) {
    throw std::runtime_error(
        fmt::format("{} (--map OLD=NEW gives tensors other names)", error.what()));
  }
}

/// The file of the model's tokens. Those of bytes and byte pairs say themselves what is special.
Tokenizer read_vocabulary(const ImportFlags& flags, const ImportedModel& model,
                          const std::filesystem::path& file) {
  const TokenizerKind kind = model.tokenizer;
  const bool is_list = kind == TokenizerKind::kWord || kind == TokenizerKind::kChar;
  if (!is_list && !(flags.special.unknown + flags.special.line_end + flags.start).empty())
    throw std::runtime_error(
        fmt::format("--unk, --eos, --start: got one for a model of the tokenizer {}, expected word "
                    "or char",
                    to_string(kind)));
  if (!is_list) return read_tokenizer_file(kind, file);
  const Tokenizer tokenizer = read_tokenizer_file(kind, file, [&](std::string_view text) {
    return our_vocabulary(text, kind, flags.special, file.string());
  });
  // One of these may have been the name of the token.
  std::string start = flags.start.empty() ? model.start : flags.start;
  if (start.empty() || start == flags.special.line_end) return tokenizer;
  if (start == flags.special.unknown) start = Vocabulary::kUnk;
  try {
    return tokenizer.starting_after(start);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(fmt::format("{}: {}", file.string(), error.what()));
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
  const Tokenizer tokenizer = read_vocabulary(flags, model, words);
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
  command
      ->add_option(
          "--map", flags->names,
          "OLD=NEW: the beginning of tensors' names, up to a point or the end, and what it "
          "is here, as lstm=rnn; more than one may be given. module., _orig_mod. and "
          "model. are left out without")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--unk", flags->special.unknown,
                      "What the vocabulary calls the token of unknown words [<unk>]");
  command->add_option("--eos", flags->special.line_end,
                      "What it calls the end of a line [<eos>; of characters \\n]");
  command->add_option("--start", flags->start,
                      "The token that the model has read before a text begins [the end of a line]");
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
