/// How good a model is on a text or a table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace unroll {

/// Sums over what was measured.
struct Evaluation {
  double loss_sum = 0;     // in nats, or what the task's loss is measured in
  std::int64_t count = 0;  // tokens (<eos> is one), texts, or rows
  std::int64_t hits = 0;   // of them, where the most probable class was the target

  double loss() const { return loss_sum / double(count); }
  double accuracy() const { return double(hits) / double(count); }
  double perplexity() const;  // of a loss in nats
  /// `characters` of the source text, newlines included.
  double bits_per_character(std::int64_t characters) const;
};

/// What is said of an evaluation beside its loss.
struct Measure {
  std::string name;  // as a member of JSON, and in lines: "valid ppl"
  double value = 0;
  std::string text;      // formatted for lines
  bool of_loss = false;  // follows from the loss, so that a mean training loss has it, too
  bool in_lines = true;  // else only in metrics.jsonl and in JSON
};

}  // namespace unroll
