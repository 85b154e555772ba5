/// Fuzz target: n-best lists. The first byte of the input is the format. What is accepted is
/// written and read back, keeps every line, and is sorted by any weights.
#include <algorithm>
#include <functional>
#include <optional>
#include <span>

#include "host/infer/rescore.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t end = 0; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1))
    lines.push_back(text.substr(0, end));
  lines.push_back(text);
  return lines;
}

bool same(const Hypothesis& a, const Hypothesis& b) {
  return a.id == b.id && a.text == b.text && a.features == b.features && a.score == b.score &&
         a.more == b.more;
}

void check_list(NBestFormat format, NBestList list) {
  require(!list.hypotheses.empty(), "a list has a hypothesis");
  for (Hypothesis& h : list.hypotheses) {
    require(list_id(format, h) == list.id, "hypotheses have the list's id");
    require(same(parse_hypothesis(format, to_line(format, h)), h), "a line is read back");
    h.words = std::ssize(words_of(h.text));
    h.log_prob = -2.0 * double(h.words);
    require(word_errors(h.text, h.text) == 0, "a text has no errors against itself");
    require(word_errors(h.text, list.hypotheses[0].text) ==
                word_errors(list.hypotheses[0].text, h.text),
            "errors are symmetric");
  }
  const TunedWeights tuned = list.hypotheses[0].words > 0
                                 ? tune(std::span(&list, 1), {{list.id, list.hypotheses[0].text}})
                                 : TunedWeights{};
  require(tuned.after.errors <= tuned.before.errors, "tuning does not make it worse");
  const std::size_t count = list.hypotheses.size();
  rescore(list, {0.5, 1}, "LM");
  require(list.hypotheses.size() == count, "no hypothesis is lost");
  require(std::ranges::is_sorted(list.hypotheses, std::greater(), &Hypothesis::score),
          "the best is first");
}

}  // namespace

std::vector<std::string> seeds() {
  return {
      "\x01"
      "0 ||| the cat ||| LM0= -3 ||| -1.5\n0 ||| a cat |||  ||| -2\n1 ||| dog ||| ||| -2e-3",
      "\x01"
      "0 ||| a ||| f ||| 1 ||| 0-0\n0 ||| b ||| g ||| 2 ||| 0-0 1-1",
      "\x01"
      "0 ||| a ||| f ||| 1 ||| 0-0\n0 ||| b ||| g ||| 2",
      std::string(1, '\0') + "u-1 the cat\nu-2 a cat\nv-1-1\nv-1-2 \xC3\xA9",
      "\x01\n",
      std::string(1, '\0') + "u the cat"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  std::string_view text = fuzz::text_of(data, size);
  if (text.empty()) return 0;
  const NBestFormat format = text[0] & 1 ? NBestFormat::kMoses : NBestFormat::kKaldi;
  text.remove_prefix(1);
  NBestReader reader(format);
  std::size_t accepted = 0, given = 0;
  const auto take = [&](const std::optional<NBestList>& list) {
    if (!list) return;
    given += list->hypotheses.size();
    fuzz::check_list(format, *list);
  };
  for (const std::string_view line : fuzz::lines_of(text)) {
    std::optional<NBestList> before;
    if (fuzz::accepts([&] { before = reader.add(line); })) ++accepted;
    take(before);
  }
  take(reader.end());
  fuzz::require(given == accepted, "every line is in a list");
  return 0;
}
