/// The names of the classes that a model tells apart. A class is known by its id: its place among
/// the names when they are sorted by their bytes. labels.txt holds them, one per line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace unroll {

/// Whether a text can be the name of a class: not empty, UTF-8, and without NUL and white space
/// except blanks that are neither first nor last.
bool is_label(std::string_view text);

/// Immutable once made.
class ClassLabels {
 public:
  static constexpr std::int64_t kMost = 65'536;  // more are a mistake, such as ids as labels

  ClassLabels() = default;  // no classes
  /// Different labels, in any order. `name` is how errors call their text.
  /// Errors    std::runtime_error unless there are 2 to kMost of them.
  ClassLabels(std::vector<std::string> labels, const std::string& name);

  /// What to_text() writes.
  /// Errors    std::runtime_error, naming `name` and the line, for anything else: a text that is no
  ///           label, labels out of order or repeated, fewer than 2 or more than kMost.
  static ClassLabels parse(std::string_view text, const std::string& name);
  std::string to_text() const;

  /// The class of that name, if there is one.
  std::optional<std::int32_t> find(std::string_view label) const;
  /// Errors    std::invalid_argument if `id` is not in [0, size()).
  const std::string& label(std::int32_t id) const;
  std::int32_t size() const { return std::int32_t(labels_.size()); }

 private:
  std::vector<std::string> labels_;  // sorted
};

}  // namespace unroll
