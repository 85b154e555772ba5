#include "cuda/cudnn/cudnn_form.h"

#include <utility>

namespace unroll::gpu {
namespace {

constexpr std::string_view kCudnn = "cudnn", kPacked = ":packed", kHalf = ":fp16", kBare = ":bare";
constexpr std::pair<std::string_view, cudnn::Algorithm> kCudnnForms[] = {
    {"standard", cudnn::Algorithm::kStandard},
    {"persist_static", cudnn::Algorithm::kPersistStatic},
    {"persist_dynamic", cudnn::Algorithm::kPersistDynamic},
    {"persist_static_small_h", cudnn::Algorithm::kPersistStaticSmallH},
};

}  // namespace

std::optional<CudnnForm> parse_cudnn_form(std::string_view text) {
  if (text == kCudnn) return CudnnForm{};
  if (!text.starts_with(kCudnn)) return std::nullopt;
  text.remove_prefix(kCudnn.size());
  CudnnForm form;
  const auto take = [&](std::string_view end) {
    const bool found = text.ends_with(end);
    if (found) text.remove_suffix(end.size());
    return found;
  };
  form.bare = take(kBare);
  form.half = take(kHalf);
  form.packed = take(kPacked);
  for (const auto& [name, algorithm] : kCudnnForms) {
    if (!text.starts_with(':') || text.substr(1) != name) continue;
    form.algorithm = algorithm;
    return form;
  }
  return std::nullopt;
}

std::string to_string(const CudnnForm& form) {
  std::string text = std::string(kCudnn) + ":";
  for (const auto& [name, algorithm] : kCudnnForms)
    if (algorithm == form.algorithm) text += name;
  if (form.packed) text += kPacked;
  if (form.half) text += kHalf;
  if (form.bare) text += kBare;
  return text;
}

}  // namespace unroll::gpu
