/// Asks a trained language model: what comes next, how probable a sentence is, and for texts of its
/// own. It links unroll::lm. The model is made before, a good one with
///
///   unroll train --save runs/demo --nhid 192 --emsize 64 --nlayers 1 --dropout 0 --batch-size 64 \
///     --epochs 2 --lr 0.006 --lr-schedule cosine --warmup 100 --clip 1
///   build-examples/language_model runs/demo
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "unroll/language_model.h"

namespace {

/// Says what the model in this run folder knows.
void ask(const std::string& folder) {
  unroll::LanguageModel model = unroll::LanguageModel::load(folder);

  const unroll::NextTokens next = model.next("he ate the cake with the");
  std::printf("P(fork | he ate the cake with the) = %.6f\n", next.probability("fork"));
  for (const unroll::NextToken& word : next.most_probable(3))
    std::printf("  %.6f  %s\n", word.probability, word.token.c_str());

  const unroll::TextScore score = model.score("he ate the cake with the fork .\n");
  std::printf("ln P of the sentence = %.2f, perplexity %.2f\n", score.log_probability,
              score.perplexity());

  std::printf("%s\n", model.generate({.prompt = "the", .length = 20, .top_p = 0.9}).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: language_model RUN_FOLDER\n");
    return 2;
  }
  try {
    ask(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
