/// Language models with random parameters, to be asked: small, but with sizes on both sides of a
/// vector register's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host/models/language_model.h"
#include "host/models/model_file.h"
#include "tests/support/language_task.h"

namespace unroll::test {

/// Words w0, w1, ...; characters a, b, ...; bytes; or byte pairs of a few words.
inline Tokenizer asked_tokenizer(TokenizerKind kind = TokenizerKind::kWord) {
  std::string text;
  if (kind == TokenizerKind::kBpe)
    return Tokenizer::build(kind, TextSource("more was worse where more were there\n", "test"),
                            {.max_size = 270});
  if (kind == TokenizerKind::kWord) {
    text = "<eos>\n<unk>\n";
    for (int k = 0; k < 65; ++k) text += "w" + std::to_string(k) + "\n";
  } else if (kind == TokenizerKind::kChar) {
    text = "\\n\n<unk>\n \n";
    for (char c = 'a'; c <= 'z'; ++c) text += std::string(1, c) + "\n";
  }
  return Tokenizer::parse(kind, text, "test");
}

inline LanguageModelConfig asked_config(const Tokenizer& tokenizer,
                                        CellKind cell = CellKind::kLstm) {
  LanguageModelConfig config;
  config.cell = cell;
  config.vocabulary = tokenizer.size();
  config.embedding = 17;
  config.hidden = {33, 31};
  return config;
}

/// Parameters in [-range, range].
inline LoadedModel asked_model(std::shared_ptr<Backend> backend, const LanguageModelConfig& config,
                               const Tokenizer& tokenizer = asked_tokenizer(), double range = 0.5) {
  LoadedModel model{"a test",
                    1,
                    std::make_shared<LanguageModelTask>(config, tokenizer),
                    {"", nullptr, nullptr},
                    std::make_shared<VariableStore>(std::move(backend), 9)};
  for (VariableInfo info : parameters(config)) {
    info.initializer = uniform(-range, range);
    model.store->require(info);
  }
  return model;
}
inline LoadedModel asked_model(std::shared_ptr<Backend> backend) {
  return asked_model(std::move(backend), asked_config(asked_tokenizer()));
}

/// Texts of these lengths.
inline std::vector<std::vector<std::int32_t>> asked_texts(const std::vector<std::size_t>& lengths,
                                                          std::int32_t vocabulary) {
  std::vector<std::vector<std::int32_t>> texts;
  for (const std::size_t length : lengths) {
    std::vector<std::int32_t> text;
    for (std::size_t t = 0; t < length; ++t)
      text.push_back(std::int32_t((7 * t * t + 13 * texts.size() + 3) % std::size_t(vocabulary)));
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace unroll::test
