#include "host/train/import.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <stdexcept>
#include <utility>

namespace unroll {
namespace {

constexpr const char* kEncoder = "encoder.weight";
constexpr const char* kDecoder = "decoder.weight";
constexpr std::int64_t kLargest = std::int64_t(1) << 31;  // as in a configuration that is read

class Importer {
 public:
  Importer(const SafetensorsFile& file, const std::string& name) : file_(file), name_(name) {}

  /// Refuses what no model of ours holds, by the reason and not as merely surplus.
  void check_kinds() const {
    for (const TensorData& tensor : file_.tensors()) {
      if (tensor.name.ends_with("_reverse"))
        fail(tensor, "belongs to a second direction, expected one direction");
      if (tensor.name.find("weight_hr_l") != tensor.name.npos)
        fail(tensor, "is a projection, expected a network without proj_size");
      if (tensor.type != StoredType::kF32)
        fail(tensor, fmt::format("got {}, expected F32: save the model's .float()",
                                 stored_type_name(tensor.type)));
    }
  }

  LanguageModelConfig infer(const ImportOptions& options) const {
    const TensorData& encoder = matrix(kEncoder);
    LanguageModelConfig config;
    config.vocabulary = encoder.shape[0];
    config.embedding = encoder.shape[1];
    config.hidden.clear();
    std::int64_t gates = 0;
    for (std::int64_t layer = 0; layer == 0 || file_.find(recurrent(layer)); ++layer) {
      const TensorData& weight = matrix(recurrent(layer));
      config.hidden.push_back(weight.shape[1]);
      if (layer == 0) gates = gates_in(weight);
    }
    config.cell = cell_of(gates, options);
    config.reset = options.reset;
    config.dropout = options.dropout;
    config.tied = is_tied(encoder);
    try {
      config.check();
    } catch (const std::invalid_argument& error) {
      throw std::runtime_error(name_ + ": " + error.what());
    }
    return config;
  }

  /// Every parameter's values go to the store, and every tensor is one of them.
  void load(const LanguageModelConfig& config, VariableStore& store) const {
    std::set<std::string> known;
    if (config.tied) known.insert(kDecoder);
    for (const VariableInfo& info : parameters(config)) {
      known.insert(info.name);
      const Shape& shape = info.type.shape;
      std::vector<float> values(std::size_t(shape.elements()));
      if (const TensorData* tensor = file_.find(info.name)) {
        if (!std::ranges::equal(tensor->shape, shape.dims()))
          fail(*tensor, fmt::format("got {}, expected {}", shape_text(*tensor), to_string(shape)));
        std::memcpy(values.data(), tensor->bytes.data(), tensor->bytes.size());
      } else if (info.name.find(".bias") == info.name.npos) {
        fail_missing(info.name);
      }
      store.require(info);
      store.write<float>(info.name, values);
    }
    for (const TensorData& tensor : file_.tensors())
      if (!known.contains(tensor.name))
        fail(tensor, fmt::format("is not one of a {} language model's", to_string(config.cell)));
  }

 private:
  static std::string recurrent(std::int64_t layer) {
    return fmt::format("rnn.weight_hh_l{}", layer);
  }

  static std::string shape_text(const TensorData& tensor) {
    return fmt::format("[{}]", fmt::join(tensor.shape, ", "));
  }

  [[noreturn]] void fail(const TensorData& tensor, const std::string& why) const {
    throw std::runtime_error(fmt::format("{}: tensor '{}': {}", name_, tensor.name, why));
  }

  [[noreturn]] void fail_missing(const std::string& tensor) const {
    std::vector<std::string> names = file_.names();
    constexpr std::size_t kShown = 4;
    const char* more = names.size() > kShown ? ", ..." : "";
    names.resize(std::min(names.size(), kShown));
    throw std::runtime_error(fmt::format("{}: tensor '{}' is missing, got {}{}", name_, tensor,
                                         fmt::join(names, ", "), more));
  }

  const TensorData& matrix(const std::string& tensor) const {
    const TensorData* found = file_.find(tensor);
    if (!found) fail_missing(tensor);
    if (found->shape.size() != 2 || std::ranges::min(found->shape) < 1 ||
        std::ranges::max(found->shape) > kLargest)
      fail(*found, fmt::format("got {}, expected a matrix", shape_text(*found)));
    return *found;
  }

  std::int64_t gates_in(const TensorData& weight) const {
    const std::int64_t rows = weight.shape[0], units = weight.shape[1];
    const std::int64_t gates = rows % units == 0 ? rows / units : 0;
    if (gates != 1 && gates != 3 && gates != 4)
      fail(weight, fmt::format("got {}, expected 4 (lstm), 3 (gru) or 1 (rnn) times as many rows "
                               "as columns",
                               shape_text(weight)));
    return gates;
  }

  CellKind cell_of(std::int64_t gates, const ImportOptions& options) const {
    const CellKind inferred = gates == 4   ? CellKind::kLstm
                              : gates == 3 ? CellKind::kGru
                                           : CellKind::kRnnTanh;
    if (!options.cell) return inferred;
    if (gates_of(*options.cell) != gates)
      throw std::runtime_error(fmt::format(
          "{}: tensor '{}': got {} gates, as {} has, expected {}, as {} has", name_, recurrent(0),
          gates, to_string(inferred), gates_of(*options.cell), to_string(*options.cell)));
    return *options.cell;
  }

  bool is_tied(const TensorData& encoder) const {
    const TensorData* decoder = file_.find(kDecoder);
    return !decoder ||
           (decoder->shape == encoder.shape && std::ranges::equal(decoder->bytes, encoder.bytes));
  }

  const SafetensorsFile& file_;
  const std::string& name_;
};

}  // namespace

ImportedModel import_weights(const SafetensorsFile& file, const std::string& name,
                             const ImportOptions& options, std::shared_ptr<Backend> backend) {
  const Importer importer(file, name);
  importer.check_kinds();
  ImportedModel model{importer.infer(options),
                      std::make_shared<VariableStore>(std::move(backend), 0)};
  importer.load(model.config, *model.store);
  return model;
}

}  // namespace unroll
