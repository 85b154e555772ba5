#include "host/base/text_format.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "host/base/text.h"

namespace unroll {
namespace {

using namespace std::string_view_literals;

struct Packed {
  std::string_view begin, name;
};

// Source: RFC 1952, APPNOTE.TXT 4.3.7, the formats' own descriptions, RFC 8878. After the first
// three letters of bzip2 come a digit and the number pi, which text never begins with.
constexpr std::array kPacked{Packed{"\x1F\x8B"sv, "gzip"}, Packed{"PK\x03\x04"sv, "zip"},
                             Packed{"\xFD"
                                    "7zXZ\0"sv,
                                    "xz"},
                             Packed{"\x28\xB5\x2F\xFD"sv, "zstd"}};
constexpr std::string_view kBzip2 = "BZh", kBzip2Block = "1AY&SY";

/// Text in UTF-16 without a mark: its ASCII characters, blanks at least, leave a zero in every
/// other byte, always on the same side.
std::string_view unmarked_utf16(std::string_view begin) {
  std::array<std::size_t, 2> zeros{};
  for (std::size_t k = 0; k < begin.size(); ++k) zeros[k % 2] += begin[k] == '\0' ? 1 : 0;
  const std::size_t enough = std::max<std::size_t>(4, begin.size() / 16);  // one may be an accident
  if (zeros[0] == 0 && zeros[1] >= enough) return "UTF-16LE";
  if (zeros[1] == 0 && zeros[0] >= enough) return "UTF-16BE";
  return "";
}

}  // namespace

std::string_view compression_of(std::string_view begin) {
  for (const Packed& packed : kPacked)
    if (begin.starts_with(packed.begin)) return packed.name;
  if (begin.starts_with(kBzip2) && begin.substr(kBzip2.size()).substr(1).starts_with(kBzip2Block))
    return "bzip2";
  return "";
}

std::string_view wide_encoding_of(std::string_view begin) {
  // UTF-32LE comes first, because its mark begins with the mark of UTF-16LE.
  if (begin.starts_with("\xFF\xFE\0\0"sv) || begin.starts_with("\0\0\xFE\xFF"sv)) return "UTF-32";
  if (begin.starts_with("\xFF\xFE") || begin.starts_with("\xFE\xFF")) return "UTF-16";
  return unmarked_utf16(begin.substr(0, kFormatBytes));
}

void require_no_other_format(std::string_view begin, const std::string& name) {
  if (const std::string_view packed = compression_of(begin); !packed.empty())
    throw std::runtime_error(
        text_from(name, ": is compressed by ", packed, ", expected UTF-8 text: unpack it first"));
  if (const std::string_view encoding = wide_encoding_of(begin); !encoding.empty())
    throw std::runtime_error(text_from(name, ": is ", encoding, ", expected UTF-8 text: iconv -f ",
                                       encoding, " -t UTF-8 makes it so"));
}

}  // namespace unroll
