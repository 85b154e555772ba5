/// The random numbers behind initialisation, dropout and sampling.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <set>
#include <string>

#include "tests/support/reference_training.h"
#include "unroll/math/philox.h"

namespace unroll::test {
namespace {

using math::PhiloxBlock;

// The three vectors that Random123 publishes for philox4x32-10 (kat_vectors): zeros, ones, and the
// digits of pi. Words are listed from the lowest.
TEST(Philox, KnownAnswers) {
  struct KnownAnswer {
    std::uint64_t key, step, block;
    std::uint32_t expected[4];
  };
  const KnownAnswer table[] = {
      {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {~0ULL, ~0ULL, ~0ULL, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {0x299f31d0a4093822,
       0x0370734413198a2e,
       0x85a308d3243f6a88,
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const KnownAnswer& row : table) {
    const PhiloxBlock actual = math::philox(row.key, row.step, row.block);
    for (int k = 0; k < 4; ++k) EXPECT_EQ(actual.word[k], row.expected[k]);
  }
}

TEST(Philox, TheReferenceOfTheOtherTestsKnowsThemToo) {
  EXPECT_EQ(reference::philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                                  {0xa4093822, 0x299f31d0}),
            (reference::Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, AnElementsWordIsOneOfFourInItsBlock) {
  for (const std::uint64_t index : {0ULL, 1ULL, 6ULL, 7ULL, 0xFFFFFFFFFULL})
    EXPECT_EQ(math::philox_word(11, 3, index), math::philox(11, 3, index / 4).word[index % 4]);
}

TEST(Philox, UniformNumbersLieBelowOneAndAreExact) {
  EXPECT_EQ(math::uniform01(0), 0.0F);
  EXPECT_EQ(math::uniform01(0xFFFFFFFF), 1 - 0x1p-24F);
  EXPECT_EQ(math::uniform01(0x80000000), 0.5F);
  EXPECT_EQ(math::uniform01(0x000000FF), 0.0F);
  EXPECT_EQ(math::uniform01(0x00000100), 0x1p-24F);
}

// Chi-squared over 256 bins with 256 expected in each: 255 degrees of freedom, standard deviation
// 22.6; the bound is 5 of them either way. The numbers are fixed, so this test is deterministic.
TEST(Philox, NumbersAreUniform) {
  double bins[256] = {};
  for (std::uint64_t k = 0; k < 65536; ++k)
    ++bins[int(math::uniform01(math::philox_word(42, 0, k)) * 256)];
  double chi = 0;
  for (const double count : bins) chi += (count - 256) * (count - 256) / 256;
  EXPECT_NEAR(chi, 255, 113);
}

TEST(Philox, DropoutThresholdIsTheRatesShareOfAllWords) {
  EXPECT_EQ(math::dropout_threshold(0), 0U);
  EXPECT_EQ(math::dropout_threshold(0.5F), 0x80000000U);
  EXPECT_EQ(math::dropout_threshold(0.75F), 0xC0000000U);
  EXPECT_EQ(math::dropout_threshold(1 - 0x1p-24F), 0xFFFFFF00U);
}

// FNV-1a of the empty string and of "a" are in the list of Fowler, Noll & Vo (cbf29ce484222325 and
// af63dc4c8601ec8c); SplitMix64's first number after a state of 0 is e220a8397b1dcdaf. The seed
// that takes FNV-1a("") to SplitMix64's first state connects the two.
TEST(Philox, KeysAreFnv1aThenSplitMix64) {
  constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15, kInverse = 0xF1DE83E19937733D;
  static_assert(kGolden * kInverse == 1);
  const std::uint64_t empty = (kGolden - 0xcbf29ce484222325) * kInverse;
  const std::uint64_t a = (kGolden - 0xaf63dc4c8601ec8c) * kInverse;
  EXPECT_EQ(math::philox_key(empty, ""), 0xe220a8397b1dcdafU);
  EXPECT_EQ(math::philox_key(a, "a"), 0xe220a8397b1dcdafU);
  for (const char* site : {"", "dropout", "rnn", "encoder.weight", "b\xc3\xa4r"})
    EXPECT_EQ(math::philox_key(7, site), reference::philox_key(7, site));
}

TEST(Philox, NeighbouringSeedsAndSitesHaveUnrelatedKeys) {
  std::set<std::uint64_t> keys;
  double flipped = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const std::uint64_t key = math::philox_key(seed, "dropout");
    for (int layer = 0; layer < 10; ++layer) keys.insert(key + std::uint64_t(layer));
    flipped += __builtin_popcountll(key ^ math::philox_key(seed + 1, "dropout"));
    flipped += __builtin_popcountll(key ^ math::philox_key(seed, "dropout_1"));
  }
  EXPECT_EQ(keys.size(), 1000U);
  EXPECT_NEAR(flipped / 200, 32, 2);  // half of 64 bits; the mean of 200 has standard deviation 0.3
}

}  // namespace
}  // namespace unroll::test
