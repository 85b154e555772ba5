/// Vectors of words that another program has learned. Three formats, told apart by their content:
///
/// * GloVe's text: a line is a word and its numbers, with blanks between them.
/// * word2vec's text, which fastText writes, too: the same after a first line with the number of
///   words and the dimension.
/// * word2vec's binary format: that first line; then each word, a blank, and its numbers as
/// float32,
///   the least significant byte first, with a line end after them or not.
///
/// A word of GloVe's text may have blanks. Of a word that is there twice the first vector counts.
/// Source    nlp.stanford.edu/projects/glove; code.google.com/archive/p/word2vec.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/text_reader.h"
#include "host/data/word_table.h"

namespace unroll {

enum class VectorFormat : std::uint8_t { kGloveText, kWord2vecText, kWord2vecBinary };

/// "GloVe text", "word2vec text" or "word2vec binary".
std::string to_string(VectorFormat format);

inline constexpr std::int64_t kMostVectorNumbers = 65'536;  // of a word

/// The vectors of a file one by one, in memory that does not grow with the file. Movable; not
/// thread-safe.
class WordVectorReader {
 public:
  struct Entry {
    std::string_view word;
    std::span<const float> values;  // [dimension]
  };

  /// Reads the beginning. `dimension`: that the vectors must have; 0: any.
  /// Errors    std::runtime_error if the text is empty, has another dimension, or more than
  ///           kMostVectorNumbers numbers for a word; as LineReader's constructor.
  explicit WordVectorReader(TextSource source, std::int64_t dimension = 0);
  ~WordVectorReader();
  WordVectorReader(WordVectorReader&&) noexcept;
  WordVectorReader& operator=(WordVectorReader&&) noexcept;

  /// The next vector, valid until the next call; nothing after the last.
  /// Errors    std::runtime_error, naming the line, or in the binary format the word's number:
  /// fewer
  ///           or more numbers than the first word has; what is no number, not finite, or out of
  ///           the range of float32; a word that is_label() refuses; fewer or more words than the
  ///           first line says; as LineReader::next().
  std::optional<Entry> next();

  std::int64_t dimension() const;
  VectorFormat format() const;

 private:
  struct Parser;
  struct Text;
  struct Binary;
  std::unique_ptr<Parser> parser_;
};

/// All vectors of a file.
struct WordVectors {
  VectorFormat format = VectorFormat::kGloveText;
  std::int64_t dimension = 0;
  WordTable words;            // which row of the values a word has
  std::vector<float> values;  // [words, dimension]
  std::int64_t repeated = 0;  // words that were there already
  std::string name;
  std::string fingerprint;  // equal exactly for equal files

  std::span<const float> row(std::int64_t k) const {
    return std::span(values).subspan(std::size_t(k * dimension), std::size_t(dimension));
  }
};

struct WordVectorsOptions {
  std::int64_t dimension = 0;                              // as in WordVectorReader
  std::function<bool(std::string_view)> wanted = nullptr;  // which words to keep; null: all
  const std::atomic<bool>* stop = nullptr;                 // ends the reading when set
};

/// Errors    std::runtime_error as WordVectorReader; Interrupted.
WordVectors read_word_vectors(TextSource source, const WordVectorsOptions& options = {});

}  // namespace unroll
