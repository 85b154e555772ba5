/// A training run as one HTML page that needs nothing else: no script to be read, no file beside
/// it, no network. Everything that comes from files is escaped.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/models/language_model.h"
#include "host/pages/run_history.h"

namespace unroll {

struct ReportSample {
  double temperature;
  std::string text;
};

/// The checkpoint that a report is about.
struct ReportModel {
  LanguageModelConfig model;
  nlohmann::json config;  // all of config.json
  std::vector<ReportSample> samples{};
};

struct ReportData {
  std::string name;  // the run's
  RunHistory history;
  std::optional<ReportModel> model{};  // none before the first checkpoint
};

/// The page, some 100 kB however long the run is.
std::string make_report(const ReportData& data);

}  // namespace unroll
