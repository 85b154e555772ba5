#include "host/models/checkpoint.h"
#include "host/train/checkpoint_writer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <set>
#include <span>
#include <thread>

#include "host/base/strict_json.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

namespace fs = std::filesystem;

/// Content that names its step, with everything a checkpoint may hold.
class SampleCheckpoint {
 public:
  explicit SampleCheckpoint(std::int64_t step)
      : weights_(1'000, static_cast<float>(step)), moments_(500, static_cast<float>(-step)) {
    content_.config = {{"model", "lstm"}, {"step", step}};
    content_.vocabulary = "<eos>\nthe\n<unk>\n";
    content_.tensors = {
        {"encoder.weight", StoredType::kF32, {10, 100}, std::as_bytes(std::span(weights_))}};
    content_.metadata = {{"cell", "lstm"}};
    content_.state = {{"moment", StoredType::kF32, {500}, std::as_bytes(std::span(moments_))}};
    content_.files = {{"tokenizer.json", "{}"}};
  }

  const CheckpointContent& content() const { return content_; }
  CheckpointContent& content() { return content_; }

 private:
  std::vector<float> weights_, moments_;
  CheckpointContent content_;
};

fs::path save(const fs::path& run, std::int64_t step, bool best = false, int keep = 2) {
  const SampleCheckpoint sample(step);
  make_run_folder(run);
  return save_checkpoint(run, step, sample.content(), {.best = best, .keep = keep});
}

std::string load_error(const fs::path& path) {
  return error_of<std::runtime_error>([&] { load_checkpoint(path, {.state = true}); });
}

std::set<std::string> names(const fs::path& folder) {
  std::set<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}
using Names = std::set<std::string>;

TEST(Checkpoint, LoadsWhatWasSaved) {
  const TempFolder folder;
  const fs::path run = folder.path() / "runs" / "ptb";  // made on the way
  EXPECT_EQ(save(run, 1200, true), run / "step-00001200");
  EXPECT_EQ(names(run), (Names{"step-00001200", "latest", "best"}));
  EXPECT_EQ(names(run / "best"), (Names{"config.json", "manifest.json", "model.safetensors",
                                        "state.safetensors", "tokenizer.json", "vocab.txt"}));
  for (const fs::path& path : {run, run / "best", run / "latest", run / "step-00001200"}) {
    SCOPED_TRACE(path);
    const Checkpoint checkpoint = load_checkpoint(path, {.state = true});
    EXPECT_EQ(checkpoint.step, 1200);
    EXPECT_EQ(checkpoint.directory.filename(), "step-00001200");
    EXPECT_EQ(checkpoint.config, (nlohmann::json{{"model", "lstm"}, {"step", 1200}}));
    EXPECT_EQ(checkpoint.vocabulary, "<eos>\nthe\n<unk>\n");
    const TensorData* weight = checkpoint.model.find("encoder.weight");
    ASSERT_NE(weight, nullptr);
    EXPECT_EQ(weight->shape, (std::vector<std::int64_t>{10, 100}));
    EXPECT_TRUE(weight->bytes == SampleCheckpoint(1200).content().tensors.front().bytes);
    EXPECT_EQ(checkpoint.model.metadata(), (TensorMetadata{{"cell", "lstm"}, {"format", "pt"}}));
    ASSERT_TRUE(checkpoint.state);
    EXPECT_NE(checkpoint.state->find("moment"), nullptr);
    EXPECT_EQ(checkpoint.files.at("tokenizer.json"), "{}");
  }
  EXPECT_FALSE(load_checkpoint(run).state);  // only where asked for
}

TEST(Checkpoint, NeedsOnlyConfigAndModel) {
  const TempFolder folder;
  save_checkpoint(folder.path(), 0, {.config = nlohmann::json::object()}, {.keep = 0});
  const Checkpoint checkpoint = load_checkpoint(folder.path(), {.state = true});
  EXPECT_EQ(checkpoint.step, 0);
  EXPECT_FALSE(checkpoint.vocabulary);
  EXPECT_FALSE(checkpoint.state);
  EXPECT_TRUE(checkpoint.model.tensors().empty());
}

