#include "host/train/foreign_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>
#include <stdexcept>

#include "host/base/utf8.h"

namespace unroll {
namespace {

constexpr std::array<std::string_view, 3> kWrappers{"module.", "_orig_mod.", "model."};
constexpr std::string_view kRaw = "_raw", kModule = "module.";

std::string_view without_wrappers(std::string_view name) {
  for (const std::string_view wrapper : kWrappers)
    if (name.starts_with(wrapper)) return without_wrappers(name.substr(wrapper.size()));
  return name;
}

/// The name with one beginning in place of another, if it has that.
std::optional<std::string> mapped(std::string_view name,
                                  const std::pair<std::string, std::string>& entry) {
  const auto& [from, to] = entry;
  if (!name.starts_with(from)) return std::nullopt;
  const std::string_view rest = name.substr(from.size());
  if (!rest.empty() && rest.front() != '.') return std::nullopt;
  return to + std::string(rest);
}

/// rnns.2.module.weight_ih_l0 is rnn.weight_ih_l2.
std::string one_stack(std::string_view name) {
  constexpr std::string_view kStack = "rnn.", kList = "rnns.", kFirst = "_l0";
  if (name.starts_with(kStack)) {
    std::string_view rest = name.substr(kStack.size());
    if (rest.starts_with(kModule)) rest.remove_prefix(kModule.size());
    return std::string(kStack) + std::string(rest);
  }
  if (!name.starts_with(kList)) return std::string(name);
  std::string_view rest = name.substr(kList.size());
  const std::string_view layer = rest.substr(0, rest.find('.'));
  if (layer.empty() || layer.size() == rest.size() ||
      layer.find_first_not_of("0123456789") != layer.npos)
    return std::string(name);
  rest.remove_prefix(layer.size() + 1);
  if (rest.starts_with(kModule)) rest.remove_prefix(kModule.size());
  const std::size_t first = rest.rfind(kFirst);
  if (first == rest.npos) return std::string(name);
  const std::string_view after = rest.substr(first + kFirst.size());
  if (!after.empty() && after != kRaw) return std::string(name);
  return fmt::format("{}{}_l{}{}", kStack, rest.substr(0, first), layer, after);
}

/// Our name of a tensor, still with _raw. Sets `used` of the entry that fits.
std::string our_name(std::string_view name, const TensorNameMap& map, std::vector<char>& used) {
  const std::string_view bare = without_wrappers(name);
  for (const std::string_view candidate : {name, bare})
    for (std::size_t k = 0; k < map.size(); ++k)
      if (const auto renamed = mapped(candidate, map[k])) {
        used[k] = true;
        return one_stack(*renamed);
      }
  return one_stack(bare);
}

// ---- numbers

float from_half(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t(half & 0x8000U) << 16U;
  const std::uint32_t exponent = (half >> 10U) & 31U, fraction = half & 1023U;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000U | fraction << 13U);
  const float size = exponent == 0 ? std::ldexp(float(fraction), -24)
                                   : std::ldexp(float(fraction | 1024U), int(exponent) - 25);
  return sign ? -size : size;
}

float from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t(bits) << 16U);
}

/// A tensor of another type that is read as float32.
template <typename Stored, typename Convert>
TensorBytes as_float32(const TensorBytes& bytes, Convert convert) {
  const std::int64_t count = bytes.size() / std::int64_t(sizeof(Stored));
  const auto read = [bytes, convert](std::int64_t at, std::span<std::byte> to) {
    constexpr auto kFloat = std::int64_t(sizeof(float));
    std::vector<Stored> stored(to.size() / sizeof(float));
    bytes.read(at / kFloat * std::int64_t(sizeof(Stored)),
               std::as_writable_bytes(std::span(stored)));
    for (std::size_t k = 0; k < stored.size(); ++k) {
      const float value = convert(stored[k]);
      std::memcpy(to.data() + k * sizeof value, &value, sizeof value);
    }
  };
  return {count * std::int64_t(sizeof(float)), read};
}

TensorData in_float32(const TensorData& tensor, std::string name) {
  TensorData converted = tensor;
  converted.name = std::move(name);
  if (tensor.type == StoredType::kF16)
    converted.bytes = as_float32<std::uint16_t>(tensor.bytes, from_half);
  else if (tensor.type == StoredType::kBf16)
    converted.bytes = as_float32<std::uint16_t>(tensor.bytes, from_bfloat16);
  else if (tensor.type == StoredType::kF64)
    converted.bytes = as_float32<double>(tensor.bytes, [](double value) { return float(value); });
  else
    return converted;
  converted.type = StoredType::kF32;
  return converted;
}

