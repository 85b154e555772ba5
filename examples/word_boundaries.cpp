/// Where words begin, from letters only (Elman 1990): a network that guesses the next letter of
/// sentences without spaces errs most at the first letter of a word. Usage: word_boundaries [SVG]
#include <cctype>
#include <cstdio>
#include <random>

#include "examples/common/line_chart.h"
#include "examples/common/run.h"
#include "unroll/unroll.h"

using namespace unroll;
constexpr int kSteps = 40, kBatch = 32, kLetters = 26;

/// Sentences such as "ABoySeesTheDog", where a capital shows what the network does not see.
std::string sentences(std::mt19937& random) {
  const std::vector<std::string> articles{"A", "The", "Every"}, verbs{"Sees", "Seeks", "Likes"},
      nouns{"Boy", "Bird", "Girl", "Goat", "Dog", "Duck", "Horse", "Cat", "Camel", "King"};
  std::string text;
  while (text.size() <= kSteps)
    for (const auto& words : {articles, nouns, verbs, articles, nouns})
      text += words[random() % words.size()];
  return text;
}

void learn(const std::string& chart) {
  Graph graph;
  const Tensor ids = graph.placeholder("letters", {kSteps + 1, kBatch}, DType::kInt32);
  const Tensor letters = one_hot(ids, kLetters), y = slice(letters, 0, 1);
  const RecurrentSpec spec{.cell = CellKind::kRnnTanh, .hidden = {30}};
  const auto weights = recurrent_weights(graph, spec, kLetters);
  const auto rnn = recurrent(spec, {.x = slice(letters, 0, 0, kSteps), .weights = weights});
  const Tensor error = -reduce_sum(y * log_softmax(dense(rnn.y, kLetters, "next")), -1);
  const Tensor step = AdamOptimizer(0.01).minimize(reduce_mean(error));

  Session session(graph, open_device().backend, 1);
  std::mt19937 random(1);
  std::string texts[kBatch];
  for (int iteration = 0; iteration < 1'000; ++iteration) {
    for (std::string& text : texts) text = sentences(random);
    std::vector<std::int32_t> batch;
    for (std::size_t t = 0; t <= kSteps; ++t)
      for (const std::string& text : texts) batch.push_back(std::tolower(text[t]) - 'a');
    session.run({error, step}, {{ids, batch}});
  }
  const std::vector<float> errors = session.read(error);
  Line line{"nats", {}};  // of the first text, which was new to the network
  for (std::size_t t = 1; t <= kSteps; ++t) {
    line.y.push_back(errors[(t - 1) * kBatch]);
    line.at.emplace_back(1, texts[0][t]);
    std::printf("%c %.2f%s", texts[0][t], line.y.back(),
                std::isupper(texts[0][t + 1]) ? "\n" : " ");
  }
  write_line_chart(chart, "The error of the next letter peaks where words begin", {line});
}

int main(int argc, char** argv) {
  return run(argc, argv, learn);
}
