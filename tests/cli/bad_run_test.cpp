/// Commands on runs: what they refuse, and what happens when they cannot read or write. A run that
/// has begun keeps its first checkpoint, no matter how it ends.
#include <sys/mount.h>

#include "host/data/token_cache.h"
#include "tests/support/bad_input.h"

namespace unroll::test {
namespace {

namespace fs = std::filesystem;

std::string train_to(const std::string& save, const std::string& flags = "--cache-dir $CACHE") {
  return "unroll train --data data $SMALL --nhid 4 --save " + save + " " + flags;
}

TEST_F(BadInputs, RunFolders) {
  check({
      {"resume nothing", "", "unroll train --save none --resume", 1,
       "--resume: none holds no checkpoint, expected a run to go on with"},
      {"resume another model", "", "unroll train --save run --resume --nhid 9", 2,
       "--nhid: got [9], expected [4]: run was begun with it"},
      {"resume for no epochs", "", "unroll train --save run --resume --epochs 0", 2,
       "--epochs: got"},
      {"resume in another precision", "", "unroll train --save run --resume --precision bf16", 2,
       "--precision: got bf16, expected fp32: the run was begun with it"},
      {"resume with an algorithm that is none", "",
       "unroll train --save run --resume --rnn-algorithm fast", 2,
       "--rnn-algorithm: got 'fast', expected auto, stepwise"},
      {"resume with a GPU's algorithm", "",
       "unroll train --save run --resume --device cpu --rnn-algorithm persistent", 2,
       "--rnn-algorithm: got persistent, expected auto or stepwise: the CPU has one algorithm"},
      {"resume another text", "cp -r data other; echo a b c >>other/train.txt",
       "unroll train --save run --resume --epochs 2 --data other --cache-dir $CACHE", 1,
       "other: is not the text that the run was begun with: got fingerprint whole:"},
      {"train into a run", "", train_to("run"), 1, "--save: run already holds a run"},
      {"train into a checkpoint", "", train_to("run/best"), 1,
       "run/best: is a checkpoint, expected a run folder"},
      {"train onto a file", ": >file", train_to("file"), 1,
       "file: is a file, expected a run folder"},
      {"train below a file", "", train_to("file/run"), 1, "file/run: cannot be made: Not a direc"},
      {"train into a device", "", train_to("/dev/null/run"), 1, "/dev/null/run: cannot be made"},
      {"train into /proc", "", train_to("/proc/run"), 1, "/proc/run: cannot be made"},
      {"report of nothing", "", "unroll report none", 1, "none/metrics.jsonl: not found"},
      {"report of what", "", "unroll report", 2, "RUN is required"},
      {"report onto a folder", "", "unroll report run --output data", 1,
       "data: is a folder or a dev"},
      {"report of a pipe", "mkdir piped; mkfifo piped/metrics.jsonl", "unroll report piped", 1,
       "piped/metrics.jsonl: cannot be opened, expected the metrics of a run"},
      // Not a device, because a fault would replace it for all programs.
      {"report onto a pipe", "mkfifo queue", "unroll report run --output queue", 1,
       "queue: is a folder or a device, expected a file"},
      {"report into /proc", "", "unroll report run --output /proc/x/y", 1, "/proc/x/y: cannot be"},
  });
}

// Links that another user planted in a run folder lead no writing out of it.
TEST_F(BadInputs, LinksInARunFolder) {
  const std::string resume = "unroll train --save planted --resume --epochs 2 --cache-dir $CACHE";
  const std::string begin = "rm -rf planted; cp -a run planted; ";
  script("echo mine >victim");
  check({
      {"metrics are a link", begin + "ln -sf ../victim planted/metrics.jsonl", resume, 1,
       "planted/metrics.jsonl: is a link, expected a file of the run itself"},
      {"metrics are a pipe", begin + "rm planted/metrics.jsonl; mkfifo planted/metrics.jsonl",
       resume, 1, "planted/metrics.jsonl: is not a regular file, expected one"},
      {"lock is a link", begin + "ln -sf ../victim planted/.lock", resume, 1,
       "planted/.lock: is a link, expected a file of the run itself"},
      {"lock is a link to nothing", begin + "ln -sf ../none planted/.lock", resume, 1,
       "planted/.lock: is a link, expected a file of the run itself"},
      {"lock of an import", begin + "rm -r planted/*; ln -sf ../victim planted/.lock",
       "unroll import --save planted --weights run/best/model.safetensors", 1,
       "planted/.lock: is a link, expected a file of the run itself"},
      {"report of a pipe", "rm -rf planted; mkdir planted; mkfifo planted/metrics.jsonl",
       "unroll report planted", 1, "planted/metrics.jsonl: cannot be opened"},
  });
  // The name of the file that becomes the page follows from the number of the process.
  const Output page = script(
      "rm -rf planted; sh -c 'ln -s victim page.$$.tmp; exec \"$PROGRAM\" report run --output "
      "page'; "
      "s=$?; ls page.*; exit $s");
  EXPECT_EQ(page.status, 0) << page.err;
  EXPECT_EQ(page.out, "");
  EXPECT_TRUE(contains(read_text(path("page")), "</html>"));
  EXPECT_EQ(read_text(path("victim")), "mine\n");
}

// It goes on as a full copy does, and the run that it was made of stays as it is.
TEST_F(BadInputs, ABackupByHardLinksGoesOn) {
  const auto before = snapshot();
  const Output resumed = script(
      "cp -a run full; cp -al run linked; for r in full linked; do "
      "unroll train --save $r --resume --epochs 2 --cache-dir $CACHE || exit 1; done; "
      "for f in model state; do cmp full/latest/$f.safetensors linked/latest/$f.safetensors || "
      "exit 1; done; test $(wc -l <full/metrics.jsonl) = $(wc -l <linked/metrics.jsonl)");
  EXPECT_EQ(resumed.status, 0) << resumed.err << resumed.out;
  EXPECT_FALSE(contains(resumed.err, "warning")) << resumed.err;
  EXPECT_GT(fs::file_size(path("linked/metrics.jsonl")), fs::file_size(path("run/metrics.jsonl")));
  fs::remove_all(path("full"));
  fs::remove_all(path("linked"));
  EXPECT_TRUE(snapshot() == before);
}

TEST_F(BadInputs, LimitsOnTheSizeOfFiles) {
  check({{"report", "", "ulimit -f 1; unroll report run --output page2", 1,
          "page2: cannot be written: File too large"},
         {"stdout", "", "ulimit -f 1; unroll train --help >$CACHE/help", 1,
          "stdout cannot be written: File too large"}});
}

TEST_F(BadInputs, ChangedText) {
  script("cp -r data changed");
  const Output begun =
      script("unroll train --data changed --save crun --cache-dir $CACHE --nhid 4 $SMALL");
  ASSERT_EQ(begun.status, 0) << begun.err;
  // As long as before and of the same time, with another word in the middle.
  const std::string change =
      "cp -p changed/train.txt old; tr 'e' 'o' <old >changed/train.txt; "
      "touch -r old changed/train.txt";
  check({{"resume a changed text", change,
          "unroll train --save crun --resume --epochs 2 --cache-dir $CACHE", 1,
          "changed: is not the text that the run was begun with: got fingerprint whole:"}});
  const Output again = script(
      "cp old changed/valid.txt; unroll train --data changed --save cnew --cache-dir $CACHE "
      "--nhid 4 $SMALL");
  EXPECT_EQ(again.status, 0);
  EXPECT_TRUE(contains(again.err, "changed since its cache was made: reading it again"));
}

TEST_F(BadInputs, DamagedCaches) {
  const std::string run = "unroll train --data data --save new --cache-dir own --nhid 4 $SMALL";
  ASSERT_EQ(script(run + " && rm -r new").status, 0);
  const fs::path cache = fs::directory_iterator(path("own"))->path();
  const std::string sound = read_text(cache);
  for (const double part : {0.0, 0.001, 0.01, 0.3, 0.6, 0.999}) {
    SCOPED_TRACE(part);
    std::string damaged = sound;
    damaged[std::size_t(part * double(sound.size()))] ^= 1;
    std::ofstream(cache, std::ios::binary) << damaged;
    const Output result = script(run + " && rm -r new");
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_TRUE(contains(result.err, "reading the text again"));
    // The header may know the texts' times better by now, but is whole.
    const auto made = read_token_cache(cache);
    ASSERT_TRUE(made);
    EXPECT_TRUE(read_text(cache).substr(std::size_t(made->header.vocabulary_offset)) ==
                sound.substr(std::size_t(made->header.vocabulary_offset)));
  }
}

TEST_F(BadInputs, CachesThatCannotBeMade) {
  for (const char* folder : {"/dev/null/c", "/proc/c"}) {
    const Output result =
        script(train_to("new", std::string("--cache-dir ") + folder) + " && rm -r new");
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_TRUE(contains(result.err, std::string("warning: ") + folder + ": cannot be made: "));
    EXPECT_TRUE(contains(result.err, "the ids go to a temporary file"));
  }
}

TEST_F(BadInputs, Questions) {
  const std::string ask = " --checkpoint run ";
  check({
      {"eval of what", "", "unroll eval", 2, "--checkpoint is required"},
      {"predict of what", "", "unroll predict", 2, "--checkpoint is required"},
      {"generate of what", "", "unroll generate", 2, "--checkpoint is required"},
      {"import of what", "", "unroll import --save new", 2, "--weights is required"},
      {"import to where", "", "unroll import --weights w", 2, "--save is required"},
      {"no such run", "", "unroll predict --checkpoint none", 1, "none: no such folder"},
      {"empty folder", "mkdir hollow", "unroll eval --checkpoint hollow", 1, "holds no checkpoint"},
      {"a file", ": >file", "unroll generate --checkpoint file", 1, "file: is a file, expected a"},
      {"eval without data", "", "unroll eval" + ask, 2,
       "--data is required: this model was trained"},
      {"eval of no file", "", "unroll eval --data none" + ask, 1, "none: cannot be opened"},
      {"eval of a folder", "", "unroll eval --data data" + ask, 1, "data: is a folder, expected a"},
      {"eval of nothing", ": >nil", "unroll eval --data nil" + ask, 1,
       "nil: is empty, expected text"},
      {"eval of a program", "", "unroll eval --data \"$PROGRAM\"" + ask, 1, "byte offset"},
      {"unknown word", "", "unroll predict --word zyx" + ask, 1, "--word: 'zyx' is not among the"},
      {"two words", "", "unroll predict --word 'a man'" + ask, 1,
       "--word: got 'a man', expected one word"},
      {"no word", "", "unroll predict --word ''" + ask, 2, "--word: got '', expected a text"},
      {"word and top", "", "unroll predict --word a --top 2" + ask, 2, "--top excludes --word"},
      {"no top", "", "unroll predict --top 0" + ask, 2, "--top: got 0"},
      {"no length", "", "unroll generate --length 0" + ask, 2, "--length: got 0"},
      {"cold", "", "unroll generate --temperature -1" + ask, 2,
       "--temperature: got -1, expected a"},
      {"top-p", "", "unroll generate --top-p 2" + ask, 2, "--top-p: got 2, expected one in (0, 1]"},
      {"top-k", "", "unroll generate --top-k -1" + ask, 2, "--top-k: got -1, expected 0 (all) or"},
      {"seed", "", "unroll generate --seed -1" + ask, 2,
       "--seed: got '-1', expected a whole number"},
  });
}

TEST_F(BadInputs, Imports) {
  const std::string import = "unroll import --save new --weights ";
  const std::string ours = import + "run/best/model.safetensors ";
  check({
      {"no such weights", "", import + "none", 1, "none: "},
      {"folder of weights", "", import + "data", 1,
       "data: is a folder, expected a safetensors file"},
      {"text as weights", "", import + "data/train.txt", 1,
       "data/train.txt: is plain text; expected a safetensors file"},
      {"pickle in a zip",
       "{ printf 'PK\\003\\004\\0\\0\\010\\010'; head -c 18 /dev/zero; "
       "printf '\\014\\0\\0\\0zip/data.pkl'; head -c 900 /dev/zero; } >m.pt",
       import + "m.pt", 1, "m.pt: is a pickle, as torch.save() writes; it is not read"},
      {"old pickle", "{ printf '\\200\\002\\212\\nl\\374'; head -c 900 \"$PROGRAM\"; } >m.pth",
       import + "m.pth", 1, "save the weights with safetensors.torch.save_file("},
      {"no vocabulary", "cp run/best/model.safetensors w", import + "w", 1,
       "vocab.txt: cannot be op"},
      {"text as vocabulary", "", ours + "--vocab data/test.txt", 1, "expected one token"},
      {"folder as vocabulary", "", ours + "--vocab data", 1, "data: is a folder, expected the"},
      {"pipe as vocabulary", "mkfifo vpipe", ours + "--vocab vpipe", 1,
       "vpipe: is a pipe, expected the vocabulary"},
      {"compressed vocabulary", "gzip -c run/best/vocab.txt >v.gz", ours + "--vocab v.gz", 1,
       "v.gz: is compressed by gzip, expected UTF-8 text"},
      {"UTF-16 vocabulary", "iconv -f UTF-8 -t UTF-16LE run/best/vocab.txt >v16",
       ours + "--vocab v16", 1, "v16: is UTF-16LE, expected UTF-8 text"},
      {"other vocabulary", "printf '<eos>\\n<unk>\\na\\n' >v", ours + "--vocab v", 1,
       "v: got 3 tokens, expected"},
      {"bytes", "", ours + "--tokenizer byte", 1,
       "tokenizer: got byte, expected word, as its metadata say"},
      {"another cell", "", ours + "--model gru", 1,
       "cell: got gru, expected lstm, as its metadata say"},
      {"an Elman network",
       "unroll train --data data --save elman --cache-dir $CACHE --model rnn_relu --nhid 4 $SMALL "
       "&& "
       "sed 's/\"unroll\":/\"foreig\":/' elman/best/model.safetensors >w && "
       "cp elman/best/vocab.txt vocab.txt",
       import + "w", 1, "rnn_relu or rnn_logistic: expected --model to say it"},
      {"onto a run", "", "unroll import --save run --weights w", 1, "run already holds a run"},
      {"into a checkpoint", "", "unroll import --save run/best --weights w", 1,
       "run/best: is a checkpoint, expected a run folder"},
      {"onto a file", ": >file", "unroll import --save file --weights w", 1, "file: is a file"},
  });
}

TEST_F(BadInputs, VocabularyWithAByteOrderMark) {
  const Output result = script(
      "{ printf '\\357\\273\\277'; cat run/best/vocab.txt; } >vbom; unroll import --save new "
      "--weights run/best/model.safetensors --vocab vbom && cmp new/best/vocab.txt "
      "run/best/vocab.txt && rm -r new");
  EXPECT_EQ(result.status, 0) << result.err << result.out;
}

TEST_F(BadInputs, Streams) {
  for (const std::string& command :
       {std::string("eval --checkpoint run --data data/test.txt"),
        std::string("eval --json --checkpoint run --data data/test.txt"),
        std::string("predict --checkpoint run"), std::string("predict --json --checkpoint run"),
        std::string("predict --word a --checkpoint run"), std::string("generate --checkpoint run"),
        std::string("generate --json --checkpoint run"), std::string("--help"),
        std::string("train --help"), std::string("--version")}) {
    check({{"full stdout", "", "unroll " + command + " >/dev/full", 1,
            "stdout cannot be written: No space left on device"},
           {"closed stdout", "", "unroll " + command + " >&-", 1,
            "stdout cannot be written: Bad file descriptor"}});
    // Like other programs whose pipe is closed, it ends quietly.
    const Output piped =
        script("mkfifo -m 600 pipe 2>/dev/null; { : <pipe & exec 3>pipe; wait; unroll " + command +
               " >&3; }");
    EXPECT_EQ(piped.status, 128 + SIGPIPE) << command;
    EXPECT_FALSE(contains(piped.err, "unroll:")) << piped.err;
  }
}

TEST_F(BadInputs, StreamsOfTraining) {
  for (const std::string redirection :
       {" >/dev/full", " >&-", " --json >/dev/full", " --json >&-"}) {
    SCOPED_TRACE(redirection);
    const Output result = script(train_to("begun") + redirection);
    EXPECT_EQ(result.status, 1);
    EXPECT_TRUE(contains(result.err, "unroll: stdout cannot be written"));
    if (!redirection.starts_with(" --json")) {  // there only the result is lost
      EXPECT_TRUE(contains(result.err, "is saved, to go on: unroll train --save begun --resume"));
    }
    EXPECT_EQ(fs::file_size(path("begun/.lock")), 0U);  // no line went where it does not belong
    const Output resumed = script("unroll train --save begun --resume --cache-dir $CACHE");
    EXPECT_EQ(resumed.status, 0) << resumed.err;
    fs::remove_all(path("begun"));
  }
}

TEST_F(BadInputs, TheCommandThatGoesOnCanBeCopied) {
  const Output stopped = script(train_to("\"it's $(printf 'a\\tb')\"") + " >/dev/full");
  const std::string says = "to go on: ";
  const std::size_t at = stopped.err.find(says);
  ASSERT_NE(at, std::string::npos) << stopped.err;
  const std::string command = stopped.err.substr(at + says.size());
  EXPECT_EQ(command, "unroll train --save $'it\\'s a\\x09b' --resume\n");
  std::ofstream(path("again")) << "PATH=$(dirname \"$PROGRAM\"):$PATH; " << command;
  const Output resumed = script("bash again");
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  fs::remove_all(path("it's a\tb"));
}

/// A file system of `kilobytes` that is full after that.
class SmallDisk {
 public:
  SmallDisk(const fs::path& at, int kilobytes) : at_(at) {
    fs::create_directory(at);
    const std::string size = "size=" + std::to_string(kilobytes) + "k";
    mounted_ = ::mount("none", at.c_str(), "tmpfs", 0, size.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount(at_.c_str());
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }

 private:
  fs::path at_;
  bool mounted_;
};

TEST_F(BadInputs, FullDisks) {
  const SmallDisk disk(path("disk"), 400);
  if (!disk.mounted()) GTEST_SKIP() << "not permitted to mount a small disk";
  check({
      {"run", "", train_to("disk/run"), 1, "disk/run: 0.4 MB are free there, expected 1."},
      {"cache", "seq -f 'word%g a b c' 60000 >many",
       "unroll train --data many --save new --cache-dir disk/c $SMALL --nhid 4; s=$?; rmdir "
       "disk/c; "
       "exit $s",
       1, "cannot be written: No space left on device"},
      {"import", "head -c 390k /dev/zero >disk/fill",
       "unroll import --save disk/i --weights run/best/model.safetensors", 1,
       "cannot be written: No space left on device"},
      {"report", "head -c 399k /dev/zero >disk/fill", "unroll report run --output disk/page", 1,
       "disk/page: cannot be written"},
  });
}

}  // namespace
}  // namespace unroll::test
