/// Fuzz target: JSON, and a model's configuration in it. Accepted input is written and read back
/// unchanged.
#include "host/base/strict_json.h"
#include "host/models/language_model.h"
#include "host/models/sequence_classifier.h"
#include "host/models/series_task.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

using nlohmann::json;

std::size_t members(const json& value) {
  std::size_t count = value.is_object() ? value.size() : 0;
  for (const json& item : value)
    if (item.is_structured()) count += members(item);
  return count;
}

/// Compares with the library's own parser, which accepts more: for example duplicate keys.
void check(const json& value, std::string_view text) {
  std::size_t keys = 0;
  const json expected = json::parse(text, [&](int, json::parse_event_t event, json&) {
    keys += event == json::parse_event_t::key;
    return true;
  });
  require(value == expected, "the value is the library's");
  require(members(value) == keys, "each key is a member");
  require(parse_json(format_json(value, "value"), "again") == value, "JSON comes back");
}

}  // namespace

std::vector<std::string> seeds() {
  return {
      R"({"type":"language_model","cell":"lstm","vocabulary":10000,"embedding":200,)"
      R"("hidden":[200,200],"dropout":0.5,"tied":true})",
      R"({"type":"language_model","cell":"gru","gru_reset":"before","vocabulary":3,)"
      R"("embedding":1,"hidden":[7],"dropout":0,"tied":false})",
      R"({"type":"language_model","cell":"lstm","lstm_gates":"capped","layer_norm":true,)"
      R"("projection":5,"vocabulary":3,"embedding":5,"hidden":[7],"dropout":0,"tied":true})",
      R"({"type":"sequence_classifier","cell":"lstm","classes":3,"pooling":"mean",)"
      R"("directions":2,"vocabulary":3,"embedding":5,"hidden":[7],"dropout":0})",
      R"({"type":"series","cell":"gru","gru_reset":"after","inputs":2,"window":20,"horizon":12,)"
      R"("quantiles":[0.1,0.5],"hidden":[7],"dropout":0})",
      R"([null,true,-1,18446744073709551615,1e-300,"\u0000\ud83d\ude00\n",{"a\nb":{}},[[[]]]])",
      R"({"a\n":1,"a\n":2})"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  nlohmann::json value;
  if (!fuzz::accepts([&] { value = parse_json(fuzz::text_of(data, size), "text"); })) return 0;
  fuzz::check(value, fuzz::text_of(data, size));

  LanguageModelConfig model;
  if (fuzz::accepts([&] { model = language_model_from_json(JsonObject(value, "model")); })) {
    model.check();
    const nlohmann::json written = to_json(model);
    const LanguageModelConfig again = language_model_from_json(JsonObject(written, "written"));
    fuzz::require(to_json(again) == written, "a configuration comes back");
  }
  SequenceClassifierConfig classifier;
  if (fuzz::accepts([&] { classifier = sequence_classifier_from(JsonObject(value, "model")); })) {
    classifier.check();
    const nlohmann::json written = to_json(classifier);
    const SequenceClassifierConfig again = sequence_classifier_from(JsonObject(written, "written"));
    fuzz::require(to_json(again) == written, "a classifier's configuration comes back");
  }
  SeriesConfig series;
  if (fuzz::accepts([&] { series = series_config_from(JsonObject(value, "model")); })) {
    series.check();
    const nlohmann::json written = to_json(series);
    const SeriesConfig again = series_config_from(JsonObject(written, "written"));
    fuzz::require(to_json(again) == written, "a forecaster's configuration comes back");
  }
  return 0;
}
