/// JSON files without the parser's leniencies. nlohmann-json 3.11 by default keeps the last of two
/// equal keys, accepts a byte order mark and anything after a NUL, nests without bound (dump() then
/// overflows the stack), wraps integers that do not fit, and writes NaN as null.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace unroll {

inline constexpr int kMaxJsonDepth = 32;

/// `name` is the name of the text in errors.
/// Errors    std::runtime_error, with the byte, unless `text` is one JSON value in UTF-8 with no
///           byte order mark, no duplicate key, nesting of at most kMaxJsonDepth, and only blanks
///           after it.
nlohmann::json parse_json(std::string_view text, const std::string& name);

/// Indented text that parse_json accepts, ended by a newline. Bytes that are not UTF-8 (for example
/// in a path from a command line) become U+FFFD.
/// Errors    std::invalid_argument for a number that is not finite and for nesting that is too
///           deep.
std::string format_json(const nlohmann::json& value, const std::string& name);

/// The members of a JSON object, each checked for presence, type and range. It refers to the value,
/// which must outlive it.
/// Errors    std::runtime_error, on one line: where, got, expected.
class JsonObject {
 public:
  /// `where` is the object's name in errors: a file, or a file and a path in it.
  JsonObject(const nlohmann::json& value, std::string where);

  bool has(std::string_view key) const;
  /// Whole numbers only: 1.0, 1e3 and numbers outside [low, high] are errors.
  std::int64_t integer(std::string_view key, std::int64_t low, std::int64_t high) const;
  /// Any number within [low, high], which excludes NaN.
  double number(std::string_view key, double low, double high) const;
  bool boolean(std::string_view key) const;
  std::string string(std::string_view key) const;
  JsonObject object(std::string_view key) const;
  const nlohmann::json& at(std::string_view key) const;

  const nlohmann::json& value() const { return *value_; }
  const std::string& where() const { return where_; }

 private:
  [[noreturn]] void fail(std::string_view key, const std::string& expected) const;

  const nlohmann::json* value_;
  std::string where_;
};

}  // namespace unroll
