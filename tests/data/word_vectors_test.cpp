#include "host/data/word_vectors.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "host/base/interrupted.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Strings = std::vector<std::string>;
using Floats = std::vector<float>;

std::string bytes_of_floats(const Floats& values) {
  std::string bytes;
  for (const float value : values)
    for (int k = 0; k < 4; ++k)
      bytes += static_cast<char>(std::bit_cast<std::uint32_t>(value) >> (8 * k) & 0xFF);
  return bytes;
}

WordVectors word_vectors_of(const std::string& text, const WordVectorsOptions& options = {}) {
  return read_word_vectors(TextSource(text, "vectors"), options);
}

std::string vectors_error(const std::string& text, std::int64_t dimension = 0) {
  return error_of<std::runtime_error>([&] { word_vectors_of(text, {.dimension = dimension}); });
}

/// "the" and "New" with three numbers each, in each of the formats.
const Floats kValues{0.5F, -1.25F, 3e-7F, 1, 2, -0.125F};
std::string glove() {
  return "the 0.5 -1.25 3e-7\nNew +1 2.0 -.125\n";
}
std::string word2vec_text() {
  return "2 3\n" + glove();
}
std::string word2vec_binary(const std::string& end = "\n") {
  return "2 3\nthe " + bytes_of_floats({0.5F, -1.25F, 3e-7F}) + end + "New " +
         bytes_of_floats({1, 2, -0.125F}) + end;
}

TEST(WordVectors, FormatsAreToldApart) {
  const auto expect = [](const std::string& text, VectorFormat format) {
    SCOPED_TRACE(to_string(format));
    const WordVectors vectors = word_vectors_of(text);
    EXPECT_EQ(vectors.format, format);
    EXPECT_EQ(vectors.dimension, 3);
    EXPECT_EQ(vectors.words.words(), (Strings{"the", "New"}));
    EXPECT_EQ(vectors.values, kValues);
    EXPECT_EQ(vectors.repeated, 0);
    EXPECT_EQ(vectors.name, "vectors");
    EXPECT_EQ(vectors.row(1)[2], -0.125F);
  };
  expect(glove(), VectorFormat::kGloveText);
  expect(word2vec_text(), VectorFormat::kWord2vecText);
  expect(word2vec_binary(), VectorFormat::kWord2vecBinary);
  expect(word2vec_binary(""), VectorFormat::kWord2vecBinary);
  EXPECT_NE(word_vectors_of(glove()).fingerprint, word_vectors_of(word2vec_text()).fingerprint);
  EXPECT_EQ(word_vectors_of(glove()).fingerprint, word_vectors_of(glove()).fingerprint);
}

TEST(WordVectors, LineEndsAndBlanksAreTolerated) {
  EXPECT_EQ(word_vectors_of("\xEF\xBB\xBFthe\t0.5  -1.25 3e-7 \r\nNew 1 2 -0.125").values, kValues);
  EXPECT_EQ(word_vectors_of("2 3 \r\nthe 0.5 -1.25 3e-7 \r\nNew 1 2 -0.125 \r\n").values, kValues);
}

