/// Runs a fuzz target without libFuzzer: on its seeds, and on mutations of them that follow from a
/// seed number, so that a failure can be repeated. Also writes the seeds for libFuzzer.
///
///   fuzz_NAME_smoke EXECUTIONS [SEED] | fuzz_NAME_smoke --seeds FOLDER
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  /// Makes a few changes to one of the inputs; `inputs` is not empty.
  std::string next(const std::vector<std::string>& inputs) {
    std::string text = inputs[below(inputs.size())];
    const std::size_t changes = 1 + below(3);
    for (std::size_t k = 0; k < changes; ++k) change(text, inputs);
    return text;
  }

 private:
  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }

  void change(std::string& text, const std::vector<std::string>& inputs) {
    const std::size_t at = below(text.size() + 1);
    switch (below(7)) {
      case 0:  // flip a bit
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 1:  // truncate
        text.resize(at);
        break;
      case 2:  // delete some
        text.erase(at, 1 + below(8));
        break;
      case 3:  // repeat some
        text.insert(at, text.substr(below(text.size() + 1), 1 + below(16)));
        break;
      case 4: {  // continue with the end of another input
        const std::string& other = inputs[below(inputs.size())];
        text.replace(at, text.npos, other, below(other.size() + 1), other.npos);
        break;
      }
      case 5:
        text.insert(at, interesting());
        break;
      default:
        text.insert(at, 1, static_cast<char>(below(256)));
    }
  }

  std::string interesting() {
    static const std::array<std::string, 24> kTexts = {"0",
                                                       "-1",
                                                       "-0.0",
                                                       "1e400",
                                                       "2147483648",
                                                       "4294967296",
                                                       "9223372036854775807",
                                                       "18446744073709551616",
                                                       "NaN",
                                                       "null",
                                                       "\"",
                                                       "\\u0000",
                                                       "\\n",
                                                       "\n",
                                                       "\r",
                                                       " ",
                                                       ",",
                                                       "[",
                                                       "{",
                                                       std::string(1, '\0'),
                                                       "\xFF",
                                                       "\xEF\xBB\xBF",
                                                       "\xED\xA0\x80",
                                                       "--"};
    if (below(4) != 0) return kTexts[below(kTexts.size())];
    // A power of two, or a neighbour of one, as eight little-endian bytes.
    std::uint64_t number = (std::uint64_t(1) << below(64)) + below(3) - 1;
    std::string bytes;
    for (int k = 0; k < 8; ++k, number >>= 8) bytes.push_back(static_cast<char>(number & 0xFF));
    return bytes;
  }

  std::mt19937_64 random_;
};

void execute(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

void write_seeds(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const std::vector<std::string> inputs = seeds();
  for (std::size_t k = 0; k < inputs.size(); ++k)
    std::ofstream(folder / ("seed" + std::to_string(k)), std::ios::binary) << inputs[k];
}

void run(long executions, std::uint64_t seed) {
  const std::vector<std::string> inputs = seeds();
  for (const std::string& input : inputs) execute(input);
  Mutator mutator(seed);
  for (long k = 0; k < executions; ++k) execute(mutator.next(inputs));
  std::printf("%ld executions, seed %llu\n", executions, static_cast<unsigned long long>(seed));
}

}  // namespace
}  // namespace unroll::fuzz

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--seeds") {
    unroll::fuzz::write_seeds(argv[2]);
    return 0;
  }
  if (argc < 2 || argc > 3 || std::atol(argv[1]) <= 0) {
    std::fprintf(stderr, "usage: %s EXECUTIONS [SEED] | --seeds FOLDER\n", argv[0]);
    return 2;
  }
  unroll::fuzz::run(std::atol(argv[1]), argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1);
}
