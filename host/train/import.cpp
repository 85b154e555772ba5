#include "host/train/import.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "host/base/utf8.h"
#include "host/models/stored_variables.h"
#include "host/train/training_state.h"

namespace unroll {
namespace {

std::string shape_text(const TensorData& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.shape, ", "));
}

std::string_view to_string(GruReset reset) {
  return reset == GruReset::kBefore ? "before" : "after";
}

bool is_bias(std::string_view parameter) {
  return parameter.find(".bias") != parameter.npos;
}

class Importer {
 public:
  Importer(const ForeignTensors& file, const std::string& name) : file_(file), name_(name) {}

  /// Refuses tensors that no model of ours has, with the reason and not merely as surplus.
  void check_kinds() const {
    if (file_.tensors().empty())
      throw std::runtime_error(
          name_ + ": holds no tensors, expected a state_dict of encoder, rnn and decoder");
    for (const TensorData& tensor : file_.tensors())
      if (tensor.name.ends_with("_reverse"))
        fail(tensor.name, "belongs to a second direction, expected one direction");
  }

  /// What the file says about itself, or else what names and shapes tell.
  StoredModel model(const ImportOptions& options) {
    if (std::optional<StoredModel> stored = stored_model(file_.metadata(), name_)) {
      agree("cell", options.cell, stored->config.cell);
      if (stored->config.cell == CellKind::kGru)
        agree("GRU reset", options.reset, stored->config.reset);
      agree("input gate", options.input_gate, stored->config.input_gate);
      agree("dropout", options.dropout, stored->config.dropout);
      agree("tokenizer", options.tokenizer, stored->tokenizer);
      ours_ = true;
      return *stored;
    }
    StoredModel inferred{infer(options), options.tokenizer.value_or(TokenizerKind::kWord), ""};
    try {
      inferred.config.check();
    } catch (const std::invalid_argument& error) {
      throw std::runtime_error(name_ + ": " + error.what());
    }
    return inferred;
  }

  /// Every parameter's values go to the store, and every tensor is one of them.
  void load(const LanguageModelConfig& config, VariableStore& store) {
    const std::vector<VariableInfo> infos = LanguageModelTask(config).parameters();
    check_tensors(config, infos);
    for (const VariableInfo& info : infos) {
      store.require(info);  // zero
      if (const TensorData* found = find(info.name)) {
        TensorData tensor = *found;
        tensor.name = info.name;
        write_variable(tensor, name_, Accepted::kFinite, store);
      }
    }
  }

  std::vector<std::string> take_notes() { return std::move(notes_); }

 private:
  static std::string recurrent(std::size_t layer) {
    return fmt::format("rnn.weight_hh_l{}", layer);
  }
  static std::string projection(std::size_t layer) {
    return fmt::format("rnn.weight_hr_l{}", layer);
  }

  bool has_some(std::string_view prefix) const {
    return std::ranges::any_of(
        file_.tensors(), [&](const TensorData& tensor) { return tensor.name.starts_with(prefix); });
  }

  [[noreturn]] void fail(const std::string& tensor, const std::string& why) const {
    throw std::runtime_error(fmt::format("{}: tensor {}: {}", name_, file_.shown(tensor), why));
  }

  [[noreturn]] void fail_missing(const std::string& tensor, const std::string& remedy = "") const {
    constexpr std::size_t kShown = 4;
    std::vector<std::string> names;
    for (const TensorData& other : file_.tensors().first(std::min(file_.tensors().size(), kShown)))
      names.push_back(file_.shown(other.name));
    throw TensorMissing(fmt::format("{}: tensor '{}' is missing, got {}{}{}", name_, tensor,
                                    fmt::join(names, ", "),
                                    file_.tensors().size() > kShown ? ", ..." : "", remedy));
  }

  template <typename T>
  void agree(const char* what, const std::optional<T>& asked, const T& stored) const {
    if (!asked || *asked == stored) return;
    const auto text = [](const T& value) {
      if constexpr (std::is_same_v<T, double>)
        return fmt::format("{}", value);
      else
        return std::string(to_string(value));
    };
    throw std::runtime_error(fmt::format("{}: {}: got {}, expected {}, as its metadata say", name_,
                                         what, text(*asked), text(stored)));
  }

  /// The tensor of this name, or the one of which it is an alias by the metadata.
  const TensorData* find(const std::string& tensor) const {
    if (const TensorData* found = file_.find(tensor)) return found;
    const auto alias = file_.metadata().find(tensor);
    return alias == file_.metadata().end() ? nullptr : file_.find(alias->second);
  }

