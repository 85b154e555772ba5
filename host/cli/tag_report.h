/// What the command eval says of a tagger: as lines and as JSON.
#pragma once

#include <string>

#include "host/cli/output.h"
#include "host/data/class_labels.h"
#include "host/infer/tagger.h"

namespace unroll::cli {

struct TagReport {
  std::string lines;
  Json json;
};

/// Loss, accuracy, accuracy on words that the training text has not; then a table of the tags, each
/// with the tags that its words were given instead.
TagReport tag_report(const TaggerEvaluation& evaluation, const ClassLabels& tags);

}  // namespace unroll::cli
