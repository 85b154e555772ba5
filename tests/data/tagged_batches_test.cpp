#include "host/data/tagged_batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Ids = std::vector<std::int32_t>;
using Strings = std::vector<std::string>;

/// In two columns: sentence k has `lengths[k]` words of `types` different ones, and two tags.
std::string text_of(const std::vector<int>& lengths, int types) {
  std::string text;
  int token = 0;
  for (const int length : lengths) {
    for (int t = 0; t < length; ++t, ++token) {
      const int type = token * 7 % types;
      text += "w" + std::string(std::size_t(type % 5), 'x') + std::to_string(type);
      text += token % 3 == 0 ? "\tA\n" : "\tB\n";
    }
    text += '\n';
  }
  return text;
}

std::shared_ptr<const TaggedSplit> split_of(const std::string& text) {
  const auto source = [&] {
    return TaggedSource{TextSource(text, "text"), TaggedFormat::kTwoColumns};
  };
  return read_tagged_corpus({source(), source(), {}}, "text", {}).train;
}

std::vector<int> sentences_of_many_lengths(int count, int longest) {
  std::vector<int> lengths;
  for (int k = 0; k < count; ++k) lengths.push_back(1 + (k * k * 31 + k * 7 + 3) % longest);
  return lengths;
}

struct ReadSentences {
  std::vector<std::int64_t> rows;
  Batch batch;
};

Batch without_padding(Batch batch) {
  for (Column& column : batch.columns) column.ids.resize(std::size_t(column.shape.elements()));
  return batch;
}

std::vector<ReadSentences> read_sentences(TaggedBatches& batches) {
  std::vector<ReadSentences> all;
  Batch batch = batches.largest();
  while (batches.next(batch))
    all.push_back({{batches.rows().begin(), batches.rows().end()}, without_padding(batch)});
  EXPECT_FALSE(batches.next(batch));
  return all;
}

void expect_equal_sentences(const ReadSentences& a, const ReadSentences& b) {
  EXPECT_EQ(a.rows, b.rows);
  ASSERT_EQ(a.batch.columns.size(), b.batch.columns.size());
  for (std::size_t k = 0; k < a.batch.columns.size(); ++k) {
    EXPECT_EQ(a.batch.columns[k].shape, b.batch.columns[k].shape);
    EXPECT_EQ(a.batch.columns[k].ids, b.batch.columns[k].ids);
  }
  EXPECT_EQ(a.batch.count, b.batch.count);
  EXPECT_EQ(a.batch.position_after, b.batch.position_after);
}

std::int32_t at(const Column& column, std::int64_t row, std::int64_t place) {
  return column.ids[std::size_t(row * column.shape[1] + place)];
}

