#include "host/pages/report_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace unroll {
namespace {

std::string perplexity(double loss) {
  const double value = std::exp(loss);
  if (!std::isfinite(value)) return "–";
  return value >= 1e6 ? fmt::format("{:.2e}", value) : fmt::format("{:.2f}", value);
}

}  // namespace

std::string duration(double seconds) {
  const auto total = std::int64_t(std::llround(std::clamp(seconds, 0.0, 1e12)));
  if (total >= 3600) return fmt::format("{} h {} min", total / 3600, total % 3600 / 60);
  if (total >= 60) return fmt::format("{} min {} s", total / 60, total % 60);
  return fmt::format("{} s", total);
}

std::string value_text(const nlohmann::json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  std::string text;
  if (value.is_object()) {
    for (const auto& [name, member] : value.items())
      text += (text.empty() ? "" : ", ") + name + " " + value_text(member);
    return text;
  }
  if (!value.is_array()) return value.dump();
  for (const nlohmann::json& element : value)
    text += (text.empty() ? "" : ", ") + value_text(element);
  return text;
}

bool Measurement::has_quantiles() const {
  return !history.valid.empty() && std::isfinite(history.valid.front().pinball);
}

std::string Measurement::name() const {
  if (is_series()) return has_quantiles() ? "pinball loss" : "mean squared error";
  return is_perplexity() ? "perplexity" : "accuracy";
}

std::string Measurement::loss_unit() const {
  if (is_series()) return has_quantiles() ? "loss, deviations" : "loss, squared deviations";
  return "loss, nats per " + history.unit.substr(0, history.unit.size() - 1);
}

std::string Measurement::of(const EvaluationRecord& record) const {
  if (is_series()) {
    const double value = has_quantiles() ? record.pinball : record.mse;
    return std::isfinite(value) ? fmt::format("{:.5g}", value) : "–";
  }
  if (is_perplexity()) return perplexity(record.loss);
  return std::isfinite(record.accuracy) ? fmt::format("{:.2f} %", 100 * record.accuracy) : "–";
}

}  // namespace unroll
