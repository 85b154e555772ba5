#include "host/data/text_batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Lengths = std::vector<std::int64_t>;

/// Text k has the ids 1000 k + 1, 1000 k + 2, ... and class k mod 7.
std::shared_ptr<const LabelledSplit> texts_of(const Lengths& lengths) {
  LabelledSplit split;
  split.statistics.per_class.resize(7);
  for (std::size_t k = 0; k < lengths.size(); ++k) {
    std::vector<std::int32_t> ids(std::size_t(lengths[k]));
    std::iota(ids.begin(), ids.end(), std::int32_t(1000 * k + 1));
    split.add(ids, std::int32_t(k % 7));
  }
  return std::make_shared<const LabelledSplit>(std::move(split));
}

/// 1 to `longest`, each several times, in disorder.
Lengths many_lengths(std::size_t count, std::int64_t longest) {
  Lengths lengths;
  for (std::size_t k = 0; k < count; ++k)
    lengths.push_back(1 + std::int64_t(k * k * 31 + k * 7) % longest);
  return lengths;
}

struct Read {
  std::vector<std::int64_t> rows;  // texts
  Batch batch;
};

/// The elements that count.
Batch trimmed(Batch batch) {
  for (Column& column : batch.columns) {
    const auto size = std::size_t(column.shape.elements());
    if (column.dtype == DType::kInt32) column.ids.resize(size);
    if (column.dtype == DType::kFloat32) column.values.resize(size);
  }
  return batch;
}

std::vector<Read> read_all(TextBatches& batches) {
  std::vector<Read> all;
  Batch batch = batches.largest();
  while (batches.next(batch))
    all.push_back({{batches.rows().begin(), batches.rows().end()}, trimmed(batch)});
  EXPECT_FALSE(batches.next(batch));
  return all;
}

void expect_equal(const Batch& a, const Batch& b) {
  ASSERT_EQ(a.columns.size(), b.columns.size());
  for (std::size_t k = 0; k < a.columns.size(); ++k) {
    EXPECT_EQ(a.columns[k].shape, b.columns[k].shape);
    EXPECT_EQ(a.columns[k].ids, b.columns[k].ids);
    EXPECT_EQ(a.columns[k].values, b.columns[k].values);
  }
  EXPECT_EQ(a.count, b.count);
  EXPECT_EQ(a.position_after, b.position_after);
}

std::vector<Lengths> orders(const std::vector<Read>& all) {
  std::vector<Lengths> rows;
  for (const Read& read : all) rows.push_back(read.rows);
  return rows;
}

TEST(TextBatches, HaveTheTextsAsColumns) {
  TextBatches batches(texts_of({3, 1, 2}), {.batch = 2, .mean = true});
  EXPECT_EQ(batches.length(), 2);
  EXPECT_EQ(batches.stride(), 1);
  EXPECT_EQ(batches.batches(), 2);
  const std::vector<Read> all = read_all(batches);
  ASSERT_EQ(all.size(), 2U);
  // The shortest text has a batch for itself.
  const std::vector<Column>& first = all[0].batch.columns;
  ASSERT_EQ(first.size(), 4U);
  EXPECT_EQ(first[0].shape, (Shape{1, 2}));
  EXPECT_EQ(first[0].ids, (std::vector<std::int32_t>{1001, 0}));
  EXPECT_EQ(first[1].shape, (Shape{2}));
  EXPECT_EQ(first[1].ids, (std::vector<std::int32_t>{1, 1}));
  EXPECT_EQ(first[2].shape, (Shape{2}));
  EXPECT_EQ(first[2].ids, (std::vector<std::int32_t>{1, kIgnoredId}));
  EXPECT_EQ(first[3].shape, (Shape{2, 1}));
  EXPECT_EQ(first[3].dtype, DType::kFloat32);
  EXPECT_EQ(first[3].values, (std::vector<float>{1, 1}));
  EXPECT_EQ(all[0].batch.count, 1);
  EXPECT_EQ(all[0].batch.position_after, 1);
  const std::vector<Column>& second = all[1].batch.columns;
  EXPECT_EQ(second[0].shape, (Shape{3, 2}));
  EXPECT_EQ(second[0].ids, (std::vector<std::int32_t>{2001, 1, 2002, 2, 0, 3}));
  EXPECT_EQ(second[1].ids, (std::vector<std::int32_t>{2, 3}));
  EXPECT_EQ(second[2].ids, (std::vector<std::int32_t>{2, 0}));
  EXPECT_EQ(second[3].values, (std::vector<float>{0.5F, 1 / 3.0F}));
  EXPECT_EQ(all[1].batch.count, 2);
  EXPECT_EQ(all[1].batch.position_after, 2);
}

TEST(TextBatches, WithoutAMeanHaveThreeColumns) {
  TextBatches batches(texts_of({3, 1, 2}), {.batch = 4});
  EXPECT_EQ(batches.largest().columns.size(), 3U);
  const std::vector<Read> all = read_all(batches);
  ASSERT_EQ(all.size(), 1U);  // fewer texts than rows
  EXPECT_EQ(all[0].batch.columns[2].ids, (std::vector<std::int32_t>{1, 2, 0, kIgnoredId}));
  EXPECT_EQ(all[0].batch.count, 3);
}

