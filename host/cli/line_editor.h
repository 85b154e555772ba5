/// A line that is typed on a terminal, with editing and a history: in a module, because only
/// commands that talk with a user need its library, libedit.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace unroll::cli {

struct TypedLine {
  std::u32string text;
  std::size_t cursor = 0;  // characters before it
};

/// Edits, and draws nothing: the caller does, because only it knows what else is on the screen.
/// While it lives, the terminal does not show what is typed; in the end it is as it was.
class LineEditor {
 public:
  /// The next character that is typed; nothing ends the line.
  using NextKey = std::function<std::optional<char32_t>()>;

  virtual ~LineEditor() = default;

  /// A whole line, which goes into the history; nothing if it was ended otherwise.
  /// Errors    what next_key throws.
  virtual std::optional<std::u32string> read(const NextKey& next_key) = 0;
  /// The line so far, for next_key.
  virtual TypedLine line() const = 0;
  /// For next_key, around a stop of the program: the terminal as it was, or as read() needs it.
  virtual void use_terminal(bool use) = 0;
};

/// What libunroll_editline.so offers.
struct EditlineModuleApi {
  const char* version;
  /// For stdin, once. From then on the characters of the process are those of UTF-8.
  std::unique_ptr<LineEditor> (*make)();
};

}  // namespace unroll::cli