TEST(TaggedBatches, HaveTheSentencesAsColumns) {
  const auto split = split_of("b\tB\nab\tA\nb\tA\n\nccc\tB\n\nab\tA\nb\tB\n");
  // Ids of words: b 1, ab 2, ccc 3. Of characters: b 1, c 2, a 3.
  TaggedBatches batches(split, {.batch = 2, .characters = true});
  EXPECT_EQ(batches.length(), 2);
  EXPECT_EQ(batches.stride(), 1);
  const std::vector<ReadSentences> all = read_sentences(batches);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].rows, (std::vector<std::int64_t>{1}));
  const std::vector<Column>& first = all[0].batch.columns;
  ASSERT_EQ(first.size(), 6U);
  EXPECT_EQ(first[0].shape, (Shape{1, 2}));
  EXPECT_EQ(first[0].ids, (Ids{3, 0}));
  EXPECT_EQ(first[1].ids, (Ids{1, 1}));
  EXPECT_EQ(first[2].ids, (Ids{1, kIgnoredId}));
  EXPECT_EQ(first[3].shape, (Shape{4, 4}));
  EXPECT_EQ(first[3].ids, (Ids{2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(first[4].ids, (Ids{3, 1, 1, 1}));
  EXPECT_EQ(first[5].ids, (Ids{0, 0}));
  EXPECT_EQ(all[0].batch.count, 1);
  EXPECT_EQ(all[0].batch.position_after, 1);
  const std::vector<Column>& second = all[1].batch.columns;
  EXPECT_EQ(all[1].rows, (std::vector<std::int64_t>{2, 0}));
  EXPECT_EQ(second[0].shape, (Shape{3, 2}));
  EXPECT_EQ(second[0].ids, (Ids{2, 1, 1, 2, 0, 1}));
  EXPECT_EQ(second[1].ids, (Ids{2, 3}));
  EXPECT_EQ(second[2].ids, (Ids{0, 1, 1, 0, kIgnoredId, 0}));
  EXPECT_EQ(second[3].ids, (Ids{3, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(second[4].ids, (Ids{2, 1, 1, 1}));
  EXPECT_EQ(second[5].ids, (Ids{0, 1, 1, 0, 0, 1}));
  EXPECT_EQ(all[1].batch.count, 5);
}

TEST(TaggedBatches, WithoutCharactersHaveThreeColumns) {
  TaggedBatches batches(split_of("a\tA\nb\tB\n"), {.batch = 3});
  EXPECT_EQ(batches.largest().columns.size(), 3U);
  const std::vector<ReadSentences> all = read_sentences(batches);
  ASSERT_EQ(all.size(), 1U);
  ASSERT_EQ(all[0].batch.columns.size(), 3U);
  EXPECT_EQ(all[0].batch.columns[0].ids, (Ids{1, 0, 0, 2, 0, 0}));
}

TEST(TaggedBatches, EveryTokenIsThereOncePerEpoch) {
  for (const int count : {1, 31, 32, 33, 255, 256, 257})
    for (const std::int64_t n : {1, 3, 32}) {
      SCOPED_TRACE(std::to_string(count) + " sentences, batches of " + std::to_string(n));
      const auto split = split_of(text_of(sentences_of_many_lengths(count, 40), 97));
      const DistinctForms& distinct = split->distinct;
      TaggedBatches batches(split, {.batch = n, .characters = true, .seed = 5});
      const Batch largest = batches.largest();
      for (const std::int64_t epoch : {1, 2}) {
        batches.seek(epoch, 0);
        std::vector<int> seen(std::size_t(split->size()));
        std::int64_t tokens = 0;
        for (const ReadSentences& read : read_sentences(batches)) {
          const std::vector<Column>& columns = read.batch.columns;
          std::int64_t its_tokens = 0;
          for (std::size_t k = 0; k < columns.size(); ++k)
            for (int d = 0; d < columns[k].shape.rank(); ++d)
              EXPECT_LE(columns[k].shape[d], largest.columns[k].shape[d]);
          for (std::int64_t row = 0; row < n; ++row) {
            const bool empty = row >= std::ssize(read.rows);
            const std::int64_t sentence = empty ? -1 : read.rows[std::size_t(row)];
            const std::int64_t length = empty ? 0 : split->length(sentence);
            EXPECT_EQ(columns[1].ids[std::size_t(row)], std::max<std::int64_t>(length, 1));
            if (!empty) ++seen[std::size_t(sentence)];
            its_tokens += length;
            for (std::int64_t t = 0; t < columns[0].shape[0]; ++t) {
              if (t >= length) {
                EXPECT_EQ(at(columns[0], t, row), 0);
                EXPECT_EQ(at(columns[2], t, row), kIgnoredId);
                EXPECT_EQ(at(columns[5], t, row), 0);
                continue;
              }
              const auto token = std::size_t(split->begins[std::size_t(sentence)] + t);
              const std::int32_t form = split->forms[token];
              EXPECT_EQ(at(columns[0], t, row), distinct.words[std::size_t(form)]);
              EXPECT_EQ(at(columns[2], t, row), split->tags[token]);
              const std::int32_t place = at(columns[5], t, row);
              const auto characters = distinct.characters_of(form);
              ASSERT_EQ(columns[4].ids[std::size_t(place)], std::ssize(characters));
              for (std::int64_t i = 0; i < columns[3].shape[0]; ++i)
                EXPECT_EQ(at(columns[3], i, place),
                          i < std::ssize(characters) ? characters[std::size_t(i)] : 0);
            }
          }
          EXPECT_EQ(read.batch.count, its_tokens);
          tokens += its_tokens;
        }
        EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
        EXPECT_EQ(tokens, split->statistics.tokens);
      }
    }
}

TEST(TaggedBatches, AnEpochHasFewShapes) {
  const auto split = split_of(text_of(sentences_of_many_lengths(1500, 90), 800));
  TaggedBatches batches(split, {.batch = 8, .characters = true, .seed = 1});
  std::set<std::vector<std::int64_t>> shapes;
  for (const std::int64_t epoch : {1, 2, 3}) {
    batches.seek(epoch, 0);
    std::set<std::vector<std::int64_t>> its_shapes;
    std::map<std::int64_t, std::int64_t> most;  // distinct words by T
    for (const ReadSentences& read : read_sentences(batches)) {
      const Column& characters = read.batch.columns[3];
      const std::int64_t steps = read.batch.columns[0].shape[0];
      its_shapes.insert({steps, characters.shape[0], characters.shape[1]});
      const std::int64_t used = 1 + std::ranges::max(read.batch.columns[5].ids);
      most[steps] = std::max(most[steps], used);
      EXPECT_LE(used, characters.shape[1]);
    }
    EXPECT_LE(its_shapes.size(), std::size_t(TaggedBatches::kMostSteps));
    for (const auto& shape : its_shapes)  // a fifth of U at most is padding for the largest batch
      EXPECT_LE(double(shape[2]), std::max(16.0, 1.25 * double(most[shape[0]])));
    shapes.merge(its_shapes);
  }
  EXPECT_LE(shapes.size(), 64U);
}

TEST(TaggedBatches, LongWordsAreCutInTheMiddle) {
  std::string word;
  for (char c = 'a'; c <= 'z'; ++c) word += c;
  for (char c = 'A'; c <= 'Z'; ++c) word += c;
  const auto split = split_of(word + "\tA\nx\tB\n");
  TaggedBatches batches(split, {.batch = 1, .characters = true});
  EXPECT_EQ(batches.largest().columns[3].shape, (Shape{32, 4}));
  const std::vector<ReadSentences> all = read_sentences(batches);
  const Column& characters = all[0].batch.columns[3];
  EXPECT_EQ(characters.shape, (Shape{32, 4}));
  EXPECT_EQ(all[0].batch.columns[4].ids, (Ids{32, 1, 1, 1}));
  const auto whole = split->distinct.characters_of(0);
  for (std::int64_t i = 0; i < 32; ++i)
    EXPECT_EQ(at(characters, i, 0), whole[std::size_t(i < 16 ? i : 20 + i)]) << i;
}

TEST(TaggedBatches, ATagThatTrainingLacksIsNoTarget) {
  const std::string train = "a\tA\nb\tB\n", valid = "a\tC\nb\tB\n";
  const TaggedCorpus corpus =
      read_tagged_corpus({{TextSource(train, "train"), TaggedFormat::kTwoColumns},
                          {TextSource(valid, "valid"), TaggedFormat::kTwoColumns},
                          {}},
                         "text", {});
  TaggedBatches batches(corpus.valid, {.batch = 1});
  const std::vector<ReadSentences> all = read_sentences(batches);
  EXPECT_EQ(all[0].batch.columns[2].ids, (Ids{kIgnoredId, 1}));
  EXPECT_EQ(all[0].batch.count, 2);  // so it counts in a mean
}

// ---- order and unknown words

TEST(TaggedBatches, OrderDependsOnSeedAndEpochOnly) {
  const auto split = split_of(text_of(sentences_of_many_lengths(200, 12), 50));
  const auto order = [&](std::uint64_t seed, std::int64_t epoch) {
    TaggedBatches batches(split, {.batch = 8, .seed = seed});
    batches.seek(epoch, 0);
    std::vector<std::vector<std::int64_t>> rows;
    for (const ReadSentences& read : read_sentences(batches)) rows.push_back(read.rows);
    return rows;
  };
  EXPECT_EQ(order(1, 2), order(1, 2));
  EXPECT_NE(order(1, 1), order(1, 2));
  EXPECT_NE(order(1, 1), order(2, 1));
}

/// Which tokens have id 0, in an epoch.
std::vector<bool> unknown_tokens(const TaggedSplit& split, TaggedBatches& batches,
                                 std::int64_t epoch) {
  batches.seek(epoch, 0);
  std::vector<bool> unknown(split.forms.size());
  for (const ReadSentences& read : read_sentences(batches))
    for (std::size_t row = 0; row < read.rows.size(); ++row) {
      const std::int64_t sentence = read.rows[row];
      for (std::int64_t t = 0; t < split.length(sentence); ++t)
        unknown[std::size_t(split.begins[std::size_t(sentence)] + t)] =
            at(read.batch.columns[0], t, std::int64_t(row)) == 0;
    }
  return unknown;
}

TEST(TaggedBatches, WordsOfOneTokenBecomeUnknownAtARate) {
  // The first 2400 words are there once, w0 to w9 many times.
  std::string text;
  for (int k = 0; k < 2400; ++k) {
    text += "once" + std::to_string(k) + "\tA\nw" + std::to_string(k % 10) + "\tB\n";
    if (k % 7 == 0) text += '\n';
  }
  const auto split = split_of(text);
  const auto unknown = [&](double rate, std::uint64_t seed, std::int64_t epoch,
                           std::int64_t batch = 16) {
    TaggedBatches batches(split, {.batch = batch, .unknown_rate = rate, .seed = seed});
    return unknown_tokens(*split, batches, epoch);
  };
  const auto count = [](const std::vector<bool>& tokens) {
    return std::ranges::count(tokens, true);
  };
  const std::vector<bool> some = unknown(0.3, 1, 1);
  for (std::size_t k = 1; k < some.size(); k += 2) EXPECT_FALSE(some[k]);
  // 720 expected; 6 deviations of a binomial number are 135.
  EXPECT_NEAR(double(count(some)), 720, 135);
  EXPECT_EQ(count(unknown(0, 1, 1)), 0);
  EXPECT_EQ(count(unknown(1, 1, 1)), 2400);
  // A function of seed, epoch and token: not of the batches.
  EXPECT_EQ(unknown(0.3, 1, 1, 5), some);
  const std::vector<bool> other_epoch = unknown(0.3, 1, 2), other_seed = unknown(0.3, 2, 1);
  EXPECT_NE(other_epoch, some);
  EXPECT_NE(other_seed, some);
  // Independent: of 720, 216 are the same, and 6 deviations are 74.
  std::int64_t both = 0;
  for (std::size_t k = 0; k < some.size(); ++k) both += some[k] && other_epoch[k] ? 1 : 0;
  EXPECT_NEAR(double(both), 216, 74);
  // Without a seed nothing is drawn.
  TaggedBatches measured(split, {.batch = 16, .unknown_rate = 0.3});
  EXPECT_EQ(count(unknown_tokens(*split, measured, 1)), 0);
}

TEST(TaggedBatches, UnknownWordsKeepTheirCharacters) {
  const auto split = split_of(text_of(sentences_of_many_lengths(40, 12), 1000));
  TaggedBatches with(split, {.batch = 4, .characters = true, .unknown_rate = 1, .seed = 3});
  TaggedBatches without(split, {.batch = 4, .characters = true, .seed = 3});
  const std::vector<ReadSentences> a = read_sentences(with), b = read_sentences(without);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t k = 0; k < a.size(); ++k) {
    EXPECT_NE(a[k].batch.columns[0].ids, b[k].batch.columns[0].ids);
    for (std::size_t column = 1; column < 6; ++column)
      EXPECT_EQ(a[k].batch.columns[column].ids, b[k].batch.columns[column].ids);
  }
}

TEST(TaggedBatches, GoOnFromAnyPosition) {
  const auto split = split_of(text_of(sentences_of_many_lengths(70, 20), 300));
  for (const bool shuffled : {false, true}) {
    TaggedBatches::Options options{.batch = 4, .characters = true, .unknown_rate = 0.5};
    if (shuffled) options.seed = 11;
    for (const std::int64_t epoch : {1, 3}) {
      TaggedBatches whole(split, options);
      whole.seek(epoch, 0);
      const std::vector<ReadSentences> expected = read_sentences(whole);
      for (std::int64_t position = 0; position <= whole.length(); ++position) {
        TaggedBatches rest(split, options);
        rest.seek(7, 1);
        rest.seek(epoch, position);
        const std::vector<ReadSentences> got = read_sentences(rest);
        ASSERT_EQ(std::ssize(got), whole.length() - position);
        for (std::size_t k = 0; k < got.size(); ++k)
          expect_equal_sentences(got[k], expected[k + std::size_t(position)]);
      }
    }
  }
}

TEST(TaggedBatches, KeepTheirOrderAndTheirUnknownWords) {
  // Golden: a resumed run must find what an earlier version of the program left.
  const auto split = split_of(text_of({2, 2, 2, 2, 2, 2, 5, 5}, 100));
  TaggedBatches batches(split, {.batch = 2, .unknown_rate = 0.5, .seed = 1});
  std::vector<std::vector<std::int64_t>> rows;
  for (const ReadSentences& read : read_sentences(batches)) rows.push_back(read.rows);
  EXPECT_EQ(rows, (std::vector<std::vector<std::int64_t>>{{6, 7}, {1, 2}, {0, 5}, {3, 4}}));
  std::string unknown;
  for (const bool is : unknown_tokens(*split, batches, 1)) unknown += is ? '1' : '0';
  EXPECT_EQ(unknown, "1011110101101101000001");
}

TEST(TaggedBatches, WriteWhereTheLargestBatchHasRoom) {
  const auto split = split_of(text_of(sentences_of_many_lengths(100, 50), 400));
  TaggedBatches batches(split, {.batch = 8, .characters = true, .unknown_rate = 0.5, .seed = 2});
  Batch batch = batches.largest();
  const auto places = [&] {
    std::vector<const void*> all{batch.columns.data()};
    for (const Column& column : batch.columns) all.push_back(column.ids.data());
    return all;
  };
  const std::vector<const void*> before = places();
  for (const std::int64_t epoch : {1, 2, 3}) {
    batches.seek(epoch, 0);
    while (batches.next(batch)) EXPECT_EQ(places(), before);
  }
  Batch empty;
  batches.seek(1, 0);
  ASSERT_TRUE(batches.next(empty));
  TaggedBatches again(split, {.batch = 8, .characters = true, .unknown_rate = 0.5, .seed = 2});
  expect_equal_sentences({{batches.rows().begin(), batches.rows().end()}, without_padding(empty)},
                         read_sentences(again)[0]);
}

TEST(TaggedBatches, ASentenceOfTenThousandTokensIsABatch) {
  std::vector<int> lengths{10'000, 3, 5};
  const auto split = split_of(text_of(lengths, 3'000));
  TaggedBatches batches(split, {.batch = 2, .characters = true, .seed = 1});
  std::int64_t tokens = 0;
  for (const ReadSentences& read : read_sentences(batches)) tokens += read.batch.count;
  EXPECT_EQ(tokens, 10'008);
  EXPECT_EQ(batches.largest().columns[0].shape, (Shape{10'000, 2}));
}

TEST(TaggedBatches, RefuseWhatIsOutOfRange) {
  const auto split = split_of("a\tA\nb\tB\n");
  EXPECT_THROW(TaggedBatches(split, {.batch = 0}), std::invalid_argument);
  EXPECT_THROW(TaggedBatches(std::make_shared<TaggedSplit>(), {.batch = 1}), std::invalid_argument);
  for (const double rate : {-0.1, 1.1, std::nan("")})
    EXPECT_TRUE(contains(error_of<std::invalid_argument>(
                             [&] { TaggedBatches(split, {.batch = 1, .unknown_rate = rate}); }),
                         "expected one in [0, 1]"));
  TaggedBatches batches(split, {.batch = 1});
  EXPECT_EQ(error_of<std::invalid_argument>([&] { batches.seek(1, 2); }),
            "position 2 of epoch 1, expected one in [0, 1] of an epoch from 1 on");
}

}  // namespace
}  // namespace unroll::test
