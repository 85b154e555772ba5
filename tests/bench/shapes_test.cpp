#include "host/bench/shapes.h"

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>
#include <string>

namespace unroll::benchmark {
namespace {

TEST(StackShapes, NamesOfTheTableAreDistinctAndItsStacksValid) {
  std::set<std::string> names;
  for (const StackShape& shape : named_shapes()) {
    EXPECT_TRUE(names.insert(shape.name).second) << shape.name;
    EXPECT_NO_THROW(validate(shape.spec)) << shape.name;
    EXPECT_FALSE(shape.source.empty()) << shape.name;
    EXPECT_GT(shape.steps * shape.batch * shape.input, 0) << shape.name;
  }
  EXPECT_GE(names.size(), 40U);
}

TEST(StackShapes, AreChosenByNameByNumbersAndByCell) {
  EXPECT_EQ(choose_shapes({}, {}).size(), named_shapes().size());
  const auto two = choose_shapes({"wlm650", "7,5,3,9,2"}, {});
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(two[0].name, "wlm650");
  EXPECT_EQ(two[1].name, "7x5x3x9x2");
  EXPECT_EQ(cell_name(two[1].spec), "lstm");
  EXPECT_EQ(two[1].steps, 7);
  EXPECT_EQ(two[1].batch, 5);
  EXPECT_EQ(two[1].input, 3);
  EXPECT_EQ(hidden_text(two[1].spec), "9/9");
  const auto cells = choose_shapes({"7,5,3,9,1"}, {"gru_before", "rnn_relu"});
  ASSERT_EQ(cells.size(), 2U);
  EXPECT_EQ(cell_name(cells[0].spec), "gru_before");
  EXPECT_EQ(cell_name(cells[1].spec), "rnn_relu");
  for (const StackShape& shape : choose_shapes({}, {"gru"}))
    EXPECT_EQ(cell_name(shape.spec), "gru") << shape.name;
  for (const std::string& cell : cell_names())
    EXPECT_EQ(cell_name(choose_shapes({"1,1,1,1,1"}, {cell})[0].spec), cell);
}

TEST(StackShapes, OthersAreRefused) {
  for (const char* name :
       {"wlm20", "", "1,2,3,4", "1,2,3,4,5,6", "1,2,3,4,0", "1,2,,4,1", "1,2,3,4,", "1,2,3,-4,1",
        "1,2,3,4x,1", "1,2,3,4,65", "1,2,3,2000000,1", "99999999999999999999,1,1,1,1"})
    EXPECT_THROW(choose_shapes({name}, {}), std::invalid_argument) << name;
  EXPECT_THROW(choose_shapes({}, {"lstn"}), std::invalid_argument);
  EXPECT_THROW(choose_shapes({"wlm650"}, {"gru"}), std::invalid_argument);
}

// Computed by hand: a layer of G gates multiplies [B, I + H] by [I + H, G H].
TEST(StackShapes, OperationsAreThoseOfTheProducts) {
  const StackShape lstm = choose_shapes({"7,5,3,9,2"}, {"lstm"})[0];
  EXPECT_EQ(forward_flop(lstm), 2.0 * 5 * 4 * 9 * (3 + 9) + 2.0 * 5 * 4 * 9 * (9 + 9));
  EXPECT_EQ(backward_flop(lstm), 2 * forward_flop(lstm));
  const StackShape gru = choose_shapes({"7,5,3,9,1"}, {"gru"})[0];
  EXPECT_EQ(forward_flop(gru), 2.0 * 5 * 3 * 9 * (3 + 9));
}

}  // namespace
}  // namespace unroll::benchmark
