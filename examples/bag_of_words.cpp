/// Softmax regression on texts as bags of words: which of Shakespeare's characters says this?
/// Usage: bag_of_words data/speeches.tsv
#include <map>
#include <sstream>

#include "examples/common/run.h"
#include "examples/common/table.h"
#include "unroll/unroll.h"

using namespace unroll;

namespace {

struct Speeches {
  std::vector<float> words;  // [N, V]: 1 for each word that is there
  std::vector<std::int64_t> speaker;
};

void learn(const std::string& file) {
  std::map<std::string, std::int64_t> speakers, ids;
  Table table = read_table(file, '\t', 2);  // who, what
  for (auto& row : table) {
    speakers.try_emplace(row.at(0), speakers.size());
    for (char& c : row.at(1)) c = std::isalpha(c) ? char(std::tolower(c)) : ' ';
    std::istringstream words(row[1]);
    for (std::string word; words >> word;) ids.try_emplace(word, ids.size());
  }
  Speeches train, test;
  for (std::size_t n = 0; n < table.size(); ++n) {
    Speeches& speeches = n % 5 == 4 ? test : train;  // every fifth is kept for the test
    speeches.speaker.push_back(speakers[table[n][0]]);
    std::vector<float> bag(ids.size());
    std::istringstream words(table[n][1]);
    for (std::string word; words >> word;) bag[std::size_t(ids[word])] = 1;
    speeches.words.insert(speeches.words.end(), bag.begin(), bag.end());
  }

  Graph graph;
  const auto classes = std::int64_t(speakers.size());
  const Tensor x = graph.placeholder("x", {kOpen, std::int64_t(ids.size())});
  const Tensor speaker = graph.placeholder("speaker", {kOpen}, DType::kInt64);
  const Tensor p = softmax(dense(x, classes, "classifier", {.weight = constant(0)}));
  const Tensor cost = -reduce_mean(reduce_sum(one_hot(speaker, classes) * log(p), 1));
  const Tensor step = GradientDescentOptimizer(0.1).minimize(cost);
  const Tensor right = reduce_mean(cast(equal(argmax(p, 1), speaker), DType::kFloat32));

  Session session(graph, open_device().backend);
  for (int epoch = 1; epoch <= 50; ++epoch)
    session.run({step, cost, right}, {{x, train.words}, {speaker, train.speaker}});
  std::printf("cost %.3f, right %.1f %%", session.read(cost)[0], 100 * session.read(right)[0]);
  session.run(right, {{x, test.words}, {speaker, test.speaker}});
  std::printf("; of the test %.1f %%\n", 100 * session.read(right)[0]);
}

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv, learn);
}
