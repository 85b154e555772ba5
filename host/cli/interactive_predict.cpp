#include "host/cli/interactive_predict.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "host/base/file.h"
#include "host/base/module.h"
#include "host/base/utf8.h"
#include "host/cli/line_editor.h"
#include "host/cli/live_rows.h"
#include "host/cli/next_tokens.h"
#include "host/cli/output.h"
#include "host/cli/prediction_panel.h"
#include "host/cli/terminal.h"
#include "host/cli/truth.h"
#include "host/cli/typing_signals.h"
#include "host/infer/edited_text.h"
#include "host/infer/line_input.h"
#include "host/infer/text_ids.h"

namespace unroll::cli {
namespace {

constexpr const char* kBlanks = " \t\n\v\f\r";
constexpr char32_t kClearScreen = 'L' - '@';
constexpr std::size_t kPiece = 64;  // tokens read between looks at signals

/// What a model reads of a text.
struct ReadText {
  std::string text;
  std::vector<std::int32_t> ids;
  std::string warning;
};

/// The tokens of a text that no more typing can change. A word goes on until a blank ends it, and
/// the last token of byte pairs until the next one has begun.
ReadText finished_tokens(const Tokenizer& tokenizer, std::string text) {
  if (tokenizer.kind() == TokenizerKind::kWord) {
    text.resize(text.find_last_of(kBlanks) + 1);  // npos + 1 is 0
    text.resize(text.find_last_not_of(kBlanks) + 1);
  }
  ReadText read{.text = std::move(text)};
  read.ids = text_ids(tokenizer, read.text, [&](const std::string& line) { read.warning = line; });
  if (tokenizer.kind() == TokenizerKind::kBpe && !read.ids.empty()) {
    read.ids.pop_back();
    read.text = tokenizer.decode(read.ids);
  }
  return read;
}

/// A model that is asked about texts, most of which begin as the one before.
class Predictor {
 public:
  Predictor(const LoadedModel& model, const InteractiveOptions& options)
      : states_(model, {}), text_(states_), truth_(model), options_(options) {}

  const Tokenizer& tokenizer() const { return states_.tokenizer(); }

  NextQuestion question(const std::string& text) const {
    return {tokenizer(), truth_, text, options_.top};
  }
  std::vector<LikelyToken> next(const ReadText& read) {
    return likely_tokens(question(read.text), text_.log_prob(read.ids));
  }
  /// The same, but gives up between tokens if `stop` says so.
  template <typename Stop>
  std::optional<std::vector<LikelyToken>> next_unless(const ReadText& read, Stop&& stop) {
    for (std::size_t begun = kPiece; begun < read.ids.size(); begun += kPiece) {
      text_.log_prob(std::span(read.ids).first(begun));
      if (stop()) return std::nullopt;
    }
    return next(read);
  }

 private:
  TokenStates states_;
  EditedText text_;
  Truth truth_;
  InteractiveOptions options_;
};

/// Reads whole lines.
void answer_lines(Predictor& predictor, const InteractiveOptions& options, bool prompts) {
  LineInput input(STDIN_FILENO, "stdin");
  LineBatch batch;
  const auto prompt = [&] {
    if (prompts) print_raw("> ");
  };
  for (prompt(); input.next(batch); prompt())
    for (std::size_t k = 0; k < batch.lines.size(); ++k) try {
        const std::string& line = batch.lines[k];
        const std::vector<std::int32_t> ids = text_ids(predictor.tokenizer(), line, warn);
        const std::vector<LikelyToken> tokens = predictor.next({line, ids, ""});
        if (options.json)
          print_json(next_json(predictor.question(line), tokens));
        else
          print(next_lines(tokens) + "\n");
      } catch (const Stopped&) {
        throw;
      } catch (const std::runtime_error& error) {
        throw std::runtime_error(
            fmt::format("stdin: line {}: {}", batch.first + std::int64_t(k), error.what()));
      }
  if (prompts) print_raw("\n");
}

std::string utf8_of(std::u32string_view text) {
  std::string bytes;
  for (const char32_t code : text) bytes += unroll::utf8_of(code);
  return bytes;
}

std::u32string text_of(std::string_view bytes) {
  std::u32string text;
  while (!bytes.empty()) text += take_code_point(bytes);
  return text;
}

/// Takes characters out of what a terminal sends. Bytes that are no UTF-8 are left out.
class Utf8Keys {
 public:
  std::optional<char32_t> next(char byte) {
    const auto bits = static_cast<unsigned char>(byte);
    if ((bits & 0xC0) != 0x80) bytes_.clear();
    bytes_ += byte;
    const auto lead = static_cast<unsigned char>(bytes_[0]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (bytes_.size() < length) return std::nullopt;
    const std::string whole = std::exchange(bytes_, "");
    if (find_invalid_utf8(whole) != whole.size()) return std::nullopt;
    std::string_view rest = whole;
    return take_code_point(rest);
  }

 private:
  std::string bytes_;
};

/// A dialogue on a terminal: one line after the other, and below it what comes next.
class TypedDialogue {
 public:
  TypedDialogue(Predictor& predictor, LineEditor& editor)
      : predictor_(predictor), editor_(editor) {}

