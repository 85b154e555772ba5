#include "host/models/evaluation.h"

#include <cmath>
#include <numbers>

namespace unroll {

double Evaluation::perplexity() const {
  return std::exp(loss());
}

double Evaluation::bits_per_character(std::int64_t characters) const {
  return loss_sum / std::numbers::ln2 / double(characters);
}

}  // namespace unroll
