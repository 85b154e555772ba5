#include "host/base/strict_json.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "host/base/utf8.h"

namespace unroll {
namespace {

using nlohmann::json;

/// Builds the value and checks what the library's own builder accepts. Throws instead of returning
/// false, so that the message says what was wrong.
class StrictBuilder final : public nlohmann::json_sax<json> {
 public:
  explicit StrictBuilder(const std::string& name) : name_(name) {}

  json take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // text has no binary values
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    if (open_.back()->contains(value))
      throw std::runtime_error(
          fmt::format("{}: key {} twice in an object, expected once", name_, in_quotes(value)));
    key_ = value;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // The library's message ends with the last token, whose length a hostile file can choose.
    std::string_view text = error.what();
    text.remove_prefix(text.find(']') + 2);  // the library's name and number in brackets
    throw std::runtime_error(
        fmt::format("{}: byte {}: not JSON: {}", name_, position, shorten_utf8(text, 200)));
  }

 private:
  bool put(json value) {
    place(std::move(value));
    return true;
  }
  bool open(json value) {
    if (open_.size() == kMaxJsonDepth)
      throw std::runtime_error(
          fmt::format("{}: nested deeper, expected at most {} levels", name_, kMaxJsonDepth));
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  json* place(json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    json& parent = *open_.back();
    if (parent.is_object()) return &(parent[key_] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }

  const std::string& name_;
  json root_;
  std::vector<json*>
      open_;  // stable: nothing is added to the outer values while an inner one is open
  std::string key_;
};

void check_writable(const json& value, const std::string& name, int depth) {
  if (value.is_number_float() && !std::isfinite(value.get<double>()))
    throw std::invalid_argument(name + ": a number is not finite, expected finite ones");
  if (!value.is_structured()) return;
  if (depth == kMaxJsonDepth)
    throw std::invalid_argument(
        fmt::format("{}: nested deeper, expected at most {} levels", name, kMaxJsonDepth));
  for (const auto& item : value.items())
    check_writable(item.value(), name + "." + item.key(), depth + 1);
}

/// The value in an error message: short, on one line.
std::string shown(const json& value) {
  if (value.is_structured()) return value.is_object() ? "an object" : "an array";
  const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() > 60 ? text.substr(0, 60) + "..." : text;  // ASCII: escaped above
}

}  // namespace

json parse_json(std::string_view text, const std::string& name) {
  if (text.empty()) throw std::runtime_error(name + ": is empty, expected JSON");
  if (text.starts_with("\xEF\xBB\xBF"))
    throw std::runtime_error(name + ": got a byte order mark, expected JSON without one");
  // The library takes a NUL as the end of the text.
  if (const std::size_t nul = text.find('\0'); nul != text.npos)
    throw std::runtime_error(fmt::format("{}: byte {}: got a NUL, expected JSON", name, nul));
  StrictBuilder builder(name);
  json::sax_parse(text, &builder);
  return builder.take();
}

std::string format_json(const json& value, const std::string& name) {
  check_writable(value, name, 0);
  return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

JsonObject::JsonObject(const json& value, std::string where)
    : value_(&value), where_(std::move(where)) {
  if (!value.is_object())
    throw std::runtime_error(fmt::format("{}: got {}, expected an object", where_, shown(value)));
}

void JsonObject::fail(std::string_view key, const std::string& expected) const {
  throw std::runtime_error(
      fmt::format("{}: {}: got {}, expected {}", where_, key, shown(at(key)), expected));
}

bool JsonObject::has(std::string_view key) const {
  return value_->contains(key);
}

const json& JsonObject::at(std::string_view key) const {
  const auto member = value_->find(key);
  if (member == value_->end())
    throw std::runtime_error(fmt::format("{}: {} is missing", where_, key));
  return *member;
}

std::int64_t JsonObject::integer(std::string_view key, std::int64_t low, std::int64_t high) const {
  constexpr double kExact = double(std::int64_t{1} << 53);  // up to here doubles hold each integer
  const json& value = at(key);
  std::optional<std::int64_t> number;
  if (value.is_number_float()) {  // 10.0 is the number 10
    const auto real = value.get<double>();
    if (real == std::trunc(real) && std::abs(real) <= kExact) number = std::int64_t(real);
  } else if (value.is_number_unsigned()) {
    // Above 2^63 it would turn negative in get<int64_t>.
    if (std::in_range<std::int64_t>(value.get<std::uint64_t>())) number = value.get<std::int64_t>();
  } else if (value.is_number_integer()) {
    number = value.get<std::int64_t>();
  }
  if (!number || *number < low || *number > high)
    fail(key, fmt::format("a whole number in [{}, {}]", low, high));
  return *number;
}

double JsonObject::number(std::string_view key, double low, double high) const {
  const json& value = at(key);
  if (!value.is_number() || !(value.get<double>() >= low && value.get<double>() <= high))
    fail(key, fmt::format("a number in [{}, {}]", low, high));
  return value.get<double>();
}

bool JsonObject::boolean(std::string_view key) const {
  if (!at(key).is_boolean()) fail(key, "true or false");
  return at(key).get<bool>();
}

std::string JsonObject::string(std::string_view key) const {
  if (!at(key).is_string()) fail(key, "a string");
  return at(key).get<std::string>();
}

JsonObject JsonObject::object(std::string_view key) const {
  if (!at(key).is_object()) fail(key, "an object");
  return {at(key), fmt::format("{}: {}", where_, key)};
}

}  // namespace unroll
