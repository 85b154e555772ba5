/// Bad command lines and bad texts. A train command's folder is always `new`, so that the check for
/// files that were made covers it.
#include "tests/support/bad_input.h"

namespace unroll::test {
namespace {

std::string train(const std::string& flags) {
  return "unroll train --data data --save new --cache-dir $CACHE $SMALL " + flags;
}
std::string train_on(const std::string& data, const std::string& flags = "") {
  return "unroll train --save new --cache-dir $CACHE $SMALL --nhid 4 --data " + data + " " + flags;
}

TEST_F(BadInputs, Numbers) {
  check({
      {"rate not a number", "", train("--lr nan"), 2, "--lr: got nan, expected a number above 0"},
      {"infinite rate", "", train("--lr inf"), 2,
       "--lr: got inf, expected a finite number above 0"},
      {"rate above float32", "", train("--lr 1e39"), 2,
       "--lr: got 1e+39, expected a number that float32 holds: 0, or of a size from 1.18e-38 to "
       "3.4e+38"},
      {"rate below float32", "", train("--lr 1e-50"), 2, "--lr: got 1e-50, expected a number that"},
      {"limit above float32", "", train("--clip 1e300"), 2, "--clip: got 1e+300, expected a num"},
      {"range above float32", "", train("--init-range 1e40"), 2, "--init-range: got 1e+40"},
      {"no rate", "", train("--lr 0"), 2, "--lr: got 0, expected a number above 0"},
      {"negative rate", "", train("--lr -1"), 2, "--lr: got -1"},
      {"rate too large", "", train("--lr 1e400"), 2, "--lr: got '1e400', expected a number"},
      {"rate in words", "", train("--lr fast"), 2, "--lr: got 'fast', expected a number"},
      {"rate with a comma", "", train("--lr 1,5"), 2, "--lr: got '1,5', expected a number"},
      {"empty rate", "", train("--lr ''"), 2, "--lr: got '', expected a number"},
      {"rate missing", "", train("--lr"), 2, "--lr: got no value, expected a number"},
      {"two rates", "", train("--lr 1 2"), 2, "unexpected word '2'"},
      {"negative units", "", train("--nhid -1"), 2, "--nhid: got -1"},
      {"no units", "", train("--nhid 0"), 2, "--nhid: got 0"},
      {"empty units", "", train("--nhid ''"), 2, "--nhid: got '', expected a whole number"},
      {"part of a unit", "", train("--nhid 1.5"), 2, "--nhid: got '1.5', expected a whole number"},
      {"negative embedding", "", train("--emsize -3"), 2, "--emsize: got -3"},
      {"more than 64 bits", "", train("--bptt 99999999999999999999"), 2,
       "--bptt: got '99999999999999999999', expected a whole number"},
      {"large batch", "", train("--batch-size 1000000000"), 1, " streams (--batch-size, --bptt)"},
      {"all dropped", "", train("--dropout 1"), 2,
       "--dropout: got 1, expected 0 or more and below"},
      {"more than all dropped", "", train("--dropout 1.5"), 2, "--dropout: got 1.5"},
      {"dropout not a number", "", train("--dropout nan"), 2, "--dropout: got nan"},
      {"negative seed", "", train("--seed -1"), 2, "--seed: got -1"},
      {"threads in words", "", train("--threads many"), 2, "--threads: got 'many'"},
      {"too many threads", "", train("--threads 5000"), 2, "--threads: got 5000"},
      {"no epochs", "", train("--epochs 0"), 2, "--epochs: got 0"},
  });
}

// The layers below say what to change, and the program adds by which flags.
TEST_F(BadInputs, Divergence) {
  const auto ends = [](const std::string& flags, const std::string& end) {
    SCOPED_TRACE(flags);
    const Output result = script(train("--nhid 4 --save diverged " + flags));
    EXPECT_EQ(result.status, 1);
    EXPECT_TRUE(result.err.ends_with(end)) << result.err;
    std::filesystem::remove_all(path("diverged"));
  };
  ends("--init-range 1e38 --loss-ceiling 0",
       "with skip or rollback as the answer to divergence (--lr, --clip, --resume, "
       "--on-divergence)\n");
  ends("--loss-ceiling 0.1",
       "with loss ceiling 0, which is none, if the model may be so wrong (--lr, --clip, --resume, "
       "--loss-ceiling)\n");
  ends("--loss-ceiling 0.1 --on-divergence skip",
       " steps in a row; try a lower learning rate (--lr)\n");
}

TEST_F(BadInputs, MemoryThatDoesNotExist) {
  check({
      {"10^9 units", "", train("--nhid 1000000000"), 1, "out of memory: asked for"},
      {"10^9 embedding", "", train("--nhid 4 --emsize 1000000000"), 1, "out of memory: asked for"},
      {"address space", "", "ulimit -v 300000; " + train("--nhid 5000"), 1, "out of memory"},
  });
}

TEST_F(BadInputs, Spelling) {
  check({
      {"flag", "", train("--dropuot 0.5"), 2, "unknown flag --dropuot; did you mean --dropout?"},
      {"value", "", train("--model lstn"), 2, "did you mean lstm?"},
      {"command", "", "unroll genrate", 2, "did you mean generate?"},
      {"on or off", "", train("--tied=maybe"), 2, "--tied: got 'maybe', expected true, false or"},
      {"device", "", train("--device gpu"), 2, "--device: got 'gpu', expected auto, cpu, cuda or"},
      {"empty data", "", "unroll train --data '' --save new", 2, "--data: got '', expected a text"},
      {"empty folder", "", "unroll train --data data --save ''", 2, "--save: got ''"},
      {"folder missing", "", "unroll train --data data --save", 2, "--save: got no value"},
      {"resume what", "", train("--resume run"), 2,
       "--resume: got 'run', expected nothing or auto; which run it is, --save says"},
  });
}

TEST_F(BadInputs, NamesThatATerminalWouldObey) {
  const std::string name = "\"$(printf 'n\\033[2J\\nunroll: saved\\302\\233')\"";
  const char* shown = "n\\x1b[2J\\x0aunroll: saved\\u009b";
  check({
      {"text", "", train_on(name), 1, shown},
      {"checkpoint", "", "unroll eval --data data/test.txt --checkpoint " + name, 1, shown},
      {"run", "", "unroll report " + name, 1, shown},
      {"weights", "", "unroll import --save new --weights " + name, 1, shown},
      {"measurement", "", "unroll bench compare " + name + " b", 1, shown},
      {"command", "", "unroll " + name, 2, shown},
      {"flag", "", "unroll train --" + name, 2, shown},
      {"word", "", "unroll train " + name, 2, shown},
      {"number", "", train("--lr " + name), 2, shown},
      {"choice", "", train("--optimizer " + name), 2, shown},
      {"word asked for", "", "unroll predict --checkpoint run --word a" + name, 1, "--word: "},
  });
}

TEST_F(BadInputs, PathsThatTheSystemRefuses) {
  const std::string name = "$(printf %0300d 0)";
  check({
      {"run", "", "unroll report " + name, 1, "cannot be examined: File name too long"},
      {"new run", "", "unroll train --data data --cache-dir $CACHE $SMALL --save " + name, 1,
       ": File name too long"},
      {"checkpoint", "", "unroll eval --data data/test.txt --checkpoint " + name, 1, "name too"},
      {"text", "", "unroll eval --checkpoint run --data " + name, 1, "File name too long"},
      {"no current folder", "", "mkdir gone; cd gone; rmdir ../gone; " + train_on("x"), 1,
       "new: cannot be made: No such file"},
  });
}

TEST_F(BadInputs, DevicesThatAreNotThere) {
  const std::string hidden = "export CUDA_VISIBLE_DEVICES=; ";
  check({
      {"a GPU", "", hidden + train("--device cuda"), 1, "; --device cpu works without a GPU"},
      {"a second GPU", "", hidden + train("--device cuda:1"), 1, "--device cuda:1: "},
      {"what only a GPU does", "", hidden + train("--precision tf32"), 1,
       "--precision: got tf32, expected fp32 or bf16: the CPU has no tf32, and no GPU can be "
       "used: "},
      {"how only a GPU does it", "", hidden + train("--rnn-algorithm stepwise:8"), 1,
       "--rnn-algorithm: got stepwise:8, expected auto or stepwise: "},
      {"whose library does it", "", hidden + train("--rnn-algorithm cudnn"), 1,
       "--rnn-algorithm: got cudnn:standard, expected auto or stepwise: cuDNN computes only on a "
       "GPU, "
       "and "},
      {"a question to a GPU", "", hidden + "unroll predict --checkpoint run --precision tf32", 1,
       "--precision: got tf32, expected fp32 or bf16: the CPU has no tf32, and no GPU can be "
       "used: "},
  });
}

TEST_F(BadInputs, Texts) {
  check({
      {"no such file", "", train_on("nothing"), 1, "nothing: no such file or folder"},
      {"no train.txt", "mkdir n; cp data/valid.txt data/test.txt n", train_on("n"), 1,
       "n: no train.txt, expected train.txt, valid.txt and test.txt"},
      {"no valid.txt", "cp data/train.txt n; rm n/valid.txt", train_on("n"), 1, "n: no valid.txt"},
      {"empty file", ": >empty", train_on("empty"), 1, "empty: is empty, expected text"},
      {"blank lines", "yes '' | head -100 >blank", train_on("blank"), 1,
       "blank: got no word beside line ends, expected"},
      {"blank lines, characters", "", train_on("blank", "--tokenizer char"), 1,
       "got no char beside"},
      {"rare words", "", train_on("data", "--min-count 100000"), 1, "occurs 100000 times"},
      {"longer than the text", "", train_on("data", "--batch-size 20 --bptt 1000"), 1,
       "a batch of 20 streams x 1000 timesteps needs 20000; what fits: "},
      {"longer than the text in streams", "",
       train_on("data/train.txt", "--split streams --batch-size 20 --bptt 100"), 1,
       "0 of them for training, expected some for training and some for validation; what fits: "},
      {"program, words", "head -c 9000 \"$PROGRAM\" >elf", train_on("elf"), 1,
       "elf: line 1, byte offset 8: got byte 0x00, expected UTF-8 text without NUL (the "
       "tokenizer "},
      {"program, characters", "", train_on("elf", "--tokenizer char"), 1,
       "byte offset 8: got byte"},
      {"not UTF-8", "{ yes a b | head -50; printf 'c \\377\\n'; yes a b | head -50; } >latin",
       train_on("latin"), 1, "latin: line 51, byte offset 202: got byte 0xFF"},
      {"NUL", "{ yes a b | head -50; printf 'c \\0\\n'; yes a b | head -50; } >nul",
       train_on("nul"), 1, "nul: line 51, byte offset 202: got byte 0x00"},
      {"compressed", "gzip -c data/train.txt >packed", train_on("packed"), 1,
       "packed: is compressed by gzip, expected UTF-8 text: unpack it first"},
      {"a pipe", "mkfifo fifo", train_on("fifo"), 1, "fifo: is a pipe, expected a text file"},
      {"stdin that is a pipe", "", "cat data/train.txt | " + train_on("/dev/stdin"), 1,
       "/dev/stdin: is a pipe, expected a text file"},
      {"folder into streams", "", train_on("data", "--split streams"), 1,
       "expected a file to split"},
  });
}

TEST_F(BadInputs, TextsThatAreFine) {
  const std::string make =
      "{ printf '\\357\\273\\277'; cat data/train.txt; } >bom; sed 's/$/\\r/' data/train.txt "
      ">crlf; "
      "printf %s \"$(cat data/train.txt)\" >open; head -c 3000 \"$PROGRAM\" >bytes";
  ASSERT_EQ(script(make).status, 0);
  for (const char* data : {"bom", "crlf", "open", "bytes --tokenizer byte"}) {
    SCOPED_TRACE(data);
    const Output result = script(train_on(data) + " && rm -r new");
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.err.find("lines end in CR LF") != std::string::npos, data[0] == 'c');
  }
}

TEST_F(BadInputs, OneLongLine) {
  const Output made =
      script("yes 'some words of one line' | head -c 100000000 | tr '\\n' ' ' >long");
  ASSERT_EQ(made.status, 0);
  check({{"100 MB on one line", "", train_on("long"), 1,
          "which cuts between any two tokens, or the tokenizer byte (--split, --tokenizer)"}});
  std::filesystem::remove(path("long"));
}

}  // namespace
}  // namespace unroll::test