  const TensorData& matrix(const std::string& tensor) const {
    const TensorData* found = find(tensor);
    if (!found) fail_missing(tensor);
    if (found->shape.size() != 2 || std::ranges::min(found->shape) < 1)
      fail(found->name, fmt::format("got {}, expected a matrix", shape_text(*found)));
    return *found;
  }

  LanguageModelConfig infer(const ImportOptions& options) {
    LanguageModelConfig config;
    if (is_one_hot()) {
      config.vocabulary = matrix(kDecoder).shape[0];
      config.embedding = 0;
    } else {
      config.tied = is_tied();
      const TensorData& encoder = matrix(kEncoder);
      config.vocabulary = encoder.shape[0];
      config.embedding = encoder.shape[1];
    }
    config.layer_norm = has_some("rnn.gain_");
    const bool projected = has_some("rnn.weight_hr_l");
    if (projected) config.projection = matrix(projection(0)).shape[0];
    config.hidden.clear();
    while (config.hidden.empty() || find(recurrent(config.hidden.size()))) {
      const std::size_t layer = config.hidden.size();
      config.hidden.push_back(matrix(projected ? projection(layer) : recurrent(layer)).shape[1]);
    }
    config.cell = cell_of(gates_in(matrix(recurrent(0)), config.hidden.front()), options);
    config.reset = reset_of(options);
    config.input_gate = options.input_gate.value_or(InputGate::kSeparate);
    config.dropout = options.dropout.value_or(0);
    return config;
  }

  int gates_in(const TensorData& weight, std::int64_t units) const {
    const std::int64_t rows = weight.shape[0];
    const std::int64_t gates = rows % units == 0 ? rows / units : 0;
    if (gates != 1 && gates != 3 && gates != 4)
      fail(weight.name,
           fmt::format("got {}, expected {} rows (lstm), {} (gru, or lstm with coupled gates) or "
                       "{} (rnn) for {} units",
                       shape_text(weight), 4 * units, 3 * units, units, units));
    const TensorData& input = matrix("rnn.weight_ih_l0");
    if (input.shape[0] != rows)
      fail(input.name, fmt::format("got {}, expected {} rows, as {} has", shape_text(input), rows,
                                   recurrent(0)));
    return int(gates);
  }

  CellKind cell_of(int gates, const ImportOptions& options) const {
    const bool coupled = options.input_gate == InputGate::kCoupled;
    if (!options.cell && gates == 1)
      throw CellUnknown(
          fmt::format("{}: is an Elman network, and nothing in it says whether its cell is "
                      "rnn_tanh (PyTorch's default), rnn_relu or rnn_logistic",
                      name_));
    const CellKind inferred = gates == 4   ? CellKind::kLstm
                              : gates == 1 ? CellKind::kRnnTanh
                              : coupled    ? CellKind::kLstm
                                           : CellKind::kGru;
    const CellKind cell = options.cell.value_or(inferred);
    const RecurrentSpec asked{.cell = cell,
                              .input_gate = options.input_gate.value_or(InputGate::kSeparate)};
    if (asked.gates() != gates)
      fail(recurrent(0),
           fmt::format("got {} gates, as {} has, expected {}, as {} has", gates,
                       gates == 4   ? "an lstm"
                       : gates == 3 ? "a gru or an lstm with coupled gates"
                                    : "an rnn",
                       asked.gates(),
                       coupled && cell == CellKind::kLstm ? "an lstm with coupled gates"
                                                          : unroll::to_string(cell)));
    return cell;
  }

  /// Earlier versions of this program wrote only this, and only for a GRU.
  GruReset reset_of(const ImportOptions& options) const {
    const auto said = file_.metadata().find("gru_reset");
    if (said == file_.metadata().end() || !said->second.starts_with("before"))
      return options.reset.value_or(GruReset::kAfter);
    agree("GRU reset", options.reset, GruReset::kBefore);
    return GruReset::kBefore;
  }

  bool is_one_hot() {
    const TensorData *decoder = find(kDecoder), *input = find("rnn.weight_ih_l0");
    if (find(kEncoder) || !decoder || !input || decoder->shape.size() != 2 ||
        input->shape.size() != 2)
      return false;
    const std::int64_t vocabulary = decoder->shape[0];
    // With as many units as tokens it may also be tied to an encoder that was not saved.
    if (input->shape[1] != vocabulary || decoder->shape[1] == vocabulary) return false;
    notes_.push_back(fmt::format("{} has no {}, and {} inputs: one for each token, one-hot", name_,
                                 kEncoder, vocabulary));
    return true;
  }

