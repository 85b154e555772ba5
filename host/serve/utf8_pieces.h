/// Text that comes in pieces which may cut characters, in pieces which do not.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace unroll::serve {

class Utf8Pieces {
 public:
  /// What can be given out now: the bytes of a character that may yet be completed wait.
  std::string next(std::string_view piece) {
    std::string text = std::exchange(waiting_, "") + std::string(piece);
    const std::size_t whole = text.size() - unfinished(text);
    waiting_ = text.substr(whole);
    text.resize(whole);
    return text;
  }
  /// What waits at the end.
  std::string rest() { return std::exchange(waiting_, ""); }

 private:
  /// The bytes at the end that begin a character and lack some: at most three.
  static std::size_t unfinished(std::string_view text) {
    for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
      const auto byte = static_cast<unsigned char>(text[text.size() - back]);
      if ((byte & 0xC0U) == 0x80) continue;
      const std::size_t size = byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
      return back < size ? back : 0;
    }
    return 0;
  }

  std::string waiting_;
};

}  // namespace unroll::serve
