/// Fuzz target: the program's arguments, parsed and not run. Words are separated by blanks, or by
/// NUL so that an argument may contain blanks. Errors are those of a wrong command line.
#include "host/cli/command_line.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "host/cli/values.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

std::vector<std::string> split(std::string_view text) {
  const char separator = text.find('\0') == text.npos ? ' ' : '\0';
  std::vector<std::string> words = {"unroll"};
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

/// Empty if the words are a valid command line, otherwise the reason.
std::string refusal(const std::vector<std::string>& words) {
  std::vector<const char*> arguments;
  for (const std::string& word : words) arguments.push_back(word.c_str());
  try {
    require(bool(cli::parse(static_cast<int>(arguments.size()), arguments.data())),
            "a command line that is accepted can be run");
    return "";
  } catch (const cli::UsageError& error) {
    return error.what();
  }
}

}  // namespace

std::vector<std::string> seeds() {
  using namespace std::string_literals;
  return {
      "train --data ptb --model gru --nhid 200,100 --nlayers 2 --dropout 0.5 --tied --lr 1e-3",
      "train --recipe zaremba-small --save=runs/x --batch_size 20 --seed 18446744073709551615",
      "eval --checkpoint runs/x --json --device cuda:1 --threads 2",
      "predict\0--checkpoint\0runs/x\0--text\0the old man\0--word\0"s + "ate",
      "generate --checkpoint runs/x --prompt the --length 20 --top-p 0.9",
      "train --task series --data s.csv --target a --inputs b,c --quantiles 0.1,0.9 --horizon 3",
      "forecast --checkpoint runs/x --steps 24 --csv",
      "--version",
      "train --help",
      "train --config /nonexistent.toml --no-sample --quiet",
      "trian --dta x",
      "predict --top 3 --word a --checkpoint x"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll::fuzz;
  const std::vector<std::string> words = split(text_of(data, size));
  const std::string refused = refusal(words);
  require(refused.find('\n') == refused.npos, "one line: " + refused);
  return 0;
}
