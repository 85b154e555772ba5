/// A text that is changed in any way is read as one that was so from the beginning, and only what
/// is new of it.
#include "host/infer/edited_text.h"

#include <gtest/gtest.h>

#include "host/infer/predict.h"
#include "tests/support/asked_model.h"
#include "tests/support/backends.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Ids = std::vector<std::int32_t>;

class EditedTexts : public OnEachBackend {
 protected:
  /// One text after the other. The same bits as alone, because every step has one row.
  void check(const LoadedModel& model, EditedText& text, const Ids& ids, std::int64_t read) {
    TokenStates states(model, {.name = "alone"});
    const std::vector<float> expected = predict(states, std::span(&ids, 1))[0];
    const std::int64_t before = text.tokens_read();
    const std::span<const float> actual = text.log_prob(ids);
    EXPECT_EQ(std::vector<float>(actual.begin(), actual.end()), expected);
    EXPECT_EQ(text.tokens_read() - before, read);
  }
};

TEST_P(EditedTexts, AreReadFromWhereTheyChange) {
  const LoadedModel model = asked_model(backend_);
  TokenStates states(model, {});
  EditedText text(states);
  check(model, text, {}, 0);
  check(model, text, {3, 4, 5}, 3);
  check(model, text, {3, 4, 5}, 0);
  check(model, text, {3, 4, 5, 6}, 1);
  check(model, text, {3, 4, 7, 8, 9}, 3);
  check(model, text, {3, 4}, 1);  // the last is read again, for its probabilities
  check(model, text, {3, 4, 5}, 1);
  check(model, text, {2, 4, 5}, 3);
  check(model, text, {}, 0);
  check(model, text, {2}, 1);
}

TEST_P(EditedTexts, AreReadAnewIfTheStateIsNotKept) {
  const LoadedModel model = asked_model(backend_);
  TokenStates states(model, {});
  EditedText text(states);
  const auto kept = std::ptrdiff_t(EditedText::kKept);
  Ids ids = asked_texts({std::size_t(kept) + 20}, asked_tokenizer().size())[0];
  check(model, text, ids, kept + 20);
  ids.resize(std::size_t(kept) + 10);
  check(model, text, ids, 1);
  ids.resize(21);  // the state before its last token is the first that is kept
  check(model, text, ids, 1);
  ids.resize(12);
  check(model, text, ids, 12);
}

TEST_P(EditedTexts, GoOnAfterAnError) {
  const LoadedModel model = asked_model(backend_);
  TokenStates states(model, {});
  EditedText text(states);
  check(model, text, {3, 4}, 2);
  EXPECT_TRUE(contains(error_of<std::invalid_argument>([&] {
                         text.log_prob(std::vector{3, 4, 1000});
                       }),
                       "1000"));
  check(model, text, {3, 4, 5}, 3);
}

UNROLL_FOR_EACH_BACKEND(EditedTexts);

}  // namespace
}  // namespace unroll::test
