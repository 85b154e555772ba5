/// The tensors of a foreign file under the names and in the type that a model of ours has:
/// wrappers' prefixes are left out, and numbers become float32.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/base/safetensors.h"

namespace unroll {

/// OLD and NEW beginnings of names, up to a point or to the end: {"lstm", "rnn"} makes
/// "rnn.weight_ih_l0" of "lstm.weight_ih_l0".
using TensorNameMap = std::vector<std::pair<std::string, std::string>>;

/// Names, in this order:
///   * `map`, its first entry that fits the name, or fits it after what follows;
///   * module., _orig_mod. and model. at the beginning, which PyTorch's DataParallel, its compiler
///     and users' own wrappers add, are left out;
///   * rnn.module.NAME is rnn.NAME, and rnns.K.NAME_l0 or rnns.K.module.NAME_l0 is rnn.NAME_lK:
///     AWD-LSTM has a stack of networks of one layer;
///   * NAME_raw is NAME: before AWD-LSTM's dropout of weights. A NAME beside it is a copy in which
///     some are missing, and is left out.
/// F16, BF16 and F64 become F32 when they are read. Cheap to copy: nothing is read before.
class ForeignTensors {
 public:
  /// `file` must outlive it. `name` is how errors call it.
  /// Errors    std::runtime_error if two tensors get one name, or an entry of `map` fits none.
  ForeignTensors(const SafetensorsFile& file, const std::string& name, const TensorNameMap& map);

  /// Sorted by name.
  std::span<const TensorData> tensors() const { return tensors_; }
  /// Null if there is none with that name.
  const TensorData* find(std::string_view name) const;
  /// Names of tensors there are ours, too.
  const TensorMetadata& metadata() const { return metadata_; }

  /// For people, in quotes: the tensor's name, and what the file calls it if that differs.
  std::string shown(const std::string& name) const;
  /// What has been done to names.
  const std::vector<std::string>& notes() const { return notes_; }
  /// What has been done to the numbers of these tensors; reads those of F64.
  std::vector<std::string> conversions() const;

 private:
  std::string name_;
  std::vector<TensorData> tensors_;
  std::map<std::string, const TensorData*, std::less<>> originals_;  // by our names
  TensorMetadata metadata_;
  std::vector<std::string> notes_;
};

}  // namespace unroll