  bool is_tied() {
    const TensorData *encoder = find(kEncoder), *decoder = find(kDecoder);
    if (!encoder && !decoder) fail_missing(kEncoder);
    if (!encoder || !decoder)
      fail_missing(
          encoder ? kDecoder : kEncoder,
          "; if the two are tied, save with safetensors.torch.save_model(), which says so");
    if (encoder == decoder) {
      notes_.push_back(
          fmt::format("{} and {} are one tensor, as {}'s metadata say", kEncoder, kDecoder, name_));
      return true;
    }
    if (encoder->shape != decoder->shape || !(encoder->bytes == decoder->bytes)) return false;
    notes_.push_back(
        fmt::format("{} has the values of {}: the weights are tied", kDecoder, kEncoder));
    return true;
  }

  /// Names, types and shapes, before anything is allocated.
  void check_tensors(const LanguageModelConfig& config, const std::vector<VariableInfo>& infos) {
    std::set<std::string_view> known;
    std::vector<std::string> missing;  // biases of the network
    std::size_t biases = 0;
    for (const VariableInfo& info : infos) {
      known.insert(info.name);
      const bool of_network = is_bias(info.name) && info.name != kDecoderBias;
      biases += of_network ? 1 : 0;
      if (const TensorData* tensor = find(info.name)) {
        check(*tensor, info.type.shape);
      } else if (of_network && !ours_) {
        missing.push_back(info.name);
      } else if (info.name == kDecoderBias && missing.size() == biases && !ours_) {
        notes_.push_back(fmt::format("{} has no {}, which is zero then", name_, kDecoderBias));
      } else {
        fail_missing(info.name, info.name == kDecoderBias && !ours_
                                    ? "; of a decoder without a bias, save zeros"
                                    : "");
      }
    }
    if (!missing.empty() && missing.size() < biases)
      throw std::runtime_error(
          fmt::format("{}: tensor '{}' is missing, got {} of the network's {} biases, expected all "
                      "or none",
                      name_, missing.front(), biases - missing.size(), biases));
    if (!missing.empty())
      notes_.push_back(fmt::format("{} has no biases in rnn, which are zero then", name_));
    check_surplus(config, known);
  }

  void check(const TensorData& tensor, const Shape& shape) const {
    if (tensor.type != StoredType::kF32)
      fail(tensor.name,
           fmt::format("got {}, expected F32, F16, BF16 or F64", stored_type_name(tensor.type)));
    if (!std::ranges::equal(tensor.shape, shape.dims()))
      fail(tensor.name,
           fmt::format("got {}, expected {}", shape_text(tensor), unroll::to_string(shape)));
  }

  void check_surplus(const LanguageModelConfig& config,
                     const std::set<std::string_view>& known) const {
    const TensorData* decoder = config.tied ? file_.find(kDecoder) : nullptr;
    if (decoder && !(decoder->bytes == find(kEncoder)->bytes))
      fail(kDecoder, fmt::format("differs from {}, expected the same: they are tied", kEncoder));
    for (const TensorData& tensor : file_.tensors())
      if (!known.contains(tensor.name) && &tensor != decoder)
        fail(tensor.name,
             fmt::format("is not part of a language model of {} layers of {}, expected only its "
                         "encoder, rnn and decoder: leave out what the model does without",
                         config.hidden.size(), describe_cell(config)));
  }

  const ForeignTensors& file_;
  const std::string& name_;
  bool ours_ = false;  // written by this program, and so with all its parameters
  std::vector<std::string> notes_;
};

}  // namespace

ImportedModel import_weights(const SafetensorsFile& file, const std::string& name,
                             const ImportOptions& options, std::shared_ptr<Backend> backend) {
  const ForeignTensors tensors(file, name, options.names);
  Importer importer(tensors, name);
  importer.check_kinds();
  const StoredModel model = importer.model(options);
  auto store = std::make_shared<VariableStore>(std::move(backend), 0);
  importer.load(model.config, *store);
  std::vector<std::string> notes = tensors.notes();
  for (const auto& more : {importer.take_notes(), tensors.conversions()})
    notes.insert(notes.end(), more.begin(), more.end());
  return {model.config, model.tokenizer, model.start, std::move(store), std::move(notes)};
}

}  // namespace unroll