TEST(TextBatches, EveryTextIsThereOncePerEpoch) {
  for (const std::size_t count : {1U, 31U, 32U, 33U, 255U, 256U, 257U})
    for (const std::int64_t n : {1, 3, 32}) {
      SCOPED_TRACE(std::to_string(count) + " texts, batches of " + std::to_string(n));
      const auto texts = texts_of(many_lengths(count, 40));
      TextBatches batches(texts, {.batch = n, .seed = 5});
      for (const std::int64_t epoch : {1, 2}) {
        batches.seek(epoch, 0);
        std::vector<int> seen(count);
        std::int64_t counted = 0, partial = 0;
        for (const Read& read : read_all(batches)) {
          counted += read.batch.count;
          partial += read.batch.count < n ? 1 : 0;
          const std::int64_t steps = read.batch.columns[0].shape[0];
          for (std::size_t row = 0; row < read.rows.size(); ++row) {
            const std::int64_t k = read.rows[row];
            ++seen[std::size_t(k)];
            EXPECT_EQ(read.batch.columns[1].ids[row], texts->length(k));
            EXPECT_EQ(read.batch.columns[2].ids[row], k % 7);
            for (std::int64_t t = 0; t < steps; ++t)
              EXPECT_EQ(read.batch.columns[0].ids[std::size_t(t * n) + row],
                        t < texts->length(k) ? 1000 * k + 1 + t : 0);
          }
        }
        EXPECT_EQ(seen, std::vector<int>(count, 1));
        EXPECT_EQ(counted, std::int64_t(count));
        EXPECT_EQ(partial, std::int64_t(count) % n == 0 ? 0 : 1);
      }
    }
}

TEST(TextBatches, SimilarLengthsShareABatch) {
  const auto texts = texts_of(many_lengths(500, 300));
  TextBatches batches(texts, {.batch = 16, .seed = 3});
  std::set<std::pair<std::int64_t, std::int64_t>> ranges;
  for (const Read& read : read_all(batches)) {
    Lengths lengths;
    for (const std::int64_t k : read.rows) lengths.push_back(texts->length(k));
    ranges.emplace(std::ranges::min(lengths), std::ranges::max(lengths));
  }
  std::int64_t before = 0;
  for (const auto& [least, most] : ranges) {
    EXPECT_GE(least, before);  // no text of one batch lies between two of another
    before = most;
  }
}

/// The different T, and whether T pads the longest text of each batch by at most `share` of T.
std::set<std::int64_t> steps_of(const Lengths& lengths, std::int64_t n, double share) {
  const auto texts = texts_of(lengths);
  TextBatches batches(texts, {.batch = n});
  std::set<std::int64_t> steps;
  Batch batch = batches.largest();
  const std::int64_t most = batch.columns[0].shape[0];
  while (batches.next(batch)) {
    const std::int64_t t = batch.columns[0].shape[0];
    std::int64_t longest = 0;
    for (const std::int64_t k : batches.rows()) longest = std::max(longest, texts->length(k));
    EXPECT_GE(t, longest);
    EXPECT_LE(t, most);
    EXPECT_LE(double(t - longest), share * double(t)) << longest;
    steps.insert(t);
  }
  EXPECT_EQ(*steps.rbegin(), most);
  return steps;
}

TEST(TextBatches, FewTPadLittle) {
  Lengths all(900);
  std::iota(all.begin(), all.end(), 1);
  EXPECT_LE(steps_of(all, 1, 0.125).size(), 40U);
  EXPECT_LE(steps_of(Lengths(all.begin(), all.begin() + 90), 1, 0.125).size(), 26U);
  Lengths thousands(8000);
  std::iota(thousands.begin(), thousands.end(), 1);
  EXPECT_LE(steps_of(thousands, 1, 0.1875).size(), 40U);  // three steps of a share that grows
  EXPECT_LE(steps_of(thousands, 32, 0.125).size(), 40U);
  // Few lengths need no padding.
  EXPECT_EQ(steps_of({100, 3, 50, 3, 12, 70}, 1, 0), (std::set<std::int64_t>{3, 12, 50, 70, 100}));
  EXPECT_EQ(steps_of({7, 8, 8, 16, 15, 14, 13}, 1, 0.125), (std::set<std::int64_t>{8, 13, 16}));
}