TEST(Checkpoint, TheSameContentGivesTheSameBytes) {
  const TempFolder a, b;
  save(a.path(), 5);
  save(b.path(), 5);
  for (const std::string& name : names(a.path() / "latest"))
    EXPECT_EQ(read_text(a.path() / "latest" / name), read_text(b.path() / "latest" / name)) << name;
}

TEST(Checkpoint, KeepsTheNewestAndTheBest) {
  const TempFolder folder;
  const fs::path& run = folder.path();
  for (const int step : {100, 200, 300, 400, 500}) save(run, step, step == 200);
  EXPECT_EQ(names(run),
            (Names{"best", "latest", "step-00000200", "step-00000400", "step-00000500"}));
  EXPECT_EQ(load_checkpoint(run).step, 200);
  EXPECT_EQ(load_checkpoint(run, {.latest = true}).step, 500);
  save(run, 600, true, 1);
  EXPECT_EQ(names(run), (Names{"best", "latest", "step-00000600"}));
  save(run, 700, false, 0);
  save(run, 800, false, 0);
  EXPECT_EQ(names(run).size(), 5U);

  const auto entries = list_checkpoints(run);
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].step, 800);
  EXPECT_EQ(entries[2].directory, run / "step-00000600");
  EXPECT_TRUE(list_checkpoints(run / "no").empty());
}

