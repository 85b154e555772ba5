/// Fuzz target: metrics.jsonl, as `report` draws it. Accepted input becomes a page of bounded size
/// without numbers that a browser cannot read.
#include <sstream>

#include "host/pages/report.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

void check(const RunHistory& history) {
  require(history.steps >= 0 && history.epochs >= 0, "counts are not negative");
  const std::string page = make_report({"run", history});
  require(page.size() < (std::size_t(8) << 20), "a page is small");
  for (std::size_t at = page.find(" d=\""); at != page.npos; at = page.find(" d=\"", at + 1)) {
    const std::string path = page.substr(at + 4, page.find('"', at + 4) - at - 4);
    require(path.find_first_not_of("MLVHhvlz-.0123456789 ") == path.npos, "a path: " + path);
  }
}

}  // namespace

std::vector<std::string> seeds() {
  return {
      R"({"event":"train","step":10,"epoch":1,"loss":5.5,"ppl":244.7,"gradient_norm":0.5,"lr":0.1,)"
      R"("tokens_per_second":1000,"seconds":1.5,"new":[1]})"
      "\n"
      R"({"event":"valid","step":10,"epoch":1,"loss":5.25,"accuracy":0.2,"best":true,"seconds":2})"
      "\n"
      R"({"event":"jump","step":12,"epoch":1,"jumps":1,"loss":9,"limit":8.5,"seconds":2})"
      "\n"
      R"({"event":"diverged","step":15,"epoch":2,"loss":null,"limit":8.5,"reason":"a <limit>",)"
      R"("parameter":null,"action":"skip","seconds":2.5})"
      "\n"
      R"({"event":"train","step":20,"epoch":2,"loss":5.0,"gradient_norm":0.25,"lr":0.05,)"
      R"("tokens_per_second":3000,"seconds":3})"
      "\n"
      R"({"event":"test","step":20,"epoch":2,"loss":5.125,"accuracy":0.3,"seconds":75})"
      "\n",
      R"({"event":"train","step":1,"loss":-270800811})"
      "\n",
      R"({"event":"train","step":9007199254740992,"loss":1e300,"lr":-1e308})"
      "\n"
      R"({"event":"valid","step":1,"loss":-1e-300})"
      "\n",
      R"({"event":"something new"})"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  std::istringstream text{std::string(fuzz::text_of(data, size))};
  RunHistory history;
  if (fuzz::accepts([&] { history = read_run_history(text, "metrics"); })) fuzz::check(history);
  return 0;
}
