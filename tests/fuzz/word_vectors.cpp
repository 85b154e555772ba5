/// Fuzz target: a file of word vectors. What is accepted is written in word2vec's formats and read
/// back the same.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

#include "host/data/word_vectors.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

std::string bytes_of(float value) {
  std::string bytes;
  for (int k = 0; k < 4; ++k)
    bytes += static_cast<char>(std::bit_cast<std::uint32_t>(value) >> (8 * k) & 0xFF);
  return bytes;
}

void check_read_back(const WordVectors& vectors, bool binary) {
  std::string text = fmt::format("{} {}\n", vectors.words.size(), vectors.dimension);
  const std::vector<std::string> words = vectors.words.words();
  for (std::size_t k = 0; k < words.size(); ++k) {
    if (binary && words[k].find(' ') != std::string::npos) return;  // it has no place for them
    text += words[k] + (binary ? " " : "");
    for (const float value : vectors.row(std::int64_t(k)))
      text += binary ? bytes_of(value) : fmt::format(" {}", value);
    text += '\n';
  }
  const WordVectors again = read_word_vectors(TextSource(text, "again"));
  const bool told_apart =
      again.format == (binary ? VectorFormat::kWord2vecBinary : VectorFormat::kWord2vecText);
  require(told_apart, "the format is known");
  require(again.words.words() == words, "words are read back");
  require(again.values == vectors.values, "numbers are read back");
}

}  // namespace

std::vector<std::string> seeds() {
  const std::string glove = "the 0.5 -1.25 3e-7 4\nNew York +1 2.0 -.125 4\nthe 1 2 3 4\n";
  std::string binary = "2 3\n";
  for (const char* word : {"the", "dog"}) {
    binary += std::string(word) + ' ';
    for (const float value : {0.3F, -1.7F, 1e-3F}) binary += bytes_of(value);
    binary += '\n';
  }
  return {glove,
          "3 4\n" + glove,
          binary,
          "\xEF\xBB\xBF. 1\r\n\xE4\xB8\xAD -1e9\t \r\n",
          "a 1 2\nb nan inf\n",
          "1 1\n1 1"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  const std::string_view text = fuzz::text_of(data, size);
  std::optional<WordVectors> vectors;
  if (!fuzz::accepts([&] { vectors = read_word_vectors(TextSource(text, "vectors")); })) return 0;
  fuzz::require(vectors->dimension >= 1, "vectors have numbers");
  fuzz::require(std::int64_t(vectors->words.size()) * vectors->dimension ==
                    std::int64_t(vectors->values.size()),
                "each word has its numbers");
  fuzz::require(std::ranges::all_of(vectors->values, [](float v) { return std::isfinite(v); }),
                "numbers are finite");
  fuzz::check_read_back(*vectors, false);
  // Few bytes of float32 may look like text, so that only longer vectors are told apart for sure.
  if (vectors->dimension >= 16 && vectors->words.size() > 0) fuzz::check_read_back(*vectors, true);
  return 0;
}
