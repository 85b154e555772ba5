/// Numbers for words, in the order in which they are first added. A text has a word every six
/// bytes, and looking it up is most of the work of reading it: a word of at most eight bytes, as
/// most are, is compared within its slot, which is one cache line, where std::unordered_map looks
/// at three or more.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace unroll {

class WordTable {
 public:
  WordTable() : slots_(kFewest) {}

  /// The word's number, or -1.
  std::int32_t find(std::string_view word) const;
  /// The word's number, which is size() before the call if it is new.
  /// Errors    std::runtime_error at 2^31 - 1 words or a word of 4 GiB.
  std::int32_t add(std::string_view word);
  std::int32_t size() const { return static_cast<std::int32_t>(ends_.size() - 1); }

  /// The words in the order of their numbers.
  std::vector<std::string> words() const;

 private:
  static constexpr std::size_t kFewest = 1024;  // a power of two, like all sizes

  struct Slot {
    std::uint64_t key = 0;  // a short word's bytes, a longer one's hash
    std::uint32_t size = 0;
    std::int32_t number = -1;  // -1: free
  };

  std::size_t place(std::string_view word, std::uint64_t key) const;
  void grow();
  std::string_view word(std::int32_t number) const;

  std::vector<Slot> slots_;             // at most half of them used; collisions go to the next
  std::string text_;                    // the words one after the other
  std::vector<std::uint64_t> ends_{0};  // [size() + 1] where in text_ word k ends, after a first 0
};

}  // namespace unroll
