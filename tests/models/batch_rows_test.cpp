#include "host/models/batch_rows.h"

#include <gtest/gtest.h>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using RowIds = std::vector<std::int32_t>;

// Three timesteps of four rows; an id is 10 t + n.
Batch batch_of_four() {
  Batch batch;
  batch.position_after = 3;
  batch.count = 12;
  RowIds ids;
  for (std::int32_t t = 0; t < 3; ++t)
    for (std::int32_t n = 0; n < 4; ++n) ids.push_back(10 * t + n);
  ids.push_back(99);  // room that the shape does not count
  batch.columns = {
      {.shape = {3, 4}, .ids = ids, .row_axis = RowAxis::kSecond},
      {.shape = {12}, .ids = ids, .row_axis = RowAxis::kFirst},
      {.shape = {4}, .ids = {0, 1, 2, 3}, .row_axis = RowAxis::kFirst},
      {.dtype = DType::kFloat32,
       .shape = {3, 4, 2},
       .values = {0,  0,   1,  -1,  2,  -2,  3,  -3,  10, -10, 11, -11,
                  12, -12, 13, -13, 20, -20, 21, -21, 22, -22, 23, -23},
       .row_axis = RowAxis::kSecond},
      {.shape = {2, 3}, .ids = {1, 2, 3, 4, 5, 6}},
  };
  return batch;
}

RowIds row_ids_of(const Column& column) {
  return {column.ids.begin(), column.ids.begin() + column.shape.elements()};
}

TEST(BatchRows, TakesRowsOnEitherAxis) {
  Batch part;
  for (int again = 0; again < 2; ++again) {
    take_rows(batch_of_four(), 4, {1, 3}, part);
    EXPECT_EQ(part.columns[0].shape, (Shape{3, 2}));
    EXPECT_EQ(row_ids_of(part.columns[0]), (RowIds{1, 2, 11, 12, 21, 22}));
    EXPECT_EQ(part.columns[1].shape, Shape{6});
    EXPECT_EQ(row_ids_of(part.columns[1]), (RowIds{1, 2, 11, 12, 21, 22}));
    EXPECT_EQ(row_ids_of(part.columns[2]), (RowIds{1, 2}));
    EXPECT_EQ(part.columns[3].shape, (Shape{3, 2, 2}));
    EXPECT_EQ(part.columns[3].values,
              (std::vector<float>{1, -1, 2, -2, 11, -11, 12, -12, 21, -21, 22, -22}));
    EXPECT_EQ(row_ids_of(part.columns[4]), (RowIds{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(part.count, 12);
    EXPECT_EQ(part.position_after, 3);
  }
}

TEST(BatchRows, AllRowsAreTheBatch) {
  const Batch batch = batch_of_four();
  Batch part;
  take_rows(batch, 4, {0, 4}, part);
  for (std::size_t k = 0; k < batch.columns.size(); ++k) {
    EXPECT_EQ(part.columns[k].shape, batch.columns[k].shape);
    if (batch.columns[k].dtype == DType::kInt32) {
      EXPECT_EQ(row_ids_of(part.columns[k]), row_ids_of(batch.columns[k]));
    }
    EXPECT_EQ(part.columns[k].values, batch.columns[k].values);
  }
}

TEST(BatchRows, AColumnOfOtherRowsIsAMistake) {
  Batch batch = batch_of_four(), part;
  EXPECT_TRUE(contains(error_of<std::logic_error>([&] {
                         take_rows(batch, 5, {0, 1}, part);
                       }),
                       "rows of a batch: got a column [3, 4], expected 5 rows on axis 1"));
}

}  // namespace
}  // namespace unroll::test
