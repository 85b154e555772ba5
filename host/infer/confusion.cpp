#include "host/infer/confusion.h"

namespace unroll {

void ConfusionTable::add(std::int32_t its_class, std::int32_t predicted) {
  ClassScore& own = scores_.at(std::size_t(its_class));
  ClassScore& given = scores_.at(std::size_t(predicted));
  ++own.texts;
  ++given.predicted;
  ++texts_;
  ++counts_[{its_class, predicted}];
  if (its_class != predicted) return;
  ++own.hits;
  ++hits_;
}

std::int64_t ConfusionTable::count(std::int32_t its_class, std::int32_t predicted) const {
  const auto found = counts_.find({its_class, predicted});
  return found == counts_.end() ? 0 : found->second;
}

double ConfusionTable::accuracy() const {
  return texts_ == 0 ? 0 : double(hits_) / double(texts_);
}

double ConfusionTable::macro_f1() const {
  double sum = 0;
  std::int64_t occur = 0;
  for (const ClassScore& score : scores_)
    if (score.texts + score.predicted > 0) {
      sum += score.f1();
      ++occur;
    }
  return occur == 0 ? 0 : sum / double(occur);
}

}  // namespace unroll
