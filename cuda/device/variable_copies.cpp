#include "cuda/device/variable_copies.h"

#include <algorithm>
#include <limits>

namespace unroll::gpu {
namespace {

/// Stores the view's version and returns whether it was stored already. Only variables have one.
bool take_version(std::uint64_t& version, const View& view) {
  const std::uint64_t now = view.version ? *view.version : 0;
  return std::exchange(version, now) == now && now != 0;
}

template <typename Known, typename Copy>
void add_to(Known& known, const void* variable, const Copy& copy) {
  std::erase_if(known, [](const auto& entry) { return entry.second.expired(); });
  known.emplace(variable, copy);
}

template <typename Known>
auto first_of(const Known& known, const void* variable) {
  auto [entry, end] = known.equal_range(variable);
  while (entry != end && entry->second.expired()) ++entry;
  return entry != end ? entry->second.lock() : nullptr;
}

}  // namespace

void MatrixCopy::update(cudaStream_t stream, const View& matrix) {
  if (take_version(version, matrix)) return;
  PadMatrix pad = form;
  pad.in = matrix.as<float>();
  pad.out = out;
  pad_matrix(stream, pad);
}

void BiasCopy::update(cudaStream_t stream, const View& bias_ih, const View& view_hh) {
  bias_hh = view_hh.data;
  const bool has_ih = take_version(versions[0], bias_ih);
  if (take_version(versions[1], view_hh) && has_ih) return;
  sum_biases(stream, program, {bias_ih.as<float>(), view_hh.as<float>(), out, units, padded});
}

void VariableCopies::add(const View& matrix, const std::shared_ptr<MatrixCopy>& copy) {
  add_to(matrices_, matrix.data, copy);
}

void VariableCopies::add(const View& bias_ih, const std::shared_ptr<BiasCopy>& copy) {
  add_to(sums_, bias_ih.data, copy);
}

void VariableCopies::share(const View& matrix, std::shared_ptr<MatrixCopy>& mine) {
  if (!matrix.version) return;
  const auto [first, end] = matrices_.equal_range(matrix.data);
  for (auto entry = first; entry != end; ++entry)
    if (auto known = entry->second.lock(); known && known->form == mine->form) {
      mine = std::move(known);
      return;
    }
  add(matrix, mine);
}

std::shared_ptr<MatrixCopy> VariableCopies::of_matrix(const void* variable) const {
  return first_of(matrices_, variable);
}

std::shared_ptr<BiasCopy> VariableCopies::of_bias_ih(const void* variable) const {
  return first_of(sums_, variable);
}

WrittenCopies::WrittenCopies(const VariableCopies& known,
                             std::span<const ParameterUpdate> parameters)
    : matrices_(parameters.size()),
      sums_(parameters.size()),
      second_(parameters.size()),
      current_(parameters.size()) {
  // Only some rows of a sparse variable may be written, and kernels count a copied matrix in 32
  // bits.
  const auto can_write = [&](const ParameterUpdate& p) {
    return !p.sparse && p.parameter.version &&
           p.parameter.elements() <= std::numeric_limits<std::int32_t>::max();
  };
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    versions_.push_back(parameters[k].parameter.version);
    if (can_write(parameters[k])) matrices_[k] = known.of_matrix(parameters[k].parameter.data);
  }
  const auto is_free = [&](std::size_t k) {
    return can_write(parameters[k]) && !matrices_[k] && !sums_[k].copy && second_[k] == 0;
  };
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    const auto copy = is_free(k) ? known.of_bias_ih(parameters[k].parameter.data) : nullptr;
    for (std::size_t other = 0; copy && other < parameters.size(); ++other) {
      if (other == k || parameters[other].parameter.data != copy->bias_hh || !is_free(other))
        continue;
      sums_[k] = {copy, other};
      second_[other] = 1;
      break;
    }
  }
}

void WrittenCopies::renew(const std::function<void()>& renew) {
  const auto count = matrices_.size();
  for (std::size_t k = 0; k < count; ++k) {
    const MatrixCopy* const matrix = matrices_[k].get();
    const auto& [sum, other] = sums_[k];
    const bool current =
        matrix ? matrix->version == *versions_[k]
               : sum && sum->versions[0] == *versions_[k] && sum->versions[1] == *versions_[other];
    current_[k] = current ? 1 : 0;
  }
  renew();
  for (std::size_t k = 0; k < count; ++k) {
    if (current_[k] == 0) continue;
    const auto& [sum, other] = sums_[k];
    if (matrices_[k]) matrices_[k]->version = *versions_[k];
    if (sum) sum->versions = {*versions_[k], *versions_[other]};
  }
}

}  // namespace unroll::gpu
