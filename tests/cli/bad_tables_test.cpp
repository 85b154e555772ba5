/// Bad tables of labelled texts, as the trainer of a classifier says it.
#include "tests/support/bad_input.h"

namespace unroll::test {
namespace {

/// A folder `t` of three tables, of which one has this content, as printf takes it.
std::string tables(const std::string& name, const std::string& content) {
  return "rm -rf t; mkdir t; for k in train valid test; do printf 'x\\ta b\\ny\\tb a\\n' > "
         "t/$k.tsv; "
         "done; printf '" +
         content + "' > t/" + name + ".tsv";
}

std::string classify(const std::string& flags = "") {
  return "unroll train --task classify --data t --save new --nhid 4 --emsize 4 --batch-size 2 "
         "--threads 1 " +
         flags;
}

TEST_F(BadInputs, TablesOfLabelledTexts) {
  check({
      {"no tab", tables("train", "x\\ta\\ny b\\n"), classify(), 1,
       "t/train.tsv: line 2: got no tab in 'y b', expected label<TAB>text"},
      {"no label", tables("valid", "\\ta\\n"), classify(), 1,
       "t/valid.tsv: line 1: got no label, expected label<TAB>text"},
      {"no word", tables("test", "x\\ta\\ny\\t \\n"), classify(), 1,
       "t/test.tsv: line 2: got no word in the text, expected one or more"},
      {"unknown label", tables("valid", "z\\ta\\n"), classify(), 1,
       "t/valid.tsv: line 1: got the label 'z', expected one of the 2 of training texts"},
      {"one class", tables("train", "x\\ta\\nx\\tb\\n"), classify(), 1,
       "t/train.tsv: got only the class 'x', expected 2 classes or more"},
      {"empty table", tables("test", ""), classify(), 1, "t/test.tsv: is empty, expected lines of"},
      {"no UTF-8", tables("train", "x\\ta\\ny\\t\\377\\n"), classify(), 1,
       "t/train.tsv: line 2, byte offset 6: got byte 0xFF"},
      {"NUL", tables("valid", "x\\ta\\000\\n"), classify(), 1,
       "t/valid.tsv: line 1, byte offset 3: got byte 0x00"},
      {"no test table", tables("train", "x\\ta\\ny\\tb\\n") + "; rm t/test.tsv", classify(), 1,
       "t: no test.tsv, expected train.tsv, valid.tsv and test.tsv"},
      {"a file", "rm -rf t; echo a > t", classify(), 1, "t: is not a folder, expected one with"},
      {"no folder", "rm -rf t", classify(), 1, "t: no such folder"},
  });
}

}  // namespace
}  // namespace unroll::test
