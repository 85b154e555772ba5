#include "host/bench/shapes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <stdexcept>
#include <utility>

namespace unroll::benchmark {
namespace {

const std::vector<std::pair<std::string, RecurrentSpec>>& cells() {
  static const std::vector<std::pair<std::string, RecurrentSpec>> all = {
      {"lstm", {CellKind::kLstm, GruReset::kAfter, {}}},
      {"gru", {CellKind::kGru, GruReset::kAfter, {}}},
      {"gru_before", {CellKind::kGru, GruReset::kBefore, {}}},
      {"rnn_tanh", {CellKind::kRnnTanh, GruReset::kAfter, {}}},
      {"rnn_relu", {CellKind::kRnnRelu, GruReset::kAfter, {}}},
      {"rnn_logistic", {CellKind::kRnnLogistic, GruReset::kAfter, {}}},
  };
  return all;
}

RecurrentSpec spec_of(const std::string& cell, std::vector<std::int64_t> hidden) {
  for (const auto& [name, spec] : cells())
    if (name == cell) {
      RecurrentSpec one = spec;
      one.hidden = std::move(hidden);
      return one;
    }
  throw std::invalid_argument(
      fmt::format("cell: got '{}', expected one of {}", cell, fmt::join(cell_names(), ", ")));
}

StackShape stack(std::string name, std::string source, const char* cell, std::int64_t steps,
                 std::int64_t batch, std::int64_t input, std::vector<std::int64_t> hidden) {
  return {
      std::move(name), std::move(source), spec_of(cell, std::move(hidden)), steps, batch, input};
}

/// The five numbers T,B,I,H,L; nullopt if it is a name.
std::optional<std::vector<std::int64_t>> numbers(const std::string& text) {
  if (text.find(',') == text.npos) return std::nullopt;
  std::vector<std::int64_t> all;
  for (const char *at = text.data(), *end = at + text.size(); at <= end; ++at) {
    std::int64_t number = 0;
    const auto [stop, error] = std::from_chars(at, end, number);
    // The limit keeps products of several numbers from overflowing.
    if (error != std::errc() || number < 1 || number > (1 << 20) || (stop < end && *stop != ','))
      break;
    all.push_back(number);
    at = stop;
  }
  const auto commas = std::ranges::count(text, ',');
  if (all.size() != 5 || commas != 4 || all[4] > 64)
    throw std::invalid_argument("shape: got '" + text +
                                "', expected a name or five numbers T,B,I,H,L, each from 1 to "
                                "1048576 and at most 64 layers");
  return all;
}

StackShape own_shape(const std::vector<std::int64_t>& n, const std::string& cell) {
  return {fmt::format("{}", fmt::join(n, "x")),
          "given",
          spec_of(cell, std::vector<std::int64_t>(std::size_t(n[4]), n[3])),
          n[0],
          n[1],
          n[2]};
}

}  // namespace

std::vector<StackShape> named_shapes() {
  // The most informative first, because a benchmark may be stopped early. The slowest are last.
  return {
      stack("wlm200", "word_language_model, default", "lstm", 35, 20, 200, {200, 200}),
      stack("wlm650", "Zaremba et al. 2014, medium", "lstm", 35, 20, 650, {650, 650}),
      stack("wlm1500", "Zaremba et al. 2014, large", "lstm", 35, 20, 1500, {1500, 1500}),
      // The next sizes whose rows in 16 bits are aligned; ours are padded to them.
      stack("wlm656", "wlm650, aligned", "lstm", 35, 20, 656, {656, 656}),
      stack("wlm1504", "wlm1500, aligned", "lstm", 35, 20, 1504, {1504, 1504}),
      stack("zaremba200", "Zaremba et al. 2014, small", "lstm", 20, 20, 200, {200, 200}),
      stack("wlm200gru", "word_language_model", "gru", 35, 20, 200, {200, 200}),
      stack("wlm200before", "word_language_model, Cho et al. 2014", "gru_before", 35, 20, 200,
            {200, 200}),
      stack("wlm200rnn", "word_language_model", "rnn_tanh", 35, 20, 200, {200, 200}),
      stack("charrnn128", "char-rnn, defaults, one-hot", "lstm", 50, 50, 65, {128, 128}),
      stack("charrnn128gru", "char-rnn, defaults, one-hot", "gru", 50, 50, 65, {128, 128}),
      stack("charrnn128rnn", "char-rnn, defaults, one-hot", "rnn_tanh", 50, 50, 65, {128, 128}),
      stack("char256", "DeepBench, character model", "lstm", 150, 64, 256, {256}),
      stack("mt512", "DeepBench, translation", "lstm", 25, 64, 512, {512}),
      stack("mt1024", "DeepBench, translation", "lstm", 25, 64, 1024, {1024}),
      stack("wlm650gru", "word_language_model", "gru", 35, 20, 650, {650, 650}),
      stack("awd1150", "AWD-LSTM, PTB", "lstm", 70, 80, 400, {1150, 1150, 400}),
      stack("flashrnn768", "FlashRNN, figure of cuDNN", "lstm", 1024, 16, 768, {768}),
      stack("speaker1024", "DeepBench, speaker; T cut from 1500", "gru", 300, 64, 1024, {1024}),
      stack("speech1536", "DeepBench, speech", "gru", 187, 32, 1536, {1536}),
      stack("vanilla1760", "DeepBench, vanilla", "rnn_tanh", 50, 64, 1760, {1760}),
      stack("lm1536", "DeepBench, language model", "lstm", 50, 32, 1536, {1536}),
      stack("mt2048", "DeepBench, translation", "lstm", 25, 128, 2048, {2048}),
      stack("lm4096", "DeepBench, language model", "lstm", 25, 64, 4096, {4096}),
      stack("awdchar1000", "AWD-LSTM, PTB characters", "lstm", 150, 128, 200, {1000, 1000, 200}),
      stack("awd1150b20", "AWD-LSTM, PTB, batch 20", "lstm", 70, 20, 400, {1150, 1150, 400}),
      stack("char256b16", "DeepBench, character model", "lstm", 150, 16, 256, {256}),
      stack("char256b32", "DeepBench, character model", "lstm", 150, 32, 256, {256}),
      stack("mt512b16", "DeepBench, translation", "lstm", 25, 16, 512, {512}),
      stack("mt512b128", "DeepBench, translation", "lstm", 25, 128, 512, {512}),
      stack("mt1024b16", "DeepBench, translation", "lstm", 25, 16, 1024, {1024}),
      stack("mt1024b128", "DeepBench, translation", "lstm", 25, 128, 1024, {1024}),
      stack("mt2048b16", "DeepBench, translation", "lstm", 25, 16, 2048, {2048}),
      stack("lm1536b8", "DeepBench, language model", "lstm", 50, 8, 1536, {1536}),
      stack("lm4096b16", "DeepBench, language model", "lstm", 25, 16, 4096, {4096}),
      stack("lm4096b128", "DeepBench, language model", "lstm", 25, 128, 4096, {4096}),
      stack("speech2048", "DeepBench, speech", "gru", 187, 32, 2048, {2048}),
      stack("speech2560", "DeepBench, speech", "gru", 187, 32, 2560, {2560}),
      stack("speech2816", "DeepBench, speech", "gru", 187, 32, 2816, {2816}),
      stack("speaker1024b32", "DeepBench, speaker; T cut from 1500", "gru", 300, 32, 1024, {1024}),
      stack("vanilla1760b16", "DeepBench, vanilla", "rnn_tanh", 50, 16, 1760, {1760}),
      stack("vanilla2048b128", "DeepBench, vanilla", "rnn_tanh", 50, 128, 2048, {2048}),
      stack("vanilla2560", "DeepBench, vanilla", "rnn_tanh", 50, 64, 2560, {2560}),
      stack("deep512", "four layers, a long sequence", "lstm", 512, 64, 512, {512, 512, 512, 512}),
      stack("deep512gru", "four layers, a long sequence", "gru", 512, 64, 512,
            {512, 512, 512, 512}),
      stack("long1024", "a long sequence", "lstm", 512, 128, 1024, {1024}),
      stack("enwik1840", "AWD-LSTM, enwik8", "lstm", 200, 128, 400, {1840, 1840, 400}),
  };
}

std::vector<std::string> cell_names() {
  std::vector<std::string> names;
  for (const auto& [name, spec] : cells()) names.push_back(name);
  return names;
}

std::string cell_name(const RecurrentSpec& spec) {
  for (const auto& [name, known] : cells())
    if (known.cell == spec.cell && (spec.cell != CellKind::kGru || known.reset == spec.reset))
      return name;
  throw std::invalid_argument("a cell without a name");
}

std::string hidden_text(const RecurrentSpec& spec) {
  return fmt::format("{}", fmt::join(spec.hidden, "/"));
}

std::vector<StackShape> choose_shapes(const std::vector<std::string>& names,
                                      const std::vector<std::string>& cells) {
  for (const std::string& cell : cells) static_cast<void>(spec_of(cell, {}));  // throws
  const auto is_wanted = [&](const StackShape& shape) {
    return cells.empty() || std::ranges::count(cells, cell_name(shape.spec)) > 0;
  };
  const std::vector<StackShape> table = named_shapes();
  std::vector<StackShape> chosen;
  if (names.empty()) std::ranges::copy_if(table, std::back_inserter(chosen), is_wanted);
  for (const std::string& name : names) {
    if (const auto n = numbers(name)) {
      for (const std::string& cell : cells.empty() ? std::vector<std::string>{"lstm"} : cells)
        chosen.push_back(own_shape(*n, cell));
      continue;
    }
    const auto known = std::ranges::find(table, name, &StackShape::name);
    if (known == table.end()) {
      std::vector<std::string> all;
      for (const StackShape& shape : table) all.push_back(shape.name);
      throw std::invalid_argument(fmt::format("shape: got '{}', expected T,B,I,H,L or one of {}",
                                              name, fmt::join(all, ", ")));
    }
    if (is_wanted(*known)) chosen.push_back(*known);
  }
  if (chosen.empty())
    throw std::invalid_argument("shapes: got none with the requested cell, expected at least one");
  return chosen;
}

double forward_flop(const StackShape& shape) {
  double weights = 0;
  for (int layer = 0; layer < shape.spec.layers(); ++layer)
    for (const CellParameter& parameter : cell_parameters(shape.spec, layer, shape.input))
      if (parameter.shape.rank() == 2) weights += double(parameter.shape.elements());
  return 2 * double(shape.batch) * weights;
}

double backward_flop(const StackShape& shape) {
  return 2 * forward_flop(shape);
}

}  // namespace unroll::benchmark
