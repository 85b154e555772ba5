/// Fuzz target: what clients ask a server for. The first byte of the input is the question. What is
/// accepted is within the limits, and means the same when it is written anew.
#include <nlohmann/json.hpp>

#include "host/base/utf8.h"
#include "host/serve/request.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

using nlohmann::json;
using serve::Limits;

/// accepts(), for errors that a client is told.
template <typename Read>
bool read_if_valid(Read&& read) {
  return accepts([&] {
    try {
      read();
    } catch (const serve::RequestError& error) {
      require(error.status == 400, "a request that cannot be read is a bad request");
      throw;
    }
  });
}

void check_predict(std::string_view body) {
  serve::PredictRequest asked;
  if (!read_if_valid([&] { asked = serve::read_predict(body, {}); })) return;
  require(asked.top >= 1 && asked.top <= Limits{}.top, "top is in its range");
  require(find_invalid_utf8(asked.text) == asked.text.size(), "a text is UTF-8");
  json again = {{"text", asked.text}, {"top", asked.top}, {"each", asked.each}};
  if (asked.word) again["word"] = *asked.word;
  const serve::PredictRequest read = serve::read_predict(again.dump(), {});
  require(read.text == asked.text && read.top == asked.top && read.word == asked.word &&
              read.each == asked.each,
          "a question is read back");
}

void check_score(std::string_view body) {
  serve::ScoreRequest asked;
  if (!read_if_valid([&] { asked = serve::read_score(body, {}); })) return;
  for (const std::string& text : asked.texts)
    require(find_invalid_utf8(text) == text.size(), "a text is UTF-8");
  const json again = {{"texts", asked.texts}, {"tokens", asked.tokens}, {"strict", asked.strict}};
  const serve::ScoreRequest read = serve::read_score(again.dump(), {});
  require(read.texts == asked.texts && read.tokens == asked.tokens && read.strict == asked.strict,
          "a question is read back");
}

void check_generate(std::string_view body) {
  serve::GenerateRequest asked;
  if (!read_if_valid([&] { asked = serve::read_generate(body, {}); })) return;
  require(asked.length >= 1 && asked.length <= Limits{}.length, "length is in its range");
  const SamplingOptions& sampling = asked.sampling;
  sampling.check();
  const json again = {{"prompt", asked.prompt},  {"stop", asked.stop},
                      {"length", asked.length},  {"temperature", sampling.temperature},
                      {"top_k", sampling.top_k}, {"top_p", sampling.top_p},
                      {"min_p", sampling.min_p}, {"no_unk", asked.no_unknown},
                      {"stream", asked.stream},  {"seed", sampling.seed}};
  const serve::GenerateRequest read = serve::read_generate(again.dump(), {});
  require(read.prompt == asked.prompt && read.stop == asked.stop && read.length == asked.length &&
              read.no_unknown == asked.no_unknown && read.stream == asked.stream,
          "a question is read back");
  require(read.sampling.temperature == sampling.temperature &&
              read.sampling.top_k == sampling.top_k && read.sampling.top_p == sampling.top_p &&
              read.sampling.min_p == sampling.min_p && read.sampling.seed == sampling.seed,
          "options are read back");
}

}  // namespace

std::vector<std::string> seeds() {
  return {R"(p{"text":"he ate the","top":5,"word":"cake","each":true})",
          R"(p{"text":"\u0000\ud83d\ude00"})",
          R"(s{"text":"he ate","tokens":true,"strict":false})",
          R"(s{"texts":["a","b",""]})",
          R"(s{"texts":["a",1]})",
          R"(g{"prompt":"he","length":100,"temperature":1,"top_k":0,"top_p":1,"min_p":0,)"
          R"("no_unk":false,"stop":".","seed":18446744073709551615,"stream":true})",
          R"(g{"temperature":1e-300,"top_p":5e-324,"seed":-1})",
          R"(g{})"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  std::string_view text = fuzz::text_of(data, size);
  if (text.empty()) return 0;
  const char question = text[0];
  text.remove_prefix(1);
  if (question == 'p')
    fuzz::check_predict(text);
  else if (question == 's')
    fuzz::check_score(text);
  else
    fuzz::check_generate(text);
  return 0;
}
