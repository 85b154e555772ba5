/// Copies of variables in the form that products and gates read: padded, in another element type,
/// two biases added up. A copy records the versions of the variables that it holds. A plan that
/// reads it renews it if the version differs. An optimiser step that writes the copy with its
/// variables moves it to their next version.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "cuda/device/padding.h"
#include "unroll/kernels/update.h"

namespace unroll::gpu {

/// `form` has no addresses: the copy lies at `out`, inside `memory`.
struct MatrixCopy {
  PadMatrix form;
  void* out;
  std::shared_ptr<void> memory;
  std::uint64_t version = 0;  // variables' versions start at 1

  /// Queues the copying, unless `matrix` is a variable of this version.
  void update(cudaStream_t stream, const View& matrix);
};

/// The same for SumBiases.
struct BiasCopy {
  cells::CellProgram program;
  std::int32_t units, padded;
  float* out;
  std::shared_ptr<void> memory;
  const void* bias_hh = nullptr;            // the variable
  std::array<std::uint64_t, 2> versions{};  // of bias_ih and bias_hh

  void update(cudaStream_t stream, const View& bias_ih, const View& bias_hh);
};

/// The copies of one device's variables. It does not keep them alive.
class VariableCopies {
 public:
  void add(const View& matrix, const std::shared_ptr<MatrixCopy>& copy);
  void add(const View& bias_ih, const std::shared_ptr<BiasCopy>& copy);
  /// Replaces `mine` by the known copy of the variable in the same form; if there is none, `mine`
  /// becomes the known copy. Does nothing if `matrix` is not a variable.
  void share(const View& matrix, std::shared_ptr<MatrixCopy>& mine);

  /// The first copy that was added; null if there is none.
  std::shared_ptr<MatrixCopy> of_matrix(const void* variable) const;
  std::shared_ptr<BiasCopy> of_bias_ih(const void* variable) const;

 private:
  template <typename Copy>
  using Known = std::multimap<const void*, std::weak_ptr<Copy>>;

  Known<MatrixCopy> matrices_;
  Known<BiasCopy> sums_;
};

/// The copies that one optimiser step writes, at most one per parameter: those that exist when this
/// is made. It keeps them alive, because a graph holds their addresses.
class WrittenCopies final : public ParameterCopies {
 public:
  WrittenCopies(const VariableCopies& known, std::span<const ParameterUpdate> parameters);

  /// Null if the parameter has no copy.
  const MatrixCopy* matrix(std::size_t parameter) const { return matrices_[parameter].get(); }
  /// For a bias_ih: the copy of its sum with the parameter `bias_hh`.
  struct Sum {
    std::shared_ptr<BiasCopy> copy;
    std::size_t bias_hh = 0;
  };
  const Sum& sum(std::size_t parameter) const { return sums_[parameter]; }
  /// Whether the parameter is the bias_hh of such a sum.
  bool is_second(std::size_t parameter) const { return second_[parameter] != 0; }

  void renew(const std::function<void()>& renew) override;

 private:
  // One entry per parameter.
  std::vector<std::shared_ptr<MatrixCopy>> matrices_;
  std::vector<Sum> sums_;
  std::vector<char> second_;
  std::vector<const std::uint64_t*> versions_;
  std::vector<char> current_;  // used during renew()
};

}  // namespace unroll::gpu
