/// Fuzz target: a table in CSV as a time series. The first bytes of the input are the options. What
/// is accepted is read the same row by row, is known again, and is written and read back; windows
/// lie within their part.
#include <optional>

#include "host/data/series_windows.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

constexpr std::size_t kOptionBytes = 2;

SeriesOptions options_of(std::string_view bytes) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(bytes[k]); };
  SeriesOptions options{.columns = {"a"},
                        .valid_fraction = 0.25,
                        .test_fraction = byte(0) & 0x40 ? 0.0 : 0.25,
                        .window = 1 + byte(0) % 4,
                        .ahead = 1,
                        .horizon = 1 + byte(1) % 3};
  if (byte(0) & 0x80) options.columns.emplace_back("b");
  if (byte(1) & 0x80) options.ahead = options.horizon;
  return options;
}

void check_windows(const TrainingSeries& read, const SeriesOptions& options) {
  SeriesWindows windows(read.series, {.end = read.parts.train,
                                      .window = options.window,
                                      .ahead = options.ahead,
                                      .batch = 3,
                                      .every_row = true,
                                      .seed = 1});
  Batch batch = windows.largest();
  std::int64_t count = 0;
  for (std::int64_t first = 0; windows.next(batch); first = batch.position_after) {
    count += batch.count;
    for (std::int64_t row = 0; row < batch.count; ++row) {
      const std::int64_t after = windows.row_after(first + row);
      require(after >= options.window && after + options.ahead <= read.parts.train,
              "a window lies within its part");
    }
  }
  require(count == read.parts.train - options.window - options.ahead + 1, "all windows are there");
}

}  // namespace

std::vector<std::string> seeds() {
  std::string table = "a,b,note\n";
  for (int k = 0; k < 14; ++k)
    table += std::to_string(k % 5) + "," + std::to_string(k * 0.5) + ",\"x, \"\"y\"\"\nz\"\n";
  std::vector<std::string> all;
  for (const char* options : {"\x02\x01", "\x81\x02", "\xC1\x81", "\x41\x80"})
    all.push_back(options + table);
  all.emplace_back("\x02\x01\xEF\xBB\xBF\"a\"\r\n 1 \r\n2\r\n+3\r\n1e2\r\n5\r\n6\r\n7\r\n\r\n");
  all.emplace_back(
      "\x02\x01"
      "a\n1\n\n2\n");
  all.emplace_back(
      "\x02\x01"
      "a\n1\n\"2\n");
  all.emplace_back(
      "\x02\x01"
      "b;a\n1;2\n");
  return all;
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  std::string_view text = fuzz::text_of(data, size);
  if (text.size() < fuzz::kOptionBytes) return 0;
  const SeriesOptions options = fuzz::options_of(text);
  text.remove_prefix(fuzz::kOptionBytes);
  const auto source = [&] { return TextSource(text, "table"); };
  std::optional<TrainingSeries> read;
  if (!fuzz::accepts([&] { read = read_training_series(source(), options); })) return 0;
  fuzz::require(read->series->rows() == read->parts.test, "rows are counted");
  const LearnedSeries learned = LearnedSeries::parse(read->learned.to_text(), "series.json");
  fuzz::require(learned.to_text() == read->learned.to_text(), "what is known is read back");
  fuzz::require(read_series(source(), learned).values == read->series->values,
                "rows are standardised the same");
  fuzz::require(learned.seen_of(*read->series) == read->parts.valid, "the series is known again");
  fuzz::check_windows(*read, options);
  return 0;
}
