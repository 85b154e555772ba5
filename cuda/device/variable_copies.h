/// Copies of variables as products and gates read them: padded, in another element type, two biases
/// in one. A copy holds the values of those versions of its variables that it names. A plan that
/// reads it copies anew what is of another version, and an optimiser step that writes it along with
/// its variables takes it to their next version.
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
#include "unroll/backend.h"

namespace unroll::gpu {

/// `form` has no addresses: the copy lies at `out`, in `memory`.
struct MatrixCopy {
  PadMatrix form;
  void* out;
  std::shared_ptr<void> memory;
  std::uint64_t version = 0;  // variables' versions start at 1

  /// Queues the copying unless `matrix` is a variable of this version.
  void update(cudaStream_t stream, const View& matrix);
};

/// The same of SumBiases.
struct BiasCopy {
  GateSlots slots;
  std::int32_t units, padded;
  float* out;
  std::shared_ptr<void> memory;
  const void* bias_hh = nullptr;            // the variable
  std::array<std::uint64_t, 2> versions{};  // of bias_ih and bias_hh

  void update(cudaStream_t stream, const View& bias_ih, const View& bias_hh);
};

/// Which copies there are of one device's variables. It does not keep them alive.
class VariableCopies {
 public:
  void add(const View& matrix, const std::shared_ptr<MatrixCopy>& copy);
  void add(const View& bias_ih, const std::shared_ptr<BiasCopy>& copy);
  /// Makes `mine` the copy that is known for the variable in mine's form, or it known if none is.
  /// Leaves it alone if `matrix` is no variable.
  void share(const View& matrix, std::shared_ptr<MatrixCopy>& mine);

  /// The copy that was added first; null if there is none.
  std::shared_ptr<MatrixCopy> of_matrix(const void* variable) const;
  std::shared_ptr<BiasCopy> of_bias_ih(const void* variable) const;

 private:
  template <typename Copy>
  using Known = std::multimap<const void*, std::weak_ptr<Copy>>;

  Known<MatrixCopy> matrices_;
  Known<BiasCopy> sums_;
};

/// The copies that one optimiser step writes, at most one of each parameter's: those that there are
/// when this is made, which it keeps alive, because a graph holds their addresses.
class WrittenCopies final : public ParameterCopies {
 public:
  WrittenCopies(const VariableCopies& known, std::span<const ParameterUpdate> parameters);

  /// Null if there is none.
  const MatrixCopy* matrix(std::size_t parameter) const { return matrices_[parameter].get(); }
  /// What a bias_ih has: the copy of its sum with the parameter `bias_hh`.
  struct Sum {
    std::shared_ptr<BiasCopy> copy;
    std::size_t bias_hh = 0;
  };
  const Sum& sum(std::size_t parameter) const { return sums_[parameter]; }
  /// Whether it is the bias_hh of such a sum.
  bool is_second(std::size_t parameter) const { return second_[parameter] != 0; }

  void renew(const std::function<void()>& renew) override;

 private:
  // One for each parameter.
  std::vector<std::shared_ptr<MatrixCopy>> matrices_;
  std::vector<Sum> sums_;
  std::vector<char> second_;
  std::vector<const std::uint64_t*> versions_;
  std::vector<char> current_;  // for the time of renew()
};

}  // namespace unroll::gpu
