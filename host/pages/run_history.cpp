#include "host/pages/run_history.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

#include "host/base/strict_json.h"

namespace unroll {
namespace {

constexpr std::int64_t kLargestStep = std::int64_t(1)
                                      << 53;  // the largest that every JSON reader keeps exactly

constexpr std::int64_t kLongestLine = 1 << 14;  // a run writes about 300 bytes

bool is_given(const JsonObject& line, const char* key) {
  return line.has(key) && !line.at(key).is_null();
}

double number_or_nan(const JsonObject& line, const char* key) {
  constexpr double kMax = std::numeric_limits<double>::max();
  return is_given(line, key) ? line.number(key, -kMax, kMax)
                             : std::numeric_limits<double>::quiet_NaN();
}

std::string string_or_empty(const JsonObject& line, const char* key) {
  return is_given(line, key) ? line.string(key) : "";
}

void add_line(const JsonObject& line, RunHistory& history) {
  const std::string event = line.string("event");
  const bool train = event == "train", valid = event == "valid", test = event == "test";
  if (!train && !valid && !test && event != "diverged" && event != "jump") return;
  const std::int64_t step = line.integer("step", 0, kLargestStep);
  const std::int64_t epoch = is_given(line, "epoch") ? line.integer("epoch", 0, kLargestStep) : 0;
  if (train) {
    for (const char* unit : {"texts", "windows", "words"})
      if (is_given(line, (std::string(unit) + "_per_second").c_str())) history.unit = unit;
    history.train.push_back({step, epoch, number_or_nan(line, "loss"),
                             number_or_nan(line, "gradient_norm"), number_or_nan(line, "lr"),
                             number_or_nan(line, (history.unit + "_per_second").c_str())});
  } else if (valid || test) {
    const EvaluationRecord record{step,
                                  epoch,
                                  number_or_nan(line, "loss"),
                                  number_or_nan(line, "accuracy"),
                                  number_or_nan(line, "mse"),
                                  number_or_nan(line, "pinball")};
    if (valid)
      history.valid.push_back(record);
    else
      history.test = record;
  } else {
    history.events.push_back({event, step, epoch, number_or_nan(line, "loss"),
                              number_or_nan(line, "limit"), string_or_empty(line, "reason"),
                              string_or_empty(line, "parameter"), string_or_empty(line, "action")});
  }
  history.steps = step;
  history.epochs = epoch;
  if (is_given(line, "seconds")) history.seconds = number_or_nan(line, "seconds");
}

}  // namespace

const EvaluationRecord* RunHistory::best() const {
  const EvaluationRecord* best = nullptr;
  for (const EvaluationRecord& record : valid)
    if (std::isfinite(record.loss) && (!best || record.loss < best->loss)) best = &record;
  return best;
}

RunHistory read_run_history(std::istream& text, const std::string& name) {
  RunHistory history;
  std::int64_t number = 0;
  std::vector<char> room(kLongestLine + 1);
  while (text.getline(room.data(), std::ssize(room))) {
    const bool whole = !text.eof();
    // gcount() counts the newline, too.
    const std::string_view line(room.data(), std::size_t(text.gcount()) - (whole ? 1 : 0));
    const std::string where = fmt::format("{}: line {}", name, ++number);
    nlohmann::json value;
    try {
      value = parse_json(line, where);
    } catch (const std::runtime_error&) {
      if (whole) throw;
      break;
    }
    add_line(JsonObject(value, where), history);
  }
  if (text.bad()) throw std::runtime_error(name + ": cannot be read");
  if (!text.eof())
    throw std::runtime_error(fmt::format("{}: line {}: is longer than {} bytes, expected a metric",
                                         name, number + 1, kLongestLine));
  return history;
}

RunHistory read_run_history(const std::filesystem::path& file) {
  // Check before opening: opening a pipe would wait for a writer.
  std::error_code none;
  const bool regular = std::filesystem::is_regular_file(file, none);
  std::ifstream text;
  if (regular) text.open(file, std::ios::binary);
  if (!text.is_open())
    throw std::runtime_error(file.string() + ": cannot be opened, expected the metrics of a run");
  return read_run_history(text, file.string());
}

}  // namespace unroll
