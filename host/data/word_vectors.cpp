#include "host/data/word_vectors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "host/base/hash.h"
#include "host/base/text_format.h"
#include "host/base/utf8.h"
#include "host/data/class_labels.h"
#include "host/data/line_reader.h"

namespace unroll {
namespace {

constexpr std::string_view kBlanksOfVectors = " \t";
constexpr std::size_t kFormatBytesOfVectors = std::size_t(1) << 16;  // that tell the format
constexpr std::size_t kMostWordBytes = 4'096;  // of the binary format, where no line ends a word

/// The first line of word2vec's formats.
struct VectorHeader {
  std::int64_t words = 0, dimension = 0;
};

std::optional<std::int64_t> count_of(std::string_view digits) {
  std::int64_t number = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  if (error != std::errc() || stop != end || number < 0) return std::nullopt;
  return number;
}

std::vector<std::string_view> pieces_of(std::string_view line) {
  std::vector<std::string_view> pieces;
  for (;;) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlanksOfVectors), line.size()));
    if (line.empty()) return pieces;
    pieces.push_back(line.substr(0, line.find_first_of(kBlanksOfVectors)));
    line.remove_prefix(pieces.back().size());
  }
}

std::string_view without_return(std::string_view line) {
  return line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
}

std::optional<VectorHeader> header_of(std::string_view line) {
  const auto pieces = pieces_of(without_return(line));
  if (pieces.size() != 2) return std::nullopt;
  const auto words = count_of(pieces[0]), dimension = count_of(pieces[1]);
  if (!words || !dimension) return std::nullopt;
  return VectorHeader{*words, *dimension};
}

/// Reads a number at the beginning of a text; where it ends, or null if there is none. What is too
/// small for float32 is 0, what is too large infinite.
const char* read_float(const char* begin, const char* end, float& value) {
  if (end - begin > 1 && *begin == '+' && begin[1] != '-') ++begin;
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (error == std::errc::invalid_argument) return nullptr;
  if (error == std::errc::result_out_of_range) {
    const std::string_view digits(begin, std::size_t(stop - begin));
    const std::size_t exponent = digits.find_first_of("eE");
    const bool small = exponent != digits.npos && digits.substr(exponent + 1).starts_with('-');
    value = small ? 0 : INFINITY;
  }
  return stop;
}

/// "1 word", "2 words".
std::string counted(std::int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

bool is_number(std::string_view piece) {
  float value = 0;
  return read_float(piece.data(), piece.data() + piece.size(), value) ==
         piece.data() + piece.size();
}

/// Whether the numbers of the first word that follows the first line of one of word2vec's formats
/// are written. If they are not what they should be, the bytes tell: those of float32 are hardly
/// ever text.
bool has_written_numbers(std::string_view text, std::int64_t dimension) {
  constexpr std::size_t kLongestCut = 3;  // bytes of a character that the window's end cuts
  const auto count = std::size_t(std::clamp<std::int64_t>(dimension, 1, kMostVectorNumbers));
  const auto pieces = pieces_of(without_return(text.substr(0, text.find('\n'))));
  if (pieces.size() > count &&
      std::all_of(pieces.end() - std::ptrdiff_t(count), pieces.end(), is_number))
    return true;
  text.remove_prefix(std::min(text.find(' '), text.size()));
  text = text.substr(0, 1 + 4 * count);
  const std::size_t bad = find_invalid_utf8(text);
  const bool is_cut = text.size() - bad <= kLongestCut && bad < text.size() &&
                      static_cast<unsigned char>(text[bad]) >= 0xC0;
  return (bad == text.size() || is_cut) && std::ranges::all_of(text, [](unsigned char c) {
           return c >= ' ' || c == '\t' || c == '\n' || c == '\r';
         });
}

}  // namespace

std::string to_string(VectorFormat format) {
  switch (format) {
    case VectorFormat::kGloveText:
      return "GloVe text";
    case VectorFormat::kWord2vecText:
      return "word2vec text";
    case VectorFormat::kWord2vecBinary:
      return "word2vec binary";
  }
  throw std::invalid_argument(fmt::format("vector format {}, expected a known one", int(format)));
}

/// What the formats have in common.
struct WordVectorReader::Parser {
  Parser() = default;
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  virtual ~Parser() = default;
  virtual std::optional<Entry> next() = 0;

  /// Names the vector that was read last.
  virtual std::runtime_error error(const std::string& what) const = 0;

