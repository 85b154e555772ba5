#include "host/cli/initial_model.h"

#include <fmt/format.h>

#include <stdexcept>

namespace unroll::cli {

InitialModel::InitialModel(const Checkpoint& checkpoint) : name(checkpoint.directory.string()) {
  const std::shared_ptr<const Task> read = read_task(checkpoint);
  task = std::dynamic_pointer_cast<const LanguageModelTask>(read);
  if (!task)
    throw std::runtime_error(
        fmt::format("--init-from: {}: got a model of the task {}, expected {}: no other can be "
                    "trained further with new texts",
                    name, read->name(), LanguageModelTask::kName));
}

std::string InitialModel::tokenizer() const {
  const TokenizerKind kind = task->tokenizer().kind();
  return kind == TokenizerKind::kBpe ? name + "/tokenizer.json" : to_string(kind);
}

void InitialModel::write_to(TrainSettings& settings) const {
  const LanguageModelConfig& config = task->config();
  settings.tokenizer = tokenizer();
  settings.vocab_size = 0;
  settings.min_count = 1;
  settings.model = unroll::to_string(config.cell);
  settings.gru_reset = config.reset == GruReset::kBefore ? "before" : "after";
  settings.lstm_gates = to_string(config.input_gate);
  settings.layer_norm = config.layer_norm;
  settings.emsize = config.embedding;
  settings.nhid = config.hidden;
  settings.nlayers = std::int64_t(config.hidden.size());
  settings.proj = config.projection;
  settings.dropout = config.dropout;
  settings.tied = config.tied;
  settings.init_range = 0;
  settings.forget_bias.reset();
}

}  // namespace unroll::cli
