#include "host/infer/tagger.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random_store.h"
#include "tests/support/tagger.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

class Taggers : public OnEachBackend {};
UNROLL_FOR_EACH_BACKEND(Taggers);

using Tags = std::vector<std::vector<std::int32_t>>;

Tags tags_of(Tagger& tagger, const std::vector<std::vector<std::string>>& sentences) {
  Tags tags(sentences.size());
  tagger.for_each(
      std::make_shared<const TaggedSplit>(untagged_split(sentences, tagger.model().vocabulary())),
      [&](std::int64_t sentence, std::span<const std::int32_t> its_tags) {
        EXPECT_TRUE(tags[std::size_t(sentence)].empty());
        tags[std::size_t(sentence)].assign(its_tags.begin(), its_tags.end());
      });
  return tags;
}

TEST_P(Taggers, TagASentenceTheSameWayAmongOthersAndByItself) {
  std::vector<std::vector<std::string>> sentences;
  for (int k = 0; k < 70; ++k) {
    auto& sentence = sentences.emplace_back();
    for (int word = 0; word <= (k * 11) % 17; ++word)
      sentence.push_back(std::vector<std::string>{"they", "duck", "rals", "unheard", "ralings",
                                                  "the"}[std::size_t(k * word + word) % 6]);
  }
  for (const SmallTagger& small : kSmallTaggers) {
    SCOPED_TRACE(small.name());
    const auto model = small.task(small.corpus());
    Tagger tagger(model, random_store(*model, backend_));
    const Tags all = tags_of(tagger, sentences);
    for (std::size_t k = 0; k < sentences.size(); ++k) {
      ASSERT_EQ(all[k].size(), sentences[k].size());
      if (k % 9 != 0) continue;
      EXPECT_EQ(tags_of(tagger, {sentences[k]})[0], all[k]) << k;
      for (const std::int32_t tag : all[k]) EXPECT_TRUE(tag >= 0 && tag < model->config().tags);
    }
  }
}

// Long sentences share no batch, so that memory stays bounded.
TEST_P(Taggers, TagALongSentenceAmongShortOnes) {
  const SmallTagger small{.crf = true};
  const auto model = small.task(small.corpus());
  Tagger tagger(model, random_store(*model, backend_));
  const std::vector<std::string> words(10'000, "duck");
  const Tags tags = tags_of(tagger, {{"the", "duck"}, words, {"they"}});
  EXPECT_EQ(tags[1].size(), words.size());
  EXPECT_EQ(tags[0], tags_of(tagger, {{"the", "duck"}})[0]);
}

TEST_P(Taggers, CountUnknownWordsAndUnknownTags) {
  const SmallTagger small;
  const auto model = small.task(small.corpus());
  Tagger tagger(model, random_store(*model, backend_));
  const std::string text = "the\tDET\nunheard\tNOUN\n\nwow\tINTJ\nthey\tPRON\nduck\tVERB\n";
  const auto sentences = std::make_shared<const TaggedSplit>(
      read_tagged_split({TextSource(text, "text"), TaggedFormat::kTwoColumns}, TagColumn::kUpos,
                        model->vocabulary()));
  const TaggerEvaluation result = tagger.evaluate(sentences, "text");
  EXPECT_EQ(result.sentences, 2);
  EXPECT_EQ(result.sums.count, 5);
  EXPECT_EQ(result.unknown.count, 2);
  const std::int32_t lacking = model->vocabulary().tags.size();
  EXPECT_EQ(result.confusion.score(lacking).texts, 1);
  EXPECT_EQ(result.confusion.score(lacking).predicted, 0);
  EXPECT_EQ(result.confusion.texts(), 5);
  EXPECT_DOUBLE_EQ(result.confusion.accuracy(), result.sums.accuracy());
  const Tags tags = tags_of(tagger, {{"the", "unheard"}, {"wow", "they", "duck"}});
  const auto is = [&](std::size_t k, std::size_t word, const char* tag) {
    return tags[k][word] == *model->vocabulary().tags.find(tag) ? 1 : 0;
  };
  EXPECT_EQ(result.unknown.hits, is(0, 1, "NOUN"));
  EXPECT_EQ(result.sums.hits,
            is(0, 0, "DET") + is(0, 1, "NOUN") + is(1, 1, "PRON") + is(1, 2, "VERB"));
}

TEST_P(Taggers, RefuseOutputsThatAreNoNumbers) {
  for (const bool crf : {false, true}) {
    const SmallTagger small{.crf = crf};
    const auto model = small.task(small.corpus());
    const auto store = random_store(*model, backend_);
    std::vector<float> bias = store->read<float>(kDecoderBias);
    bias[1] = std::numeric_limits<float>::infinity();  // which a softmax makes NaN
    store->write<float>(kDecoderBias, bias);
    Tagger tagger(model, store);
    EXPECT_THROW(tags_of(tagger, {{"the", "duck"}}), std::runtime_error);
  }
}

}  // namespace
}  // namespace unroll::test