  void set_dimension(std::int64_t got, std::int64_t expected) {
    if (got < 1 || got > kMostVectorNumbers)
      throw error(
          fmt::format("got vectors of {} numbers, expected 1 to {}", got, kMostVectorNumbers));
    if (expected != 0 && got != expected)
      throw error(fmt::format("got vectors of {} numbers, expected {}", got, expected));
    values.resize(std::size_t(got));
  }

  void require_finite(std::size_t k) const {
    if (!std::isfinite(values[k]))
      throw error(
          fmt::format("number {}: got {}, expected a finite number of float32", k + 1, values[k]));
  }

  void require_word(std::string_view word) const {
    if (!is_label(word))
      throw error(
          fmt::format("got the word {}, expected UTF-8 without white space", in_quotes(word)));
  }

  /// To be called at the end.
  void require_count() const {
    if (announced && words != *announced)
      throw error(fmt::format("got the end after {}, expected {} as the first line says",
                              counted(words, "word"), *announced));
  }
  void count_word() {
    if (announced && words == *announced)
      throw error(fmt::format("got one word more, expected {} as the first line says", words));
    ++words;
  }

  std::vector<float> values;              // [dimension]
  std::optional<std::int64_t> announced;  // words, by the first line of word2vec's formats
  std::int64_t words = 0;
  VectorFormat format = VectorFormat::kGloveText;
};

struct WordVectorReader::Text final : Parser {
  Text(TextSource source, std::int64_t dimension) : lines(std::move(source)) {
    const auto first = lines.next();
    if (!first) throw std::runtime_error(lines.name() + ": is empty, expected words with vectors");
    if (const auto header = header_of(*first)) {
      announced = header->words;
      format = VectorFormat::kWord2vecText;
      set_dimension(header->dimension, dimension);
    } else {
      const std::int64_t pieces = std::ssize(pieces_of(*first));
      if (pieces == 0) throw error("is empty, expected a word with its vector");
      set_dimension(pieces - 1, dimension);
      line = first;
    }
  }

  std::optional<Entry> next() override {
    if (!line) line = lines.next();
    if (!line) {
      require_count();
      return std::nullopt;
    }
    const std::string_view text = *std::exchange(line, std::nullopt);
    const std::string_view word = take_numbers(text)
                                      ? text.substr(0, text.find_first_of(kBlanksOfVectors))
                                      : take_long_word(text);
    require_word(word);
    count_word();
    return Entry{word, values};
  }

  std::runtime_error error(const std::string& what) const override { return lines.error(what); }

 private:
  /// Whether a word without blanks and as many numbers as there should be are all of the line.
  bool take_numbers(std::string_view text) {
    const char* const end = text.data() + text.size();
    const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
    const char* at = text.data() + std::min(text.find_first_of(kBlanksOfVectors), text.size());
    for (std::size_t k = 0; k < values.size(); ++k) {
      if (at == end || !is_blank(*at)) return false;
      while (at != end && is_blank(*at)) ++at;
      at = at == end ? nullptr : read_float(at, end, values[k]);
      if (!at) return false;
    }
    if (!std::all_of(at, end, is_blank)) return false;
    for (std::size_t k = 0; k < values.size(); ++k) require_finite(k);
    return true;
  }

  /// A word may have blanks in it, but then a part after its first is no number.
  std::string_view take_long_word(std::string_view text) {
    const std::vector<std::string_view> pieces = pieces_of(text);
    if (pieces.empty()) throw error("is empty, expected a word with its vector");
    if (pieces[0].data() != text.data())
      throw error("got no word at its beginning, expected one before the numbers");
    const std::size_t numbers = pieces.size() - 1;
    const std::size_t surplus = numbers - std::min(numbers, values.size());
    const auto* const after = pieces.data() + 1 + surplus;
    if (numbers < values.size() || std::all_of(pieces.data() + 1, after, is_number)) {
      const auto bad = std::find_if_not(pieces.begin() + 1, pieces.end(), is_number);
      if (numbers == values.size() && bad != pieces.end())
        throw error(fmt::format("number {}: got {}, expected a number", bad - pieces.begin(),
                                in_quotes(*bad)));
      throw error(fmt::format("got {} after the word, expected {}",
                              counted(std::int64_t(numbers), "number"), values.size()));
    }
    for (std::size_t k = 0; k < values.size(); ++k) {
      const std::string_view piece = after[k];
      if (!is_number(piece))
        throw error(fmt::format("number {}: got {}, expected a number", k + 1, in_quotes(piece)));
      read_float(piece.data(), piece.data() + piece.size(), values[k]);
      require_finite(k);
    }
    const std::string_view last = pieces[surplus];
    return {pieces[0].data(), std::size_t(last.data() + last.size() - pieces[0].data())};
  }

