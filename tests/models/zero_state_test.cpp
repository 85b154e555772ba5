/// Streams that begin at a zero state in training: each step's states are those of a step that goes
/// on, or of one from zero, stream by stream.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/models/language_model.h"
#include "tests/support/backends.h"

namespace unroll::test {
namespace {

constexpr std::int64_t kSteps = 3, kStreams = 40;

LanguageModelConfig config_of(CellKind cell) {
  return {{.cell = cell, .vocabulary = 11, .embedding = 6, .hidden = {5, 4}}};
}

using States = std::map<std::string, std::vector<float>>;

/// A training graph whose steps change no parameter.
class Steps {
 public:
  Steps(CellKind cell, double zero_state, std::uint64_t seed,
        const std::shared_ptr<Backend>& backend = cpu(1))
      : task_(config_of(cell), {}, {.zero_state = zero_state}),
        graph_(task_.training_graph({.batch = kStreams,
                                     .optimizer = {.kind = OptimizerKind::kSgd},
                                     .learning_rate = 0,
                                     .guard = {},
                                     .initialization = {}})),
        store_(std::make_shared<VariableStore>(backend, seed)),
        session_(graph_->graph, store_) {
    // The weights do not depend on the seed, so that what is drawn does so alone.
    std::size_t k = 0;
    for (const VariableInfo& info : task_.parameters()) {
      std::vector<float> values(std::size_t(info.type.shape.elements()));
      for (float& value : values) value = 0.3F * float(std::sin(double(++k)));
      store_->write<float>(info.name, values);
    }
  }

  /// The states that step number `step` leaves, if it finds `value` everywhere.
  States after(std::int64_t step, float value) {
    for (const std::string& name : graph_->carried) {
      const std::vector<float> values(store_->read<float>(name).size(), value);
      store_->write<float>(name, values);
    }
    session_.set_step(step);
    std::vector<std::int32_t> ids(std::size_t(kSteps * kStreams));
    for (std::size_t k = 0; k < ids.size(); ++k) ids[k] = std::int32_t(k * k % 11);
    const Feed feeds[] = {{graph_->inputs[0], std::span<const std::int32_t>(ids)},
                          {graph_->inputs[1], std::span<const std::int32_t>(ids)}};
    const Tensor fetches[] = {graph_->step};
    session_.run(fetches, feeds);
    States states;
    for (const std::string& name : graph_->carried) states[name] = store_->read<float>(name);
    return states;
  }

 private:
  LanguageModelTask task_;
  std::unique_ptr<TrainingGraph> graph_;
  std::shared_ptr<VariableStore> store_;
  Session session_;
};

/// Whether each stream began at zero, and fails unless it did so in all of its states or in none.
std::vector<bool> began_at_zero(Steps& steps, std::int64_t step, const States& on,
                                const States& anew) {
  std::vector<int> zero(kStreams), total(kStreams);
  for (const auto& [name, values] : steps.after(step, 0.5F)) {
    const std::size_t units = values.size() / kStreams;
    for (std::size_t k = 0; k < values.size(); ++k) {
      EXPECT_NE(on.at(name)[k], anew.at(name)[k]) << name;
      const bool is_anew = values[k] == anew.at(name)[k];
      EXPECT_TRUE(is_anew || values[k] == on.at(name)[k]) << name << " " << k;
      zero[k / units] += is_anew ? 1 : 0;
      ++total[k / units];
    }
  }
  std::vector<bool> streams(kStreams);
  for (std::size_t s = 0; s < kStreams; ++s) {
    EXPECT_TRUE(zero[s] == 0 || zero[s] == total[s]) << "stream " << s;
    streams[s] = zero[s] > 0;
  }
  return streams;
}

class ZeroState : public ::testing::TestWithParam<CellKind> {};

TEST_P(ZeroState, IsAWholeStreamsAndDependsOnSeedStepAndStream) {
  Steps plain(GetParam(), 0, 1), drawn(GetParam(), 0.25, 1), other(GetParam(), 0.25, 2);
  const States on = plain.after(0, 0.5F), anew = plain.after(0, 0);
  constexpr std::int64_t kDraws = 25;
  std::int64_t zeros = 0;
  std::vector<std::vector<bool>> all;
  for (std::int64_t step = 0; step < kDraws; ++step) {
    all.push_back(began_at_zero(drawn, step, on, anew));
    zeros += std::ranges::count(all.back(), true);
  }
  // 1,000 draws: five standard deviations of the count.
  EXPECT_NEAR(double(zeros), 0.25 * kDraws * kStreams,
              5 * std::sqrt(0.25 * 0.75 * kDraws * kStreams));
  EXPECT_EQ(began_at_zero(drawn, 3, on, anew), all[3]);
  EXPECT_NE(all[3], all[4]);
  EXPECT_NE(began_at_zero(other, 3, on, anew), all[3]);
}

INSTANTIATE_TEST_SUITE_P(Cells, ZeroState, ::testing::Values(CellKind::kLstm, CellKind::kGru),
                         [](const auto& info) { return to_string(info.param); });

class ZeroStateOn : public OnEachBackend {};

TEST_P(ZeroStateOn, DrawsTheSameStreams) {
  Steps here(CellKind::kLstm, 0.25, 1), there(CellKind::kLstm, 0.25, 1, backend_);
  for (std::int64_t step = 0; step < 5; ++step) {
    const States expected = here.after(step, 0.5F), got = there.after(step, 0.5F);
    for (const auto& [name, values] : expected)
      for (std::size_t k = 0; k < values.size(); ++k)
        // Roundings of 3 steps are near 1e-6; a stream that begins elsewhere is off by more.
        EXPECT_NEAR(got.at(name)[k], values[k], 1e-5) << name << " " << k;
  }
}

INSTANTIATE_TEST_SUITE_P(On, ZeroStateOn, ::testing::Values("Cuda"), backend_name);

TEST(ZeroStates, OfARateOutOfRangeAreRefused) {
  for (const double rate : {-0.1, 1.0, std::nan("")})
    EXPECT_THROW(LanguageModelTask(config_of(CellKind::kLstm), {}, {.zero_state = rate}),
                 std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
