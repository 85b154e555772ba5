/// Several training runs on one self-contained HTML page: their curves over each other, and what
/// their settings differ in. All text from files is escaped.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/pages/run_history.h"

namespace unroll {

/// Each has a colour of its own.
inline constexpr std::size_t kMostCompared = 8;

struct ComparedRun {
  std::string name;
  RunHistory history;
  nlohmann::json config{};  // all of config.json; null before the first checkpoint
};

/// The page. Errors: std::invalid_argument unless there are 1 to kMostCompared runs;
/// std::runtime_error if their losses have different units.
std::string make_comparison(const std::vector<ComparedRun>& runs);

}  // namespace unroll