  /// Until the end of the input.
  void run() {
    const LineEditor::NextKey next_key = [this] { return this->next_key(); };
    try {
      for (;;) {
        const std::optional<std::u32string> line = editor_.read(next_key);
        const bool cleared = std::exchange(cleared_, false);
        if (line)
          answer(utf8_of(*line));
        else if (!cleared)
          break;
      }
    } catch (...) {
      print_raw(rows_.leave());  // what is said of it stands below
      throw;
    }
    print_raw(rows_.leave());
    if (ended_by_ != 0) throw Stopped(ended_by_, "");
  }

 private:
  /// Draws while nothing comes, and waits. Nothing if the line is not gone on with.
  std::optional<char32_t> next_key() {
    while (obey_signals()) {
      if (!has_input()) {
        draw();
        if (!has_input()) signals_.wait();
        continue;
      }
      char byte = 0;
      const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;  // the terminal is gone
      const std::optional<char32_t> key = keys_.next(byte);
      if (key && key != kClearScreen) return key;
      if (key) clear_screen();
    }
    return std::nullopt;
  }

  /// False if one of them ends the line.
  bool obey_signals() {
    while (const std::optional<int> signal = signals_.take()) {
      if (*signal == SIGWINCH) {
        print_raw(rows_.remove(terminal_traits().columns));
      } else if (*signal == SIGTSTP) {
        stop();
      } else if (*signal == SIGCONT) {
        go_on();
      } else {
        cleared_ = *signal == SIGINT;
        if (!cleared_) ended_by_ = *signal;
        return false;
      }
    }
    return true;
  }

  void stop() {
    print_raw(rows_.leave());
    editor_.use_terminal(false);
    signals_.stop_program();
    go_on();
  }

  void go_on() {
    editor_.use_terminal(false);  // others may have set it in the meantime
    editor_.use_terminal(true);
    rows_.forget();
  }

  void clear_screen() {
    rows_.forget();
    print_raw("\x1b[H\x1b[2J");
  }

  /// The line as it is at once, and when they are known the tokens after it.
  void draw() {
    const TypedLine line = editor_.line();
    // While libedit searches, or asks for a command, its question follows a line's end.
    const std::u32string_view text =
        std::u32string_view(line.text).substr(0, line.text.find(U'\n'));
    const ReadText read = finished_tokens(predictor_.tokenizer(), utf8_of(text));
    show(line);
    if (panel_ && read.ids == panel_of_ && read.warning == panel_->warning) return;
    const auto tokens =
        predictor_.next_unless(read, [&] { return has_input() || signals_.has_any(); });
    if (!tokens) return;
    panel_ = {read.text, *tokens, read.warning};
    panel_of_ = read.ids;
    show(line);
  }

  void answer(const std::string& text) {
    ReadText read{.text = text};
    read.ids = text_ids(predictor_.tokenizer(), text,
                        [&](const std::string& warning) { read.warning = warning; });
    const auto tokens = predictor_.next_unless(read, [&] { return signals_.has_any(); });
    if (!tokens) return;
    panel_ = {read.text, *tokens, read.warning};
    panel_of_ = read.ids;
    std::u32string typed = text_of(text);
    show({typed, typed.size()});
    print_raw(rows_.leave());
  }

  void show(TypedLine line) {
    std::ranges::replace(line.text, U'\n', U' ');
    const std::u32string_view text = line.text;
    const TerminalTraits terminal = terminal_traits();
    LiveFrame frame =
        typed_rows(printable(utf8_of(text.substr(0, line.cursor))),
                   printable(utf8_of(text.substr(line.cursor))), terminal, terminal.rows / 3);
    if (panel_ && terminal.rows > frame.rows.size())
      for (LiveRow& row : panel_rows(*panel_, terminal, terminal.rows - frame.rows.size()))
        frame.rows.push_back(std::move(row));
    print_raw(rows_.draw(std::move(frame)));
  }

  Predictor& predictor_;
  LineEditor& editor_;
  TypingSignals signals_;
  Utf8Keys keys_;
  LiveRows rows_;
  std::optional<PredictionPanel> panel_;
  std::vector<std::int32_t> panel_of_;  // the tokens before it
  bool cleared_ = false;                // the line, by SIGINT
  int ended_by_ = 0;                    // this signal
};

/// Null with the reason on one line.
std::unique_ptr<LineEditor> make_editor(std::string& why_not) {
  static const Module<EditlineModuleApi> module({.what = "editing",
                                                 .file = "libunroll_editline.so",
                                                 .entry = "unroll_editline_module",
                                                 .install = "install libedit"});
  why_not = module.why_not;
  return module.api ? module.api->make() : nullptr;
}

}  // namespace

void predict_interactively(const LoadedModel& model, const InteractiveOptions& options) {
  Predictor predictor(model, options);
  const bool reads_terminal = ::isatty(STDIN_FILENO) == 1;
  if (!reads_terminal || ::isatty(STDOUT_FILENO) != 1 || options.json)
    return answer_lines(predictor, options, false);
  if (!terminal_traits().moves) return answer_lines(predictor, options, true);
  std::string why_not;
  const std::unique_ptr<LineEditor> editor = make_editor(why_not);
  if (!editor) {
    note("only whole lines are answered: " + why_not);
    return answer_lines(predictor, options, true);
  }
  TypedDialogue(predictor, *editor).run();
}

}  // namespace unroll::cli
