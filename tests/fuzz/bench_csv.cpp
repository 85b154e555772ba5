/// Fuzz target: the CSV of `unroll bench`. Accepted input is written, read back and written the
/// same, and can be compared with itself; every error names file and line.
#include <optional>

#include "host/bench/report/results.h"
#include "host/bench/report/summary.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {

std::vector<std::string> seeds() {
  const std::string head = benchmark::csv_header() + "\n";
  const std::string row =
      "rnn,s,lstm,35,20,200,200,fp32,forward,unroll,stepwise,graph,ok,12,11,13,20,.01,1,9,3,.5,5,9,"
      "4,2\n";
  return {
      "# about\n" + head + row,
      head + row + "rnn,s,lstm,35,20,200,200,fp32,forward,cudnn,\"a,\"\"b\",,ok,10,,,0,,,1,,,,,,\n",
      head + "lm,\"x\r\ny\",gru,1,1,1,200/100,bf16,step,pytorch,eager,,refused,,,,,,,,,,,,,\n",
      "#a\n" + head + row + "\n#b\r\n" + head + row + row};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  const std::string text(fuzz::text_of(data, size));
  std::optional<benchmark::Results> results;
  if (!fuzz::accepts([&] { results = benchmark::read_csv(text, "file"); })) return 0;
  const std::string written = benchmark::to_csv(*results);
  const benchmark::Results again = benchmark::read_csv(written, "again");
  fuzz::require(again.rows.size() == results->rows.size(), "every row is written");
  fuzz::require(benchmark::to_csv(again) == written, "what is written is read back");
  const bool compared = fuzz::accepts(
      [&] { fuzz::require(!benchmark::comparison_text(*results, again).empty(), "it says more"); });
  fuzz::require(compared != results->rows.empty(), "rows can be compared with themselves");
  return 0;
}
