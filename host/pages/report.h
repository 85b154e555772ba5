/// A training run as one self-contained HTML page: no external script, no other files, no network.
/// All text from files is escaped.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/models/task.h"
#include "host/pages/run_history.h"

namespace unroll {

struct ReportSample {
  double temperature;
  std::string text;
};

/// The checkpoint that a report is about.
struct ReportModel {
  std::shared_ptr<const Task> task;
  nlohmann::json config;  // all of config.json
  std::vector<ReportSample> samples{};
};

struct ReportData {
  std::string name;  // name of the run
  RunHistory history;
  std::optional<ReportModel> model{};  // none before the first checkpoint
};

/// The page. Its size is about 100 kB for a run of any length.
std::string make_report(const ReportData& data);

}  // namespace unroll