  LineReader lines;
  std::optional<std::string_view> line;  // read and not given out
};

struct WordVectorReader::Binary final : Parser {
  Binary(TextSource its_source, const VectorHeader& header, std::int64_t dimension)
      : source(std::move(its_source)) {
    announced = header.words;
    format = VectorFormat::kWord2vecBinary;
    set_dimension(header.dimension, dimension);
    while (need(1) && bytes[begin++] != '\n') {
    }
  }

  std::optional<Entry> next() override {
    while (need(1) && bytes[begin] == '\n') ++begin;
    if (!need(1)) {
      require_count();
      return std::nullopt;
    }
    count_word();
    std::size_t size = 0;
    while (need(size + 1) && bytes[begin + size] != ' ')
      if (++size > kMostWordBytes)
        throw error(
            fmt::format("got no blank in {} bytes, expected one after the word", kMostWordBytes));
    const std::size_t vector = 4 * values.size();
    if (!need(size + 1 + vector))
      throw error(
          fmt::format("got the end of the file within it, expected a word, a blank and {} "
                      "numbers",
                      values.size()));
    const std::string_view word(bytes.data() + begin, size);
    require_word(word);
    for (std::size_t k = 0; k < values.size(); ++k) {
      values[k] = float_at(begin + size + 1 + 4 * k);
      require_finite(k);
    }
    begin += size + 1 + vector;
    return Entry{word, values};
  }

  std::runtime_error error(const std::string& what) const override {
    return std::runtime_error(words == 0
                                  ? fmt::format("{}: {}", source.name(), what)
                                  : fmt::format("{}: word {}: {}", source.name(), words, what));
  }

 private:
  /// Whether there are so many bytes more; reads them.
  bool need(std::size_t count) {
    if (end - begin >= count) return true;
    if (begin > 0) std::memmove(bytes.data(), bytes.data() + begin, end - begin);
    end -= std::exchange(begin, 0);
    bytes.resize(std::max({bytes.size(), 2 * count, std::size_t(1) << 18}));
    while (end < count) {
      const std::size_t got = source.read(std::span(bytes).subspan(end));
      if (got == 0) return false;
      end += got;
    }
    return true;
  }

  float float_at(std::size_t at) const {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 4; ++k)
      bits |= std::uint32_t(static_cast<unsigned char>(bytes[at + k])) << (8 * k);
    return std::bit_cast<float>(bits);
  }

  TextSource source;
  std::vector<char> bytes;  // [begin, end) is read and not given out
  std::size_t begin = 0, end = 0;
};

WordVectorReader::WordVectorReader(TextSource source, std::int64_t dimension) {
  const std::string beginning = source.beginning(kFormatBytesOfVectors);
  const std::size_t line_end = beginning.find('\n');
  const auto header = header_of(std::string_view(beginning).substr(0, line_end));
  const bool binary =
      header && line_end != beginning.npos &&
      !has_written_numbers(std::string_view(beginning).substr(line_end + 1), header->dimension);
  if (binary)
    parser_ = std::make_unique<Binary>(std::move(source), *header, dimension);
  else
    parser_ = std::make_unique<Text>(std::move(source), dimension);
}

WordVectorReader::~WordVectorReader() = default;
WordVectorReader::WordVectorReader(WordVectorReader&&) noexcept = default;
WordVectorReader& WordVectorReader::operator=(WordVectorReader&&) noexcept = default;

std::optional<WordVectorReader::Entry> WordVectorReader::next() {
  return parser_->next();
}

std::int64_t WordVectorReader::dimension() const {
  return std::ssize(parser_->values);
}

VectorFormat WordVectorReader::format() const {
  return parser_->format;
}

WordVectors read_word_vectors(TextSource source, const WordVectorsOptions& options) {
  Hash hash;
  source.hash_into(&hash);
  source.stop_by(options.stop);
  WordVectors vectors;
  vectors.name = source.name();
  WordVectorReader reader(std::move(source), options.dimension);
  vectors.format = reader.format();
  vectors.dimension = reader.dimension();
  while (const auto entry = reader.next()) {
    if (options.wanted && !options.wanted(entry->word)) continue;
    if (vectors.words.add(entry->word) * vectors.dimension < std::ssize(vectors.values)) {
      ++vectors.repeated;
      continue;
    }
    vectors.values.insert(vectors.values.end(), entry->values.begin(), entry->values.end());
  }
  vectors.fingerprint = hash.hex();
  return vectors;
}

}  // namespace unroll
