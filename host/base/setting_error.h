/// A failure that another setting would avoid. Its text says settings by what they are, "a batch of
/// 20 streams"; which they are is beside it, so that the program can say how a user gives them.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace unroll {

enum class SettingName : std::uint8_t {
  kTokenizer,
  kSplit,
  kBatchSize,
  kTimesteps,
  kHorizon,
  kValidFraction,
  kTestFraction,
  kLearningRate,
  kClipNorm,
  kLossCeiling,
  kOnDivergence,
  kResume,  // whether a stored run goes on
};

class SettingError : public std::runtime_error {
 public:
  SettingError(const std::string& what, std::vector<SettingName> settings)
      : std::runtime_error(what), settings_(std::move(settings)) {}

  const std::vector<SettingName>& settings() const { return settings_; }

 private:
  std::vector<SettingName> settings_;
};

}  // namespace unroll