TEST(Checkpoint, StepsBeyondEightDigitsSortAsNumbers) {
  const TempFolder folder;
  for (const std::int64_t step : {99'999'999L, 100'000'000L, 123'456'789'012L})
    save(folder.path(), step);
  EXPECT_EQ(names(folder.path()), (Names{"latest", "step-100000000", "step-123456789012"}));
}

TEST(Checkpoint, ReplacesADirectoryOfTheSameStep) {
  const TempFolder folder;
  const fs::path& run = folder.path();
  SampleCheckpoint sample(7);
  save_checkpoint(run, 7, sample.content(), {.best = true});
  sample.content().config["again"] = true;
  save_checkpoint(run, 7, sample.content(), {});
  EXPECT_EQ(names(run), (Names{"best", "latest", "step-00000007"}));
  EXPECT_TRUE(load_checkpoint(run).config.at("again").get<bool>());
}

// A run resumed from an earlier checkpoint does not touch those of the abandoned future. Above all
// it never takes them for the newest and deletes its own new checkpoint.
TEST(Checkpoint, LargerStepsAreNotTouched) {
  const TempFolder folder;
  const fs::path& run = folder.path();
  for (const int step : {900, 1000}) save(run, step);
  for (const int step : {100, 200, 300}) save(run, step);
  EXPECT_EQ(names(run),
            (Names{"latest", "step-00000200", "step-00000300", "step-00000900", "step-00001000"}));
  EXPECT_EQ(load_checkpoint(run).step, 300);
}

/// In place: truncating and rewriting a file makes ext4 flush it, milliseconds each time.
void overwrite(const fs::path& file, std::size_t at, char byte) {
  std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
  out.seekp(static_cast<std::streamoff>(at)).put(byte);
}

TEST(Checkpoint, FindsEveryFlippedBit) {
  const TempFolder folder;
  const fs::path directory = save(folder.path(), 3);
  for (const std::string& name : names(directory)) {
    SCOPED_TRACE(name);
    const std::string whole = read_text(directory / name);
    // Every bit of the manifest, because no other hash covers it; 50 bits in each of the others.
    const bool manifest = name == "manifest.json";
    const std::size_t bits = whole.size() * 8;
    for (std::size_t bit = 0; bit < bits;
         bit += manifest ? 1 : std::max<std::size_t>(1, bits / 50)) {
      const std::size_t at = bit / 8;
      overwrite(directory / name, at, static_cast<char>(whole[at] ^ (1 << (bit % 8))));
      const std::string error = load_error(directory);
      ASSERT_TRUE(contains(error, manifest ? "manifest.json: " : name + ": is damaged: got hash"))
          << "bit " << bit;
      overwrite(directory / name, at, whole[at]);
    }
  }
  EXPECT_EQ(load_error(directory), "no exception");
}

// Anywhere in the directory; a file is hit in proportion to its size.
TEST(Checkpoint, FindsAThousandRandomFlippedBits) {
  const TempFolder folder;
  const fs::path directory = save(folder.path(), 3);
  std::vector<std::pair<fs::path, std::string>> files;
  std::size_t bits = 0;
  for (const std::string& name : names(directory)) {
    files.emplace_back(directory / name, read_text(directory / name));
    bits += files.back().second.size() * 8;
  }
  std::mt19937_64 random(20261124);
  for (int k = 0; k < 1'000; ++k) {
    std::size_t bit = random() % bits;
    std::size_t file = 0;
    for (; bit >= files[file].second.size() * 8; ++file) bit -= files[file].second.size() * 8;
    const auto& [path, whole] = files[file];
    overwrite(path, bit / 8, static_cast<char>(whole[bit / 8] ^ (1 << (bit % 8))));
    const std::string error = load_error(directory);
    ASSERT_TRUE(contains(error, path.filename().string() + ": ")) << "bit " << bit;
    ASSERT_FALSE(contains(error, "\n"));
    overwrite(path, bit / 8, whole[bit / 8]);
  }
  EXPECT_EQ(load_error(directory), "no exception");
}

TEST(Checkpoint, FindsTruncatedMissingAndStrangeFiles) {
  const TempFolder folder;
  const fs::path directory = save(folder.path(), 3);
  for (const std::string& name : names(directory)) {
    SCOPED_TRACE(name);
    const std::string whole = read_text(directory / name);
    fs::resize_file(directory / name, whole.size() - 1);
    EXPECT_NE(load_error(directory), "no exception");
    std::ofstream(directory / name, std::ios::binary) << whole << "x";
    EXPECT_NE(load_error(directory), "no exception");
    fs::remove(directory / name);
    EXPECT_NE(load_error(directory), "no exception");
    fs::create_directory(directory / name);
    EXPECT_NE(load_error(directory), "no exception");
    fs::remove(directory / name);
    ASSERT_EQ(::mkfifo((directory / name).c_str(), 0600), 0);
    EXPECT_TRUE(contains(load_error(directory), "is not a regular file"));
    fs::remove(directory / name);
    std::ofstream(directory / name, std::ios::binary) << whole;
  }
  fs::resize_file(directory / "model.safetensors", 10);
  EXPECT_TRUE(
      contains(load_error(directory), "model.safetensors: is damaged: got 10 bytes, expected"));
}

TEST(Checkpoint, SaysWhyThereIsNothingToLoad) {
  const TempFolder folder;
  EXPECT_TRUE(contains(load_error(folder.path() / "no"), "no: no such folder"));
  EXPECT_TRUE(contains(load_error(folder.write("file", "")), "file: is a file"));
  EXPECT_TRUE(contains(load_error(folder.write("file", "") / "below"), "below: "));
  EXPECT_TRUE(contains(load_error(folder.path()), "holds no checkpoint"));
  fs::create_directory_symlink("step-00000001", folder.path() / "latest");
  EXPECT_TRUE(contains(load_error(folder.path()), "latest: leads to step-00000001, which is no"));
}

/// The manifest as a program of another version, or an attacker, would write it: consistent.
void rewrite_manifest(const fs::path& directory, const std::string& key, nlohmann::json value) {
  auto manifest = parse_json(read_text(directory / "manifest.json"), "manifest.json");
  manifest[key] = std::move(value);
  std::ofstream(directory / "manifest.json", std::ios::binary) << format_json(manifest, "m");
}

TEST(Checkpoint, RefusesANewerFormat) {
  const TempFolder folder;
  const fs::path directory = save(folder.path(), 3);
  rewrite_manifest(directory, "version", 2);
  EXPECT_TRUE(contains(load_error(directory), "got format version 2, expected at most 1"));
  rewrite_manifest(directory, "format", "other");
  EXPECT_TRUE(contains(load_error(directory), "got format 'other', expected 'unroll-checkpoint'"));
}

TEST(Checkpoint, RefusesAManifestThatIsNotOurs) {
  const TempFolder folder;
  const fs::path directory = save(folder.path(), 3);
  rewrite_manifest(directory, "files", {{"../../etc/passwd", nullptr}});
  EXPECT_TRUE(contains(load_error(directory), "is damaged"));
  rewrite_manifest(directory, "files", 1);
  EXPECT_TRUE(contains(load_error(directory), "files: got 1, expected an object"));
  for (const char* text : {"", "{}", "[]", "{\"format\":\"unroll-checkpoint\"}"}) {
    std::ofstream(directory / "manifest.json", std::ios::binary) << text;
    EXPECT_TRUE(contains(load_error(directory), "manifest.json: ")) << text;
  }
  std::ofstream(directory / "manifest.json", std::ios::binary) << std::string(2 << 20, ' ');
  EXPECT_TRUE(contains(load_error(directory), "expected at most 1048576"));
}

TEST(Checkpoint, IgnoresAndCleansWhatAKilledSaveLeft) {
  const TempFolder folder;
  const fs::path& run = folder.path();
  save(run, 100);
  fs::create_directories(run / ".tmp-step-00000200");
  std::ofstream(run / ".tmp-step-00000200" / "config.json") << "{";
  fs::create_directory_symlink("step-00000100", run / ".tmp-latest");
  std::ofstream(run / ".tmp-metrics.jsonl") << "{";
  fs::create_directories(run / ".old-step-00000100");
  folder.write("notes.txt", "the user's own");
  EXPECT_EQ(load_checkpoint(run).step, 100);
  EXPECT_EQ(list_checkpoints(run).size(), 1U);
  save(run, 200);
  EXPECT_EQ(names(run), (Names{"latest", "notes.txt", "step-00000100", "step-00000200"}));
}

TEST(Checkpoint, LeavesAloneWhatOnlyLooksLikeALeftover) {
  const TempFolder folder;
  const fs::path run = folder.path() / "run";
  fs::create_directories(run / ".tmp-work");
  fs::create_directories(run / ".old-notes");
  save(run, 1);
  EXPECT_TRUE(fs::exists(run / ".tmp-work"));
  EXPECT_TRUE(fs::exists(run / ".old-notes"));
}

TEST(Checkpoint, PutsBackADirectoryMovedAside) {
  const TempFolder folder;
  const fs::path& run = folder.path();
  save(run, 100, true);
  fs::rename(run / "step-00000100", run / ".old-step-00000100");
  EXPECT_EQ(load_checkpoint(run).step, 100);
  save(run, 200);
  EXPECT_EQ(load_checkpoint(run).step, 100);
}

TEST(Checkpoint, WithoutLinksTheLargestStepIsTaken) {
  const TempFolder folder;
  const fs::path& run = folder.path();
  save(run, 100);
  save(run, 200);
  fs::remove(run / "latest");
  EXPECT_EQ(load_checkpoint(run).step, 200);
}

// Saves killed at random moments: what is there loads, and is whole.
TEST(Checkpoint, KilledSavesLeaveWholeCheckpoints) {
  const TempFolder folder;
  const fs::path& run = folder.path();
  std::int64_t step = 1;
  save(run, step, true);
  for (int kill = 0; kill < 25; ++kill) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        for (std::int64_t k = step;; ++k) save(run, k, k % 3 == 0);
      } catch (...) {
        ::_exit(1);  // the parent finds that no later step has come
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(2'000 + 1'731 * kill));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    for (const bool latest : {false, true}) {
      const Checkpoint checkpoint = load_checkpoint(run, {.latest = latest, .state = true});
      EXPECT_EQ(checkpoint.config.at("step"), checkpoint.step);
      EXPECT_TRUE(checkpoint.model.find("encoder.weight")->bytes ==
                  SampleCheckpoint(checkpoint.step).content().tensors.front().bytes);
      if (latest) {
        EXPECT_GE(checkpoint.step, step);
        step = checkpoint.step;
      }
    }
    for (const CheckpointEntry& entry : list_checkpoints(run))
      EXPECT_EQ(load_error(entry.directory), "no exception");
  }
  save(run, ++step);
  for (const std::string& name : names(run)) EXPECT_NE(name.front(), '.') << name;
}

