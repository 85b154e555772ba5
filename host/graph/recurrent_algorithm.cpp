#include "unroll/recurrent_algorithm.h"

#include <charconv>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "unroll/device.h"

namespace unroll {
namespace {

constexpr std::string_view kAuto = "auto", kStepwise = "stepwise", kPersistent = "persistent",
                           kCudnn = "cudnn", kPackedEnd = ":packed", kHalfEnd = ":fp16",
                           kBareEnd = ":bare";
constexpr std::pair<std::string_view, CudnnAlgorithm> kCudnnAlgorithms[] = {
    {"standard", CudnnAlgorithm::kStandard},
    {"persist_static", CudnnAlgorithm::kPersistStatic},
    {"persist_dynamic", CudnnAlgorithm::kPersistDynamic},
    {"persist_static_small_h", CudnnAlgorithm::kPersistStaticSmallH},
};

std::optional<PassAlgorithm> parse_pass(std::string_view text) {
  if (text == kStepwise) return PassAlgorithm{};
  if (text == kPersistent) return PassAlgorithm{.persistent = true};
  if (!text.starts_with(kStepwise)) return std::nullopt;
  text.remove_prefix(kStepwise.size());
  if (!text.starts_with(':')) return std::nullopt;
  text.remove_prefix(1);
  std::int32_t block = 0;  // as many timesteps as a kernel can count
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, block);
  if (error != std::errc() || stop != end || block <= 0) return std::nullopt;
  return PassAlgorithm{.block = block};
}

std::optional<CudnnForm> parse_cudnn(std::string_view text) {
  if (text == kCudnn) return CudnnForm{};
  if (!text.starts_with(kCudnn)) return std::nullopt;
  text.remove_prefix(kCudnn.size());
  CudnnForm form;
  const auto take = [&](std::string_view end) {
    const bool found = text.ends_with(end);
    if (found) text.remove_suffix(end.size());
    return found;
  };
  form.bare = take(kBareEnd);
  form.half = take(kHalfEnd);
  form.packed = take(kPackedEnd);
  for (const auto& [name, algorithm] : kCudnnAlgorithms) {
    if (!text.starts_with(':') || text.substr(1) != name) continue;
    form.algorithm = algorithm;
    return form;
  }
  return std::nullopt;
}

std::string name_of_pass(const PassAlgorithm& pass) {
  if (pass.persistent) return std::string(kPersistent);
  return std::string(kStepwise) + (pass.block > 0 ? ":" + std::to_string(pass.block) : "");
}

std::string name_of_cudnn(const CudnnForm& form) {
  std::string text = std::string(kCudnn) + ":";
  for (const auto& [name, algorithm] : kCudnnAlgorithms)
    if (algorithm == form.algorithm) text += name;
  if (form.packed) text += kPackedEnd;
  if (form.half) text += kHalfEnd;
  if (form.bare) text += kBareEnd;
  return text;
}

}  // namespace

RecurrentAlgorithm RecurrentAlgorithm::parse(std::string_view name) {
  if (name == kAuto) return {};
  if (const auto cudnn = parse_cudnn(name)) return *cudnn;
  const std::size_t plus = name.find('+');
  const auto forward = parse_pass(name.substr(0, plus));
  const auto backward = plus == name.npos ? forward : parse_pass(name.substr(plus + 1));
  if (forward && backward) return StackAlgorithm{*forward, *backward};
  throw std::invalid_argument("RNN algorithm: got '" + std::string(name) + "', expected " +
                              std::string(kNames));
}

std::string to_string(const RecurrentAlgorithm& algorithm) {
  if (const CudnnForm* const cudnn = algorithm.cudnn()) return name_of_cudnn(*cudnn);
  const StackAlgorithm* const ours = algorithm.ours();
  if (!ours) return std::string(kAuto);
  std::string name = name_of_pass(ours->forward);
  if (ours->backward != ours->forward) name += "+" + name_of_pass(ours->backward);
  return name;
}

std::string why_not(const RecurrentAlgorithm& algorithm, const RecurrentSpec& spec) {
  const bool persistent = algorithm.is_persistent();
  if (!persistent && !algorithm.cudnn()) return "";
  const std::string none = persistent ? "persistent kernels have no " : "cuDNN has no ";
  if (spec.cell == CellKind::kGru && spec.reset == GruReset::kBefore)
    return none + "gru with reset before" +
           (persistent ? ", which takes two products a timestep" : "");
  if (!persistent && spec.cell == CellKind::kRnnLogistic) return none + "rnn_logistic";
  if (spec.cell != CellKind::kLstm) return "";
  if (spec.layer_norm) return none + "layer norm";
  if (spec.input_gate == InputGate::kCoupled) return none + "coupled input gate";
  if (spec.input_gate == InputGate::kCapped) return none + "capped input gate";
  if (spec.projection == 0) return "";
  if (persistent) return none + "projection";
  return algorithm.cudnn()->algorithm == CudnnAlgorithm::kStandard
             ? ""
             : "only cudnn:standard has a projection";
}

std::string why_not(const RecurrentAlgorithm& algorithm, DeviceKind device) {
  if (device != DeviceKind::kCpu || algorithm.is_automatic()) return "";
  if (algorithm.cudnn()) return "cuDNN computes only on a GPU";
  if (algorithm.is_persistent()) return "the CPU has one algorithm";
  return algorithm == PassAlgorithm{} ? "" : "the CPU has no blocks of timesteps";
}

std::string why_not(const RecurrentAlgorithm& algorithm, const RecurrentSpec& spec,
                    DeviceKind device) {
  const std::string why = why_not(algorithm, device);
  return why.empty() ? why_not(algorithm, spec) : why;
}

}  // namespace unroll
