/// Fuzz target: labels.txt. Accepted input is written and read back unchanged, and each label has
/// the class of its line.
#include <optional>

#include "host/data/class_labels.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {

std::vector<std::string> seeds() {
  return {"bad\ngood\n", "bad\ngood", "a\na b\nb\n\xC3\xA9\n", "b\na\n", "a\na\n",
          "a\r\nb\r\n",  "a\n\nb\n"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  std::optional<ClassLabels> labels;
  std::string given(fuzz::text_of(data, size));
  if (!fuzz::accepts([&] { labels = ClassLabels::parse(given, "labels"); })) return 0;
  if (!given.ends_with('\n')) given += '\n';
  fuzz::require(labels->to_text() == given, "the text comes back");
  fuzz::require(ClassLabels::parse(given, "again").size() == labels->size(), "it is read again");
  fuzz::require(labels->size() >= 2, "there are two classes");
  for (std::int32_t id = 0; id < labels->size(); ++id) {
    fuzz::require(is_label(labels->label(id)), "each is a label");
    fuzz::require(labels->find(labels->label(id)) == id, "each label has the class of its line");
  }
  return 0;
}
