/// What the commands eval and predict say of a classifier: as lines and as JSON.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "host/cli/output.h"
#include "host/data/class_labels.h"
#include "host/data/labelled_texts.h"
#include "host/infer/classifier.h"

namespace unroll::cli {

struct ClassifyReport {
  std::string lines;
  Json json;
};

/// Loss, accuracy and macro F1 on texts, then a table of the classes.
ClassifyReport evaluation_report(const ClassifierEvaluation& evaluation, const ClassLabels& labels,
                                 const LabelledStatistics& texts);

struct ClassPrediction {
  std::string text;
  std::span<const float> log_prob;  // [classes]
};

/// The most probable classes of a text, at most `top`.
ClassifyReport prediction_report(const ClassPrediction& prediction, const ClassLabels& labels,
                                 std::int64_t top);

}  // namespace unroll::cli