TEST(WordVectors, AWordMayHaveBlanksIfItIsNoNumberThere) {
  const WordVectors vectors = word_vectors_of("the 1 2\n. . . 3 4\nNew York 5 6\nat 7 a@b 7 8\n");
  EXPECT_EQ(vectors.words.words(), (Strings{"the", ". . .", "New York", "at 7 a@b"}));
  EXPECT_EQ(vectors.values, (Floats{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(vectors_error("the 1 2\nNew 5 6 7\n"),
            "vectors: line 2: got 3 numbers after the word, expected 2");
}

TEST(WordVectors, OfARepeatedWordTheFirstCounts) {
  for (const std::string& text :
       {std::string("a 1\nb 2\na 3\nb 4\nc 5\n"),
        "5 1\na " + bytes_of_floats({1}) + "b " + bytes_of_floats({2}) + "a " +
            bytes_of_floats({3}) + "b " + bytes_of_floats({4}) + "c " + bytes_of_floats({5})}) {
    const WordVectors vectors = word_vectors_of(text);
    EXPECT_EQ(vectors.words.words(), (Strings{"a", "b", "c"}));
    EXPECT_EQ(vectors.values, (Floats{1, 2, 5}));
    EXPECT_EQ(vectors.repeated, 2);
  }
}

TEST(WordVectors, SomeWordsMayBeLeftOut) {
  const WordVectors vectors = word_vectors_of(
      "a 1\nb 2\nc 3\n", {.wanted = [](std::string_view word) { return word != "b"; }});
  EXPECT_EQ(vectors.words.words(), (Strings{"a", "c"}));
  EXPECT_EQ(vectors.values, (Floats{1, 3}));
}

TEST(WordVectors, NumbersAreReadToTheLastBit) {
  EXPECT_EQ(word_vectors_of("a 0.1 16777217 1e-45 3.4028234e38 1e-60 -1e-400\n").values,
            (Floats{0.1F, 16777216, std::numeric_limits<float>::denorm_min(),
                    std::numeric_limits<float>::max(), 0, -0.0F}));
}

TEST(WordVectors, AnotherDimensionIsNamed) {
  const std::string expected = "got vectors of 3 numbers, expected 200";
  EXPECT_EQ(vectors_error(glove(), 3), "no exception");
  EXPECT_EQ(vectors_error(glove(), 200), "vectors: line 1: " + expected);
  EXPECT_EQ(vectors_error(word2vec_text(), 200), "vectors: line 1: " + expected);
  EXPECT_EQ(vectors_error(word2vec_binary(), 200), "vectors: " + expected);
  for (const char* none : {"the\n", "2 0\nthe\nNew\n"})
    EXPECT_EQ(vectors_error(none),
              "vectors: line 1: got vectors of 0 numbers, expected 1 to 65536");
  EXPECT_EQ(vectors_error("1 65537\na 1\n"),
            "vectors: line 1: got vectors of 65537 numbers, expected 1 to 65536");
}

TEST(WordVectors, BrokenLinesAreNamed) {
  EXPECT_EQ(vectors_error(""), "vectors: is empty, expected words with vectors");
  EXPECT_EQ(vectors_error(" \n"), "vectors: line 1: is empty, expected a word with its vector");
  EXPECT_EQ(vectors_error("a 1 2\nb 3\n"),
            "vectors: line 2: got 1 number after the word, expected 2");
  EXPECT_EQ(vectors_error("a 1 2\nb\n"),
            "vectors: line 2: got 0 numbers after the word, expected 2");
  EXPECT_EQ(vectors_error("a 1 2\n\nb 1 2\n"),
            "vectors: line 2: is empty, expected a word with its vector");
  EXPECT_EQ(vectors_error("a 1 2\nb 3 x\n"),
            "vectors: line 2: number 2: got 'x', expected a number");
  EXPECT_EQ(vectors_error("a 1 2\nb 3 4x\n"),
            "vectors: line 2: number 2: got '4x', expected a number");
  EXPECT_EQ(vectors_error("a 1 2\nb 3 0x4\n"),
            "vectors: line 2: number 2: got '0x4', expected a number");
  EXPECT_EQ(vectors_error("a 1 2\nb c 3 x\n"),
            "vectors: line 2: number 2: got 'x', expected a number");
  EXPECT_EQ(vectors_error("a 1 2\n 1 3 4\n"),
            "vectors: line 2: got no word at its beginning, expected one before the numbers");
  EXPECT_EQ(vectors_error("a 1 x\n"), "vectors: line 1: number 2: got 'x', expected a number");
  for (const char* bad : {"nan", "-NaN", "inf", "-infinity", "1e39", "-1e400"})
    EXPECT_TRUE(contains(vectors_error("a 1 2\nb 3 " + std::string(bad) + "\n"),
                         "expected a finite number of float32"))
        << bad;
  EXPECT_EQ(vectors_error("a 1 2\nb 3 nan\n"),
            "vectors: line 2: number 2: got nan, expected a finite number of float32");
  EXPECT_EQ(vectors_error("a 1\n\xFF 2\n"),
            "vectors: line 2: byte 1: got byte 0xFF, expected UTF-8 text without NUL");
  EXPECT_EQ(vectors_error("a 1\nb\vc 2\n"),
            "vectors: line 2: got the word 'b\\x0bc', expected UTF-8 without white space");
  EXPECT_TRUE(contains(vectors_error("\x1F\x8B\x08"), "gzip"));
}

TEST(WordVectors, TheFirstLineOfWord2vecIsChecked) {
  EXPECT_EQ(vectors_error("3 2\na 1 2\nb 3 4\n"),
            "vectors: line 3: got the end after 2 words, expected 3 as the first line says");
  EXPECT_EQ(vectors_error("1 2\na 1 2\nb 3 4\n"),
            "vectors: line 3: got one word more, expected 1 as the first line says");
  EXPECT_EQ(vectors_error("2 3\na 1 2\nb 3 4\n"),
            "vectors: line 2: got 2 numbers after the word, expected 3");
}

TEST(WordVectors, BrokenBinaryFilesAreNamed) {
  const std::string sound = word2vec_binary("");
  EXPECT_EQ(vectors_error(sound.substr(0, sound.size() - 1)),
            "vectors: word 2: got the end of the file within it, expected a word, a blank and 3 "
            "numbers");
  EXPECT_EQ(vectors_error(sound.substr(0, sound.size() - 13)),
            "vectors: word 2: got the end of the file within it, expected a word, a blank and 3 "
            "numbers");
  EXPECT_EQ(vectors_error(sound.substr(0, sound.size() - 16)),
            "vectors: word 1: got the end after 1 word, expected 2 as the first line says");
  EXPECT_EQ(vectors_error(sound + "x"),
            "vectors: word 2: got one word more, expected 2 as the first line says");
  EXPECT_EQ(vectors_error("1 2\na " + bytes_of_floats({1, std::nanf("")})),
            "vectors: word 1: number 2: got nan, expected a finite number of float32");
  EXPECT_EQ(vectors_error("1 2\n\xFF " + bytes_of_floats({1, 2})),
            "vectors: word 1: got the word '\\xff', expected UTF-8 without white space");
  EXPECT_EQ(vectors_error("1 2\n " + bytes_of_floats({1, 2})),
            "vectors: word 1: got the word '', expected UTF-8 without white space");
  EXPECT_EQ(vectors_error("2 2\na " + bytes_of_floats({1, 2}) + std::string(5'000, 'b')),
            "vectors: word 2: got no blank in 4096 bytes, expected one after the word");
}

TEST(WordVectors, ReadingIsInPiecesAndStopsWhenAsked) {
  // Larger than a block, so that words and vectors lie across its end.
  std::string text = "60000 3\n", binary = text;
  for (int k = 0; k < 60'000; ++k) {
    text += "w" + std::to_string(k) + " " + std::to_string(k) + " 0.25 -7\n";
    binary += "w" + std::to_string(k) + " " + bytes_of_floats({float(k), 0.25F, -7}) + "\n";
  }
  const WordVectors written = word_vectors_of(text), packed = word_vectors_of(binary);
  EXPECT_EQ(written.words.size(), 60'000);
  EXPECT_EQ(written.words.find("w59999"), 59'999);
  EXPECT_EQ(written.row(59'999)[0], 59'999);
  EXPECT_TRUE(packed.values == written.values);
  EXPECT_TRUE(packed.words.words() == written.words.words());
  const std::atomic<bool> stop = true;
  EXPECT_THROW(word_vectors_of(text, {.stop = &stop}), Interrupted);
  EXPECT_THROW(word_vectors_of(binary, {.stop = &stop}), Interrupted);
}

}  // namespace
}  // namespace unroll::test