TEST(TextBatches, OrderDependsOnSeedAndEpochOnly) {
  const auto texts = texts_of(many_lengths(200, 12));
  const auto order = [&](std::uint64_t seed, std::int64_t epoch) {
    TextBatches batches(texts, {.batch = 8, .seed = seed});
    batches.seek(epoch, 0);
    return orders(read_all(batches));
  };
  EXPECT_NE(order(1, 1), order(1, 2));
  EXPECT_NE(order(1, 1), order(2, 1));
  EXPECT_NE(order(1, 2), order(2, 1));
  TextBatches batches(texts, {.batch = 8, .seed = 1});
  for (const std::int64_t epoch : {1, 2, 7, 2, 1}) {  // whatever was read before
    batches.seek(epoch, epoch == 7 ? 3 : 0);
    const std::vector<Lengths> rows = orders(read_all(batches));
    if (epoch != 7) {
      EXPECT_EQ(rows, order(1, epoch));
    }
  }
  // Texts of equal length change batches, and batches change places: not one of the two only.
  auto first = order(1, 1), second = order(1, 2);
  const auto lengths = [&](const std::vector<Lengths>& rows) {
    Lengths of_batches;
    for (const Lengths& batch : rows) of_batches.push_back(texts->length(batch[0]));
    return of_batches;
  };
  EXPECT_NE(lengths(first), lengths(second));
  for (auto* rows : {&first, &second})
    for (Lengths& batch : *rows) std::ranges::sort(batch);
  std::ranges::sort(first);
  std::ranges::sort(second);
  EXPECT_NE(first, second);
}

TEST(TextBatches, KeepTheirOrder) {
  // Golden: a resumed run must find the order that an earlier version of the program left.
  TextBatches batches(texts_of({2, 2, 2, 2, 2, 2, 5, 5}), {.batch = 2, .seed = 1});
  EXPECT_EQ(orders(read_all(batches)), (std::vector<Lengths>{{6, 7}, {1, 2}, {0, 5}, {3, 4}}));
}

TEST(TextBatches, EachOrderOfEqualTextsIsAsLikely) {
  // 24 orders of 4 texts in 2400 epochs, 100 each; 6 deviations of a binomial one are 59.
  TextBatches batches(texts_of({1, 1, 1, 1}), {.batch = 4, .seed = 9});
  std::map<Lengths, int> times;
  Batch batch = batches.largest();
  for (std::int64_t epoch = 1; epoch <= 2400; ++epoch) {
    batches.seek(epoch, 0);
    ASSERT_TRUE(batches.next(batch));
    ++times[{batches.rows().begin(), batches.rows().end()}];
  }
  EXPECT_EQ(times.size(), 24U);
  for (const auto& [order, count] : times) EXPECT_NEAR(count, 100, 59);
}

TEST(TextBatches, WithoutASeedComeByLength) {
  TextBatches batches(texts_of({3, 1, 2, 1, 3}), {.batch = 2});
  const std::vector<Lengths> expected{{1}, {3, 2}, {0, 4}};
  EXPECT_EQ(orders(read_all(batches)), expected);
  batches.seek(2, 0);
  EXPECT_EQ(orders(read_all(batches)), expected);
}

TEST(TextBatches, GoOnFromAnyPosition) {
  const auto texts = texts_of(many_lengths(70, 20));
  for (const bool shuffled : {false, true}) {
    TextBatches::Options options{.batch = 4, .mean = true};
    if (shuffled) options.seed = 11;
    for (const std::int64_t epoch : {1, 3}) {
      TextBatches whole(texts, options);
      whole.seek(epoch, 0);
      const std::vector<Read> expected = read_all(whole);
      for (std::int64_t at = 0; at <= whole.length(); ++at) {
        TextBatches rest(texts, options);
        rest.seek(epoch, at);
        const std::vector<Read> got = read_all(rest);
        ASSERT_EQ(std::ssize(got), whole.length() - at);
        for (std::size_t k = 0; k < got.size(); ++k) {
          const Read& same = expected[k + std::size_t(at)];
          EXPECT_EQ(got[k].rows, same.rows);
          expect_equal(got[k].batch, same.batch);
        }
      }
    }
  }
}

TEST(TextBatches, WriteWhereTheLargestBatchHasRoom) {
  TextBatches batches(texts_of(many_lengths(100, 50)), {.batch = 8, .mean = true, .seed = 2});
  Batch batch = batches.largest();
  const auto places = [&] {
    std::vector<const void*> all{batch.columns.data()};
    for (const Column& column : batch.columns)
      all.insert(all.end(), {column.ids.data(), column.values.data()});
    return all;
  };
  const std::vector<const void*> before = places();
  while (batches.next(batch)) EXPECT_EQ(places(), before);
  Batch empty;
  batches.seek(1, 0);
  EXPECT_TRUE(batches.next(empty));
  expect_equal(trimmed(empty), [&] {
    TextBatches again(texts_of(many_lengths(100, 50)), {.batch = 8, .mean = true, .seed = 2});
    return read_all(again)[0].batch;
  }());
}

TEST(TextBatches, RefuseWhatIsOutOfRange) {
  EXPECT_EQ(error_of<std::invalid_argument>([] { TextBatches(texts_of({1}), {.batch = 0}); }),
            "batches of 0 from 1 texts, expected 1 or more of 1 or more");
  EXPECT_THROW(TextBatches(texts_of({}), {.batch = 1}), std::invalid_argument);
  TextBatches batches(texts_of({1, 2, 3}), {.batch = 2});
  EXPECT_EQ(error_of<std::invalid_argument>([&] { batches.seek(1, 3); }),
            "position 3 of epoch 1, expected one in [0, 2] of an epoch from 1 on");
  EXPECT_THROW(batches.seek(0, 0), std::invalid_argument);
  EXPECT_THROW(batches.seek(1, -1), std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
