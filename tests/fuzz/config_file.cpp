/// Fuzz target: a file of --config. What is accepted, written again as texts in quotes, is read the
/// same.
#include "host/cli/config_file.h"

#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

std::string quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c == '\n' ? "\\n" : std::string(1, c);
  }
  return quoted + "\"";
}

std::string written(const cli::ConfigLine& line) {
  std::string values;
  for (const std::string& value : line.values)
    values += (values.empty() ? "" : ", ") + quoted(value);
  return line.name + " = " + (line.is_list ? "[" + values + "]" : values) + "\n";
}

}  // namespace

std::vector<std::string> seeds() {
  return {"# a run\nlr = 0.5\nbatch_size = 1_000\ntied = true\n",
          "data = \"a \\\"b\\\" # \\\\ \\t\" # comment\r\ncache-dir = 'C:\\x'",
          "nhid = [ 100, 200 ,] # two\ninputs=[\"a\",'b']\nx = []"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  std::vector<cli::ConfigLine> lines;
  if (!fuzz::accepts([&] { lines = cli::read_config(fuzz::text_of(data, size), "run.toml"); }))
    return 0;
  std::string text;
  for (const cli::ConfigLine& line : lines) text += fuzz::written(line);
  const std::vector<cli::ConfigLine> again = cli::read_config(text, "again");
  fuzz::require(again.size() == lines.size(), "as many lines");
  for (std::size_t k = 0; k < lines.size(); ++k) {
    fuzz::require(again[k].name == lines[k].name, "the same name");
    fuzz::require(again[k].values == lines[k].values, "the same values");
    fuzz::require(again[k].is_list == lines[k].is_list, "a list stays one");
  }
  return 0;
}
