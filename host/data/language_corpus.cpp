#include "host/data/language_corpus.h"

#include <sstream>

#include "host/data/grammar.h"

namespace unroll {
namespace {

struct Sample {
  std::uint64_t seed;
  std::int64_t sentences;
};
constexpr Sample kTrain{1, 300000}, kValid{2, 5000}, kTest{3, 10000};

std::string sample(const Sample& s) {
  return Grammar::english().sample(s.seed, s.sentences);
}

}  // namespace

LanguageCorpus read_language_corpus(const std::filesystem::path& folder,
                                    const Vocabulary::Limits& limits) {
  const TextDirectory files = read_text_directory(folder);
  Vocabulary vocabulary = Vocabulary::build(files.train, limits);
  TokenText train = read_tokens(files.train, vocabulary);
  TokenText valid = read_tokens(files.valid, vocabulary);
  TokenText test = read_tokens(files.test, vocabulary);
  return {std::move(vocabulary), std::move(train), std::move(valid), std::move(test)};
}

LanguageCorpus built_in_corpus(const Vocabulary::Limits& limits) {
  const std::string train = sample(kTrain);
  std::istringstream stream(train);
  Vocabulary vocabulary = Vocabulary::build(stream, "the built-in corpus", limits);
  TokenText train_tokens = tokenize(train, vocabulary);
  TokenText valid = tokenize(sample(kValid), vocabulary);
  TokenText test = tokenize(sample(kTest), vocabulary);
  return {std::move(vocabulary), std::move(train_tokens), std::move(valid), std::move(test)};
}

std::string built_in_test_text() {
  return sample(kTest);
}

}  // namespace unroll