/// How many numbers of a tensor of F64 are none of float32.
std::int64_t count_rounded(const TensorBytes& bytes) {
  std::int64_t count = 0;
  bytes.for_each_piece([&](std::span<const std::byte> piece) {
    for (std::size_t at = 0; at < piece.size(); at += sizeof(double)) {
      double value = 0;
      std::memcpy(&value, piece.data() + at, sizeof value);
      count += double(float(value)) != value && !std::isnan(value) ? 1 : 0;
    }
  });
  return count;
}

}  // namespace

ForeignTensors::ForeignTensors(const SafetensorsFile& file, const std::string& name,
                               const TensorNameMap& map)
    : name_(name) {
  std::vector<char> used(map.size());
  std::vector<std::pair<std::string, const TensorData*>> renamed;
  std::set<std::string, std::less<>> raw;  // names without _raw
  std::int64_t changed = 0;
  for (const TensorData& tensor : file.tensors()) {
    renamed.emplace_back(our_name(tensor.name, map, used), &tensor);
    std::string& ours = renamed.back().first;
    if (ours.starts_with("rnn.") && ours.ends_with(kRaw))
      raw.insert(ours.substr(0, ours.size() - kRaw.size()));
    changed += ours != tensor.name ? 1 : 0;
  }
  for (auto& [ours, tensor] : renamed) {
    if (raw.contains(ours)) {
      notes_.push_back(fmt::format("{} is left out: {}{} has it before weights are dropped",
                                   in_quotes(tensor->name), ours, kRaw));
      continue;
    }
    if (ours.ends_with(kRaw) &&
        raw.contains(std::string_view(ours).substr(0, ours.size() - kRaw.size())))
      ours.resize(ours.size() - kRaw.size());
    const auto [at, is_new] = originals_.emplace(ours, tensor);
    if (!is_new)
      throw std::runtime_error(fmt::format("{}: tensors {} and {}: both are {} here, expected one",
                                           name_, in_quotes(at->second->name),
                                           in_quotes(tensor->name), in_quotes(ours)));
  }
  for (std::size_t k = 0; k < map.size(); ++k)
    if (!used[k])
      throw std::runtime_error(fmt::format(
          "{}: no tensor's name begins with {} up to a point or its end, expected one to map",
          name_, in_quotes(map[k].first)));
  if (changed > 0)
    notes_.push_back(
        fmt::format("{} of {} tensors have other names here", changed, file.tensors().size()));
  for (const auto& [ours, tensor] : originals_) tensors_.push_back(in_float32(*tensor, ours));
  for (const auto& [key, value] : file.metadata()) {
    const bool is_alias = file.find(value);
    metadata_[is_alias ? our_name(key, map, used) : key] =
        is_alias ? our_name(value, map, used) : value;
  }
}

const TensorData* ForeignTensors::find(std::string_view name) const {
  const auto at = std::ranges::lower_bound(
      tensors_, name, {}, [](const TensorData& tensor) { return std::string_view(tensor.name); });
  return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

std::string ForeignTensors::shown(const std::string& name) const {
  const auto found = originals_.find(name);
  if (found == originals_.end() || found->second->name == name) return in_quotes(name);
  return fmt::format("{} ({} here)", in_quotes(found->second->name), in_quotes(name));
}

std::vector<std::string> ForeignTensors::conversions() const {
  std::map<StoredType, std::int64_t> tensors;
  std::int64_t rounded = 0, numbers = 0;
  for (const auto& [ours, tensor] : originals_) {
    ++tensors[tensor->type];
    if (tensor->type != StoredType::kF64) continue;
    rounded += count_rounded(tensor->bytes);
    numbers += tensor->bytes.size() / std::int64_t(sizeof(double));
  }
  std::vector<std::string> notes;
  for (const StoredType type : {StoredType::kF16, StoredType::kBf16, StoredType::kF64})
    if (tensors[type] > 0)
      notes.push_back(fmt::format(
          "{} tensors of {} are F32 here: {}", tensors[type], stored_type_name(type),
          type == StoredType::kF64 && rounded > 0
              ? fmt::format("{} of {} numbers are rounded to the nearest", rounded, numbers)
              : "every number as it was"));
  return notes;
}

}  // namespace unroll
