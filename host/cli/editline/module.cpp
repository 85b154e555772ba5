/// Editing and history by libedit, which gets its keys from us and writes to /dev/null: it believes
/// that below its line there is nothing, so its own drawing would not do.
#include <histedit.h>
#include <termios.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "host/cli/line_editor.h"
#include "unroll/version.h"

namespace unroll::cli {
namespace {

constexpr int kLines = 1000;  // of the history

// On Linux wchar_t is a code point.
std::u32string text_of(const wchar_t* begin, const wchar_t* end) {
  return {begin, end};
}

struct EndEditLine {
  void operator()(EditLine* edit) const { el_end(edit); }
};
struct EndHistory {
  void operator()(HistoryW* history) const { history_wend(history); }
};
struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

class Editline final : public LineEditor {
 public:
  Editline() : nowhere_(std::fopen("/dev/null", "w")), history_(history_winit()) {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0)
      throw std::runtime_error("stdin is no terminal, expected one to type on");
    // libedit looks up in it which characters can be written.
    std::setlocale(LC_CTYPE, "C.UTF-8");
    // It edits only if these descriptors are a terminal, whatever it writes to.
    if (nowhere_)
      edit_.reset(el_init_fd("unroll", stdin, nowhere_.get(), nowhere_.get(), STDIN_FILENO,
                             STDOUT_FILENO, STDERR_FILENO));
    if (!edit_ || !history_) throw std::runtime_error("libedit: the line cannot be edited");
    HistEventW event;
    history_w(history_.get(), &event, H_SETSIZE, kLines);
    history_w(history_.get(), &event, H_SETUNIQUE, 1);
    el_wset(edit_.get(), EL_EDITOR, L"emacs");
    el_wset(edit_.get(), EL_HIST, history_w, history_.get());
    el_wset(edit_.get(), EL_CLIENTDATA, this);
    el_wset(edit_.get(), EL_GETCFN, &Editline::next);
    for (const auto& [keys, does] : kBindings) el_wset(edit_.get(), EL_BIND, keys, does, nullptr);
    // Between two lines, too: what comes then is not shown in the middle of an answer.
    el_wset(edit_.get(), EL_SETTY, L"-x", L"-echo", L"-icanon", nullptr);
    el_source(edit_.get(), nullptr);  // the user's .editrc
  }

  std::optional<std::u32string> read(const NextKey& next_key) override {
    next_key_ = &next_key;
    failure_ = nullptr;
    int count = 0;
    const wchar_t* const line = el_wgets(edit_.get(), &count);
    if (failure_) std::rethrow_exception(failure_);
    if (!line || count <= 0) return std::nullopt;
    const wchar_t* end = line + count;
    if (end[-1] == L'\n' || end[-1] == L'\r') --end;
    if (end != line) {
      HistEventW event;
      history_w(history_.get(), &event, H_ENTER, std::wstring(line, end).c_str());
    }
    return text_of(line, end);
  }

  TypedLine line() const override {
    const LineInfoW* const line = el_wline(edit_.get());
    return {text_of(line->buffer, line->lastchar), std::size_t(line->cursor - line->buffer)};
  }

  void use_terminal(bool use) override {
    el_wset(edit_.get(), EL_PREP_TERM, use ? 1 : 0);
    if (!use) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }

 private:
  /// What terminals send for keys that libedit leaves unbound.
  static constexpr std::pair<const wchar_t*, const wchar_t*> kBindings[] = {
      {L"\\e[1~", L"ed-move-to-beg"},      {L"\\e[4~", L"ed-move-to-end"},
      {L"\\e[7~", L"ed-move-to-beg"},      {L"\\e[8~", L"ed-move-to-end"},
      {L"\\e[H", L"ed-move-to-beg"},       {L"\\e[F", L"ed-move-to-end"},
      {L"\\eOH", L"ed-move-to-beg"},       {L"\\eOF", L"ed-move-to-end"},
      {L"\\e[3~", L"ed-delete-next-char"}, {L"\\e[1;5C", L"em-next-word"},
      {L"\\e[1;5D", L"ed-prev-word"},      {L"^R", L"em-inc-search-prev"},
  };

  /// Called by C: an exception waits until libedit has returned.
  static int next(EditLine* edit, wchar_t* key) {
    Editline* self = nullptr;
    el_wget(edit, EL_CLIENTDATA, &self);
    try {
      const std::optional<char32_t> typed = (*self->next_key_)();
      if (typed) *key = wchar_t(*typed);
      return typed ? 1 : 0;
    } catch (...) {
      self->failure_ = std::current_exception();
      return 0;
    }
  }

  termios before_{};
  std::unique_ptr<std::FILE, CloseFile> nowhere_;
  std::unique_ptr<HistoryW, EndHistory> history_;
  std::unique_ptr<EditLine, EndEditLine> edit_;
  const NextKey* next_key_ = nullptr;
  std::exception_ptr failure_;
};

std::unique_ptr<LineEditor> make() {
  return std::make_unique<Editline>();
}

const EditlineModuleApi kApi = {kVersion, make};

}  // namespace
}  // namespace unroll::cli

/// The module's only symbol.
extern "C" [[gnu::visibility("default")]] const unroll::cli::EditlineModuleApi*
unroll_editline_module();

const unroll::cli::EditlineModuleApi* unroll_editline_module() {
  return &unroll::cli::kApi;
}