/// Gives up root's right to write anywhere, for as long as it lives.
class Unprivileged {
 public:
  Unprivileged() : user_(::geteuid()) {
    if (user_ == 0 && ::seteuid(65534) != 0) throw std::runtime_error("seteuid failed");
  }
  ~Unprivileged() {
    if (::seteuid(user_) != 0) std::abort();
  }
  Unprivileged(const Unprivileged&) = delete;
  Unprivileged& operator=(const Unprivileged&) = delete;

 private:
  uid_t user_;
};

TEST(Checkpoint, SaysWhyItCannotSave) {
  const TempFolder folder;
  const fs::path run = folder.path() / "run";
  save(run, 1);
  fs::permissions(folder.path(), fs::perms(0755));
  fs::permissions(run, fs::perms(0555));
  {
    const Unprivileged unprivileged;
    EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { save(run, 2); }), "Permission denied"));
    EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { save(folder.path() / "new", 2); }),
                         "new: cannot be made: Permission denied"));
    EXPECT_EQ(load_checkpoint(run).step, 1);
  }
  fs::permissions(run, fs::perms(0755));
  EXPECT_EQ(names(run), (Names{"latest", "step-00000001"}));
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { save(folder.write("file", ""), 2); }),
                       "is a file"));
  fs::remove(run / "latest");
  fs::create_directory(run / "latest");
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { save(run, 2); }),
                       "latest: cannot be made from .tmp-latest: Is a directory"));
}

