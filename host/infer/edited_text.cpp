#include "host/infer/edited_text.h"

#include <algorithm>

namespace unroll {

EditedText::EditedText(TokenStates& states) : states_(states) {
  begin();
}

std::span<const float> EditedText::log_prob(std::span<const std::int32_t> ids) {
  auto common = std::size_t(std::ranges::mismatch(ids, ids_).in1 - ids.begin());
  // A state has no probabilities: its last token is read again.
  if (common == ids.size() && common < ids_.size() && common > 0) --common;
  const std::size_t back = ids_.size() - common;
  try {
    if (back > before_.size() || (common == 0 && back > 0)) {
      begin();
    } else if (back > 0) {
      before_.resize(before_.size() - back + 1);
      states_.put(0, before_.back());
      before_.pop_back();
      ids_.resize(common);
    }
    for (const std::int32_t id : ids.subspan(ids_.size())) read(id);
    return states_.log_prob(0);
  } catch (...) {
    begin();
    throw;
  }
}

void EditedText::begin() {
  ids_.clear();
  before_.clear();
  states_.begin();
}

void EditedText::read(std::int32_t id) {
  before_.push_back(states_.take(0));
  if (before_.size() > kKept) before_.pop_front();
  ids_.push_back(id);
  states_.advance(std::span(&id, 1));
  ++tokens_read_;
}

}  // namespace unroll
