/// Small taggers for tests: sentences whose tags follow from the word before and from a word's end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host/data/tagged_corpus.h"
#include "host/data/word_vectors.h"
#include "host/models/sequence_tagger.h"
#include "tests/support/random.h"

namespace unroll::test {

/// Lines of word and tag. "duck" is a verb after "they" and else a noun; "the" and "they" are what
/// they are; other words are new names that end in "s" (a noun) or "ing" (a verb).
inline std::string tagged_lines(std::int64_t sentences, std::uint64_t seed) {
  Random random(seed);
  std::string text;
  for (std::int64_t k = 0; k < sentences; ++k) {
    bool after_they = false;
    for (std::int32_t word = random.integer(2, 9); word > 0; --word) {
      const std::int32_t kind = random.integer(0, 5);
      const std::string name(1, char('a' + random.integer(0, 20)));
      if (kind == 0) text += "the\tDET\n";
      if (kind == 1) text += "they\tPRON\n";
      if (kind == 2) text += after_they ? "duck\tVERB\n" : "duck\tNOUN\n";
      if (kind == 3) text += "r" + name + "ls\tNOUN\n";
      if (kind == 4) text += "r" + name + "ling\tVERB\n";
      after_they = kind == 1;
    }
    text += "\n";
  }
  return text;
}

inline TaggedCorpus tagged_corpus(std::int64_t sentences,
                                  std::shared_ptr<const WordVectors> vectors = nullptr) {
  const std::string train = tagged_lines(sentences, 1), valid = tagged_lines(21, 2),
                    test = tagged_lines(23, 3);
  const auto source = [](const std::string& text, const char* name) {
    return TaggedSource{TextSource(text, name), TaggedFormat::kTwoColumns};
  };
  return read_tagged_corpus(
      TaggedSources{source(train, "train"), source(valid, "valid"), source(test, "test")}, "sample",
      {.vectors = std::move(vectors)});
}

/// Vectors of 8 numbers for some of the words, and for one that no sentence has.
inline std::shared_ptr<const WordVectors> few_vectors() {
  const std::string text =
      "the 1 0 0 0 0.5 0 0 0\nthey 0 1 0 0 0 0.25 0 0\nraling 0 0 1 0 0 0 0.5 0\n"
      "absent 0 0 0 1 0 0 0 0.125\n";
  return std::make_shared<const WordVectors>(read_word_vectors(TextSource(text, "vectors")));
}

/// A small tagger of these sentences.
struct SmallTagger {
  bool crf = false;
  std::int64_t char_hidden = 6;
  bool vectors = false, frozen = false;
  std::int64_t sentences = 37;

  std::string name() const {
    return std::string(crf ? "crf" : "softmax") + (char_hidden > 0 ? " characters" : "") +
           (vectors ? " vectors" : "") + (frozen ? " frozen" : "");
  }
  TaggedCorpus corpus() const {
    return tagged_corpus(sentences, vectors ? few_vectors() : nullptr);
  }
  std::shared_ptr<const SequenceTagger> task(const TaggedCorpus& corpus) const {
    SequenceTaggerConfig config;
    config.vocabulary = corpus.vocabulary->words.size();
    config.embedding = 8;
    config.hidden = {8};
    config.directions = 2;
    config.dropout = 0.2;
    config.tags = corpus.vocabulary->tags.size();
    config.crf = crf;
    config.frozen = frozen;
    config.char_hidden = char_hidden;
    if (char_hidden > 0) {
      config.characters = corpus.vocabulary->characters.size();
      config.char_embedding = 4;
    }
    return std::make_shared<const SequenceTagger>(config, corpus.vocabulary,
                                                  vectors ? few_vectors() : nullptr);
  }
};

inline const std::vector<SmallTagger> kSmallTaggers{
    {.char_hidden = 0},
    {},
    {.crf = true},
    {.vectors = true},
    {.crf = true, .vectors = true, .frozen = true},
};

}  // namespace unroll::test
