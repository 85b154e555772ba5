/// Published settings, and the defaults where neither flag nor recipe says otherwise.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "host/cli/train_settings.h"

namespace unroll::cli {

/// --recipe: the defaults below.
inline constexpr const char* kAutoRecipe = "auto";

/// Errors    UsageError if there is no recipe of that name.
TrainSettings recipe(const std::string& name);

/// What the authors of a recipe reached, and the text by whose tokens it is known.
struct PublishedFigures {
  const char* corpus;
  std::int64_t valid_tokens, test_tokens;
  double valid_ppl, test_ppl;
};
/// Nothing if they published none.
std::optional<PublishedFigures> published_figures(const std::string& recipe);

/// What a language model's defaults follow.
struct TextKind {
  static constexpr std::int64_t kPtbBytes = 5'101'618, kPlaysBytes = 1'115'394;

  std::string tokenizer = "word";
  std::int64_t bytes = 0;              // of the training text; 0: the built-in grammar's
  std::optional<std::int64_t> epochs;  // that were asked for

  /// `data`: as --data has it. A text that cannot be read counts as one of the usual size: what is
  /// wrong with it is said where it is read.
  static TextKind of(const std::string& data, const std::string& tokenizer);
  static std::int64_t usual_bytes(const std::string& tokenizer);
};
TrainSettings defaults_for(const TextKind& text);

/// Defaults of --task classify.
TrainSettings classifier_defaults();
/// Defaults of --task tag.
TrainSettings tagger_defaults();
/// Defaults of --task series.
TrainSettings series_defaults();

}  // namespace unroll::cli