// A folder that was there and is gone is not made anew.
TEST(Checkpoint, MakesNoRunFolder) {
  const TempFolder folder;
  const fs::path run = folder.path() / "run";
  const SampleCheckpoint sample(1);
  EXPECT_TRUE(
      contains(error_of<std::runtime_error>([&] { save_checkpoint(run, 1, sample.content(), {}); }),
               ".tmp-step-00000001: cannot be made: No such file or directory"));
  EXPECT_FALSE(fs::exists(run));
}

TEST(Checkpoint, RejectsBadArgumentsBeforeTouchingTheFolder) {
  const TempFolder folder;
  const fs::path run = folder.path() / "run";
  const auto error = [&](std::int64_t step, int keep, auto&& change) {
    SampleCheckpoint sample(1);
    change(sample.content());
    return error_of<std::invalid_argument>(
        [&] { save_checkpoint(run, step, sample.content(), {.keep = keep}); });
  };
  const auto nothing = [](CheckpointContent&) {};
  EXPECT_TRUE(contains(error(-1, 1, nothing), "step -1"));
  EXPECT_TRUE(contains(error(1, -1, nothing), "-1 checkpoints to keep"));
  EXPECT_TRUE(
      contains(error(1, 1, [](CheckpointContent& c) { c.config = 1; }), "config is number"));
  for (const char* name :
       {"", ".", "..", "a/b", "/a", ".hidden", "config.json", "manifest.json", "two\nlines"})
    EXPECT_TRUE(contains(error(1, 1,
                               [&](CheckpointContent& c) {
                                 c.files = {{name, ""}};
                               }),
                         "expected a plain name"))
        << name;
  EXPECT_FALSE(fs::exists(run));
  make_run_folder(run);
  // Content that only the writer of its file refuses leaves nothing behind either.
  EXPECT_TRUE(contains(error(1, 1,
                             [](CheckpointContent& c) {
                               c.config["loss"] = std::numeric_limits<double>::quiet_NaN();
                             }),
                       "config.json.loss: a number is not finite"));
  EXPECT_TRUE(names(run).empty());
}

}  // namespace
}  // namespace unroll::test
