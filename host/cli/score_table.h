/// How well each class of a confusion table was told from the others: lines for people, and JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "host/cli/output.h"
#include "host/infer/confusion.h"

namespace unroll::cli {

class ScoreTable {
 public:
  struct Words {
    const char* one;     // a class in the heading
    const char* member;  // a class in JSON
    const char* items;   // what has classes: "texts"
  };
  /// Both must outlive it. `names`: of each class.
  ScoreTable(const ConfusionTable& confusion, const std::vector<std::string>& names,
             const Words& words);

  // Lines without their ends.
  std::string heading() const;
  std::string line(std::int32_t one) const;
  Json json(std::int32_t one) const;

 private:
  const ConfusionTable& confusion_;
  const std::vector<std::string>& names_;
  Words words_;
  std::size_t width_;
};

}  // namespace unroll::cli
