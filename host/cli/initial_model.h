/// --init-from: a new run whose parameters start as those of a finished or imported model.
#pragma once

#include <memory>
#include <string>

#include "host/cli/train_settings.h"
#include "host/models/checkpoint.h"
#include "host/models/language_model.h"

namespace unroll::cli {

struct InitialModel {
  std::shared_ptr<const LanguageModelTask> task;
  std::string name;  // of its checkpoint, in messages

  /// Errors    std::runtime_error if the checkpoint holds another task than a language model.
  explicit InitialModel(const Checkpoint& checkpoint);

  /// Its tokens as TrainSettings::tokenizer names them: of byte pairs, their file.
  std::string tokenizer() const;
  /// Makes the settings those of this model, where they say what it is.
  void write_to(TrainSettings& settings) const;
};

}  // namespace unroll::cli
