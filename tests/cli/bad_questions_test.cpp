/// Questions to a model that cannot be answered.
#include "tests/support/bad_input.h"

namespace unroll::test {
namespace {

std::string score(const std::string& input, const std::string& flags = "") {
  return "printf '" + input + "' | unroll score --checkpoint run " + flags;
}
std::string rescore(const std::string& input, const std::string& flags) {
  return "printf '" + input + "' | unroll rescore --checkpoint run --format " + flags;
}

TEST_F(BadInputs, Scores) {
  check({
      {"not UTF-8", "", score("he ate\\nhe \\377\\n"), 1,
       "unroll: stdin: line 2: byte 4: got 0xFF, expected UTF-8 text without NUL"},
      {"NUL", "", score("he\\0\\n"), 1, "stdin: line 1: byte 3: got 0x00"},
      {"unknown word", "", score("he ate\\n\\nhe zzyzx\\n", "--strict"), 1,
       "unroll: stdin: line 3: 'zzyzx' is not in the model's vocabulary, expected only what is "
       "(--strict)"},
      {"unknown word in one text", "", score("he ate\\nzzyzx", "--strict --carry"), 1,
       "stdin: line 2: 'zzyzx' is not in"},
      {"no such file", "", "unroll score --checkpoint run --data nothing", 1, "nothing: "},
      {"a folder", "", "unroll score --checkpoint run --data data", 1,
       "data: cannot be read: Is a"},
      {"no model", "", "unroll score --checkpoint nothing", 1, "nothing"},
  });
  // What stands before the bad line is scored.
  const Output result = script(score("he ate\\nhe ate\\n\\377\\n"));
  EXPECT_EQ(std::ranges::count(result.out, '\n'), 2);
  const Output nothing = script(score(""));
  EXPECT_EQ(nothing.status, 0);
  EXPECT_EQ(nothing.out, "");
  EXPECT_TRUE(contains(nothing.err, "lines 0 | tokens 0 | unknown 0\n"));
}

TEST_F(BadInputs, NBestLists) {
  check({
      {"ragged columns", "", rescore("0 ||| he ||| f ||| -1\\n0 ||| she ||| -2\\n", "moses"), 1,
       "unroll: stdin: line 2: got 3 columns, expected 4 or more: id ||| text ||| features ||| "
       "score"},
      {"more columns", "", rescore("0 ||| a ||| ||| 1\\n0 ||| b ||| ||| 1 ||| 0-0\\n", "moses"), 1,
       "stdin: line 2: got 5 columns, expected 4 as in the first line: "},
      {"no number", "", rescore("0 ||| a ||| ||| best\\n", "moses"), 1,
       "stdin: line 1: score: got 'best', expected a finite number"},
      {"empty line", "", rescore("u-1 he\\n\\nu-2 she\\n", "kaldi"), 1,
       "stdin: line 2: id: got '', expected an utterance, a hyphen and a number, as utt-1"},
      {"no number of a hypothesis", "", rescore("he ate\\n", "kaldi"), 1,
       "stdin: line 1: id: got 'he', expected"},
      {"not UTF-8", "", rescore("u-1 \\377\\n", "kaldi"), 1, "'u-1': byte 1: got 0xFF"},
      {"format", "", rescore("", "mosses"), 2, "--format: got 'mosses', expected one of moses, ka"},
      {"no format", "", "unroll rescore --checkpoint run", 2, "--format is required"},
      {"weight", "", rescore("", "kaldi --weight 1.5"), 2, "--weight: got 1.5, expected a number"},
      {"weight and tune", "", rescore("", "kaldi --weight 1 --tune x"), 2,
       "--weight excludes --tune"},
      {"no reference", "", rescore("u-1 he\\n", "kaldi --tune nothing"), 1, "nothing: cannot be"},
      {"reference of another", "echo 'v he' >ref", rescore("u-1 he\\n", "kaldi --tune ref"), 1,
       "list 'u': got no reference of this id, expected one"},
      {"reference twice", "printf 'u he\\nu she\\n' >ref", rescore("u-1 he\\n", "kaldi --tune ref"),
       1, "ref: line 2: id: got 'u' again, expected it once"},
  });
  const Output result = script(rescore("u-1 he\\nv-1 he\\nv\\n", "kaldi"));
  EXPECT_EQ(result.out, "u-1 he\n");
}

TEST_F(BadInputs, Generated) {
  const auto generate = [](const std::string& flags) {
    return "unroll generate --checkpoint run " + flags;
  };
  check({
      {"min-p", "", generate("--min-p 1.5"), 2, "--min-p: got 1.5, expected one in [0, 1]"},
      {"no texts", "", generate("--n 0"), 2, "--n: got 0, expected a number of at least 1"},
      {"empty stop", "", generate("--stop ''"), 2, "--stop: got '', expected a text"},
      {"more than the beam", "", generate("--beam 3 --n 4"), 2,
       "--n: got 4, expected at most the 3 of --beam"},
      {"no beam", "", generate("--beam 0"), 2, "--beam: got 0, expected"},
      {"drawn beam", "", generate("--beam 3 --top-k 4"), 2, "--beam excludes --top-k"},
  });
}

}  // namespace
}  // namespace unroll::test
