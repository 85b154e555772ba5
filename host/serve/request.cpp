#include "host/serve/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "host/base/spelling.h"
#include "host/base/strict_json.h"
#include "host/base/utf8.h"

namespace unroll::serve {
namespace {

constexpr const char* kName = "request";  // in errors

/// The fields of a body, each of them known.
class Fields {
 public:
  Fields(std::string_view body, const std::vector<std::string>& known)
      : value_(parse_json(body, "body")), object_(value_, kName) {
    for (const auto& item : value_.items())
      if (std::ranges::find(known, item.key()) == known.end())
        throw std::runtime_error(fmt::format("{}: unknown field {}{}", kName, in_quotes(item.key()),
                                             did_you_mean(item.key(), known)));
  }

  bool has(const char* key) const { return object_.has(key); }
  const nlohmann::json& at(const char* key) const { return object_.at(key); }

  std::string text(const char* key) const { return object_.string(key); }
  void read(const char* key, std::string& value) const {
    if (has(key)) value = object_.string(key);
  }
  void read(const char* key, bool& value) const {
    if (has(key)) value = object_.boolean(key);
  }
  void read(const char* key, std::int64_t& value, std::int64_t low, std::int64_t high) const {
    if (has(key)) value = object_.integer(key, low, high);
  }
  void read(const char* key, double& value) const {
    constexpr double kMost = std::numeric_limits<double>::max();
    if (has(key)) value = object_.number(key, -kMost, kMost);
  }

 private:
  nlohmann::json value_;
  JsonObject object_;
};

/// What the readers of JSON throw, as a RequestError.
template <typename Read>
auto checked(Read&& read) {
  try {
    return read();
  } catch (const std::exception& error) {
    throw RequestError(400, error.what());
  }
}

std::vector<std::string> texts_of(const Fields& fields) {
  if (fields.has("text") == fields.has("texts"))
    throw std::runtime_error(fmt::format("{}: got {} text and texts, expected one of them", kName,
                                         fields.has("text") ? "both" : "neither"));
  if (fields.has("text")) return {fields.text("text")};
  const auto fail = [](const std::string& got) {
    throw std::runtime_error(
        fmt::format("{}: texts: got {}, expected an array of strings", kName, got));
  };
  const nlohmann::json& list = fields.at("texts");
  if (!list.is_array()) fail(list.type_name());
  std::vector<std::string> texts;
  for (const nlohmann::json& text : list) {
    if (!text.is_string()) fail(fmt::format("an array with {}", text.type_name()));
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

/// All 64 bits, which JsonObject's whole numbers do not have. 10.0 is the number 10.
std::uint64_t seed_of(const Fields& fields) {
  const nlohmann::json& seed = fields.at("seed");
  if (seed.is_number_unsigned()) return seed.get<std::uint64_t>();
  if (seed.is_number_float()) {
    const auto real = seed.get<double>();
    if (real >= 0 && real < 0x1p64 && real == std::trunc(real)) return std::uint64_t(real);
  }
  throw std::runtime_error(fmt::format("{}: seed: got {}, expected a whole number in [0, {}]",
                                       kName, seed.is_number() ? seed.dump() : seed.type_name(),
                                       std::numeric_limits<std::uint64_t>::max()));
}

/// Below 2^53, so that every reader of JSON keeps its digits.
std::uint64_t fresh_seed() {
  std::random_device random;
  return (std::uint64_t{random()} << 32 | random()) >> 11;
}

}  // namespace

PredictRequest read_predict(std::string_view body, const Limits& limits) {
  return checked([&] {
    const Fields fields(body, {"text", "top", "word", "each"});
    PredictRequest request;
    request.text = fields.text("text");
    fields.read("top", request.top, 1, limits.top);
    if (fields.has("word")) request.word = fields.text("word");
    fields.read("each", request.each);
    return request;
  });
}

ScoreRequest read_score(std::string_view body, const Limits&) {
  return checked([&] {
    const Fields fields(body, {"text", "texts", "tokens", "strict"});
    ScoreRequest request;
    request.texts = texts_of(fields);
    fields.read("tokens", request.tokens);
    fields.read("strict", request.strict);
    return request;
  });
}

GenerateRequest read_generate(std::string_view body, const Limits& limits) {
  return checked([&] {
    const Fields fields(body, {"prompt", "length", "temperature", "top_k", "top_p", "min_p",
                               "no_unk", "stop", "seed", "stream"});
    GenerateRequest request;
    fields.read("prompt", request.prompt);
    fields.read("stop", request.stop);
    fields.read("length", request.length, 1, limits.length);
    fields.read("temperature", request.sampling.temperature);
    fields.read("top_k", request.sampling.top_k, 0, std::numeric_limits<std::int64_t>::max());
    fields.read("top_p", request.sampling.top_p);
    fields.read("min_p", request.sampling.min_p);
    fields.read("no_unk", request.no_unknown);
    fields.read("stream", request.stream);
    request.sampling.seed = fields.has("seed") ? seed_of(fields) : fresh_seed();
    try {
      request.sampling.check();
    } catch (const std::invalid_argument& error) {
      std::string what = error.what();  // which calls fields by their flags
      for (const char* name : {"top-k", "top-p", "min-p"})
        if (what.starts_with(name)) what[3] = '_';
      throw std::runtime_error(fmt::format("{}: {}", kName, what));
    }
    return request;
  });
}

}  // namespace unroll::serve
