/// Logistic regression on bags of words, for comparison with a model that reads texts in order.
/// Prints the accuracy on each of the three tables, a line per seed.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>

#include "benchmarks/bag_of_words.h"
#include "benchmarks/program.h"

namespace unroll::benchmark {
namespace {

struct Options {
  std::string data;
  std::uint64_t seeds = 3;
  int threads = 0;
  BagOfWordsOptions model;
};

void run(const Options& o) {
  const LabelledTexts texts = read_labelled_texts(o.data, {});
  for (std::uint64_t seed = 1; seed <= o.seeds; ++seed) {
    BagOfWordsOptions options = o.model;
    options.seed = seed;
    BagOfWords model(texts, options, cpu(o.threads));
    model.train(*texts.train);
    const auto accuracy = [&](const LabelledSplit& split) {
      const std::int64_t hits = count_hits(split, model.predict(split));
      return fmt::format("{:.4f} ({} of {})", double(hits) / double(split.size()), hits,
                         split.size());
    };
    fmt::print("bag of words, seed {}: accuracy train {} | valid {} | test {}\n", seed,
               accuracy(*texts.train), accuracy(*texts.valid), accuracy(*texts.test));
  }
}

}  // namespace
}  // namespace unroll::benchmark

int main(int argc, char** argv) {
  unroll::benchmark::Options options;
  CLI::App app("Trains a logistic regression on bags of words.");
  app.add_option("data", options.data, "Folder with train.tsv, valid.tsv and test.tsv")->required();
  app.add_option("--seeds", options.seeds, "Runs, with seeds 1, 2, ...")->capture_default_str();
  app.add_option("--epochs", options.model.epochs)->capture_default_str();
  app.add_option("--lr", options.model.learning_rate)->capture_default_str();
  app.add_option("--threads", options.threads)->check(CLI::NonNegativeNumber);
  CLI11_PARSE(app, argc, argv);
  return unroll::benchmark::exit_status_of([&] { unroll::benchmark::run(options); });
}
