#include "host/data/class_labels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "host/base/utf8.h"

namespace unroll {

bool is_label(std::string_view text) {
  return !text.empty() && text.front() != ' ' && text.back() != ' ' &&
         text.find_first_of(std::string_view("\t\n\v\f\r\0", 6)) == text.npos &&
         find_invalid_utf8(text) == text.size();
}

ClassLabels::ClassLabels(std::vector<std::string> labels, const std::string& name)
    : labels_(std::move(labels)) {
  std::ranges::sort(labels_);  // by bytes: char_traits compares them as unsigned
  if (labels_.size() < 2)
    throw std::runtime_error(
        fmt::format("{}: got {}, expected 2 classes or more", name,
                    labels_.empty() ? "none" : "only the class " + in_quotes(labels_[0])));
  if (std::ssize(labels_) > kMost)
    throw std::runtime_error(
        fmt::format("{}: got {} classes, expected at most {}", name, labels_.size(), kMost));
}

ClassLabels ClassLabels::parse(std::string_view text, const std::string& name) {
  if (text.empty()) throw std::runtime_error(name + ": is empty, expected one label per line");
  std::vector<std::string> labels;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view label = text.substr(0, end);
    const auto fail = [&](std::string_view expected) {
      return std::runtime_error(fmt::format("{}: line {}: got {}, expected {}", name,
                                            labels.size() + 1, in_quotes(label), expected));
    };
    if (!is_label(label)) throw fail("a label: UTF-8 without white space, but blanks within it");
    if (!labels.empty() && label <= labels.back())
      throw fail("a label that comes after " + in_quotes(labels.back()));
    labels.emplace_back(label);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {std::move(labels), name};
}

std::string ClassLabels::to_text() const {
  std::string text;
  for (const std::string& label : labels_) text.append(label).push_back('\n');
  return text;
}

std::optional<std::int32_t> ClassLabels::find(std::string_view label) const {
  const auto at = std::ranges::lower_bound(labels_, label);
  if (at == labels_.end() || *at != label) return std::nullopt;
  return std::int32_t(at - labels_.begin());
}

const std::string& ClassLabels::label(std::int32_t id) const {
  if (id < 0 || id >= size())
    throw std::invalid_argument(fmt::format("class {}, expected one in [0, {})", id, size()));
  return labels_[std::size_t(id)];
}

}  // namespace unroll
