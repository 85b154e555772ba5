/// Makes a classification task of texts with one sentence per line, such as the Penn Treebank: each
/// sentence as it is, and with two neighbours exchanged. Both are in the same split. The same texts
/// give the same bytes on every machine.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "benchmarks/program.h"
#include "benchmarks/word_order.h"
#include "host/data/text_files.h"
#include "host/data/text_reader.h"

namespace unroll::benchmark {
namespace {

constexpr std::uint64_t kSeed = 1;

struct Options {
  std::string input, output;
  std::int64_t sentences = 0;
};

void make_table(const std::filesystem::path& text, const Options& o) {
  const std::string split = text.stem().string();
  const std::filesystem::path table = std::filesystem::path(o.output) / (split + ".tsv");
  const std::uint64_t key = math::philox_key(kSeed, ("word_order/" + split).c_str());
  std::ofstream out(table, std::ios::binary);
  std::int64_t lines = 0, used = 0;
  std::vector<std::string> words;
  TextReader reader{TextSource(text)};
  while (const auto word = reader.next()) {
    if (!word->empty()) {
      words.emplace_back(*word);
      continue;
    }
    const std::string pair = word_order_lines(words, key, std::uint64_t(lines));
    words.clear();
    ++lines;
    out << pair;
    used += pair.empty() ? 0 : 1;
    if (used == o.sentences) break;
  }
  out.close();
  if (!out) throw std::runtime_error(table.string() + ": cannot be written");
  fmt::print("{}: {} of {} sentences, each twice\n", table.string(), used, lines);
}

void run(const Options& o) {
  const std::vector<std::filesystem::path> texts = find_texts(o.input);
  if (texts.size() != 3)
    throw std::runtime_error(o.input + ": is a file, expected a folder of three texts");
  std::filesystem::create_directories(o.output);
  for (const std::filesystem::path& text : texts) make_table(text, o);
}

}  // namespace
}  // namespace unroll::benchmark

int main(int argc, char** argv) {
  unroll::benchmark::Options options;
  CLI::App app(
      "Makes train.tsv, valid.tsv and test.tsv: sentences, and the same with two words exchanged.");
  app.add_option("input", options.input, "Folder with train.txt, valid.txt and test.txt")
      ->required();
  app.add_option("output", options.output, "Folder for the tables")->required();
  app.add_option("--sentences", options.sentences, "At most so many of each text; 0: all")
      ->check(CLI::NonNegativeNumber);
  CLI11_PARSE(app, argc, argv);
  return unroll::benchmark::exit_status_of([&] { unroll::benchmark::run(options); });
}
