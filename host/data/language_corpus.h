/// The three texts of a language-modelling run as token ids, with the vocabulary of the first.
#pragma once

#include <filesystem>
#include <string>

#include "host/data/corpus.h"
#include "host/data/vocabulary.h"

namespace unroll {

struct LanguageCorpus {
  Vocabulary vocabulary;
  TokenText train, valid, test;
};

/// Errors    std::runtime_error as read_text_directory(), Vocabulary::build() and read_tokens().
LanguageCorpus read_language_corpus(const std::filesystem::path& folder,
                                    const Vocabulary::Limits& limits);

/// Samples of Grammar::english(): always the same three texts.
LanguageCorpus built_in_corpus(const Vocabulary::Limits& limits);

/// The held-out text of built_in_corpus(), on which a model is compared with the grammar.
std::string built_in_test_text();

}  // namespace unroll
