/// How fast a byte-pair encoding reads a text: learns one from the text, or reads a tokenizer.json,
/// and prints megabytes of text per second of processor time, best of --samples.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

#include "benchmarks/program.h"
#include "host/data/tokenizer.h"

namespace unroll::benchmark {
namespace {

struct Options {
  std::string data, tokenizer;
  std::int64_t size = 8000;
  int samples = 5;
};

std::string content(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error(file + ": cannot be opened");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

template <typename Body>
double seconds(Body&& body) {
  const std::clock_t begin = std::clock();
  body();
  return double(std::clock() - begin) / CLOCKS_PER_SEC;
}

void run(const Options& o) {
  const std::string text = content(o.data);
  const double megabytes = double(text.size()) / 1e6;
  Tokenizer tokenizer;
  if (o.tokenizer.empty()) {
    const double learning = seconds([&] {
      tokenizer =
          Tokenizer::build(TokenizerKind::kBpe, TextSource(text, o.data), {.max_size = o.size});
    });
    fmt::print("learning {} tokens: {:.2f} s for {:.1f} MB\n", tokenizer.size(), learning,
               megabytes);
  } else {
    tokenizer = Tokenizer::parse(TokenizerKind::kBpe, content(o.tokenizer), o.tokenizer);
  }
  double best = std::numeric_limits<double>::max();
  TextStatistics statistics;
  for (int k = 0; k < o.samples; ++k)
    best = std::min(best, seconds([&] {
                      statistics = tokenizer.encode(TextSource(text, o.data), [](auto) {});
                    }));
  fmt::print("encoding: {:.1f} MB/s, {:.2f} bytes a token\n", megabytes / best,
             double(text.size()) / double(statistics.tokens));
}

}  // namespace
}  // namespace unroll::benchmark

int main(int argc, char** argv) {
  CLI::App app("How fast a byte-pair encoding reads a text.");
  unroll::benchmark::Options options;
  app.add_option("--data", options.data, "File with text")->required();
  app.add_option("--tokenizer", options.tokenizer, "tokenizer.json [learnt from the text]");
  app.add_option("--size", options.size, "Tokens to learn")->capture_default_str();
  app.add_option("--samples", options.samples, "Passes over the text")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return unroll::benchmark::exit_status_of([&] { unroll::benchmark::run(options); });
}
