/// The process that checkpoint_faults.py stops: `save` saves one checkpoint, `check` prints what a
/// reader finds in a run folder. A checkpoint's content follows from one number, its tag, so that a
/// mixture of two is detected. Two calls of getppid() mark the save in a trace of system calls.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <stdexcept>

#include "host/models/checkpoint.h"
#include "host/train/checkpoint_writer.h"

namespace unroll {
namespace {

namespace fs = std::filesystem;

class Sample {
 public:
  explicit Sample(std::int64_t tag)
      : weights_(1'500, static_cast<float>(tag)), moments_(700, static_cast<float>(-tag)) {
    content_.config = {{"tag", tag}};
    content_.vocabulary = "<eos>\nthe\n<unk>\n";
    content_.tensors = {
        {"decoder.bias", StoredType::kF32, {500}, as_bytes(weights_).first(500 * sizeof(float))},
        {"encoder.weight", StoredType::kF32, {10, 150}, as_bytes(weights_)}};
    content_.metadata = {{"tag", std::to_string(tag)}};
    content_.state = {{"moment", StoredType::kF32, {700}, as_bytes(moments_)}};
    content_.files = {{"tokenizer.json", fmt::format("{{\"tag\":{}}}", tag)}};
  }

  const CheckpointContent& content() const { return content_; }

 private:
  static std::span<const std::byte> as_bytes(const std::vector<float>& values) {
    return std::as_bytes(std::span(values));
  }

  std::vector<float> weights_, moments_;
  CheckpointContent content_;
};

bool same_tensors(const SafetensorsFile& file, const std::vector<TensorData>& expected) {
  return std::ranges::equal(file.tensors(), expected, [](const TensorData& a, const TensorData& b) {
    return a.name == b.name && a.shape == b.shape && a.bytes == b.bytes;
  });
}

/// "step 200 tag 2"; throws if the content does not belong to one tag.
std::string describe(const fs::path& path, bool latest) {
  const Checkpoint got = load_checkpoint(path, {.latest = latest, .state = true});
  const std::int64_t tag = got.config.at("tag").get<std::int64_t>();
  const Sample sample(tag);
  const CheckpointContent& expected = sample.content();
  if (got.config != expected.config || got.vocabulary != expected.vocabulary || !got.state ||
      got.model.metadata().at("tag") != expected.metadata.at("tag") ||
      !same_tensors(got.model, expected.tensors) || !same_tensors(*got.state, expected.state) ||
      got.files != expected.files)
    throw std::runtime_error(fmt::format("step {} is not wholly of tag {}", got.step, tag));
  return fmt::format("step {} tag {}", got.step, tag);
}

void check(const fs::path& run_dir) {
  const auto line = [](const std::string& name, const fs::path& path, bool latest) {
    std::string found;
    try {
      found = describe(path, latest);
    } catch (const std::exception& error) {
      found = error.what();
      if (found.ends_with(": no such folder") || found.find(": holds no checkpoint") != found.npos)
        found = "none";
    }
    std::puts((name + ": " + found).c_str());
  };
  line("latest", run_dir, true);
  line("best", run_dir, false);
  for (const CheckpointEntry& entry : list_checkpoints(run_dir))
    line(entry.directory.filename(), entry.directory, false);
}

/// `arguments`: step, tag, best (0 or 1), keep.
void save(const fs::path& run_dir, char** arguments) {
  const Sample sample(std::atoll(arguments[1]));
  ::getppid();
  make_run_folder(run_dir);
  save_checkpoint(run_dir, std::atoll(arguments[0]), sample.content(),
                  {.best = std::atoi(arguments[2]) != 0, .keep = std::atoi(arguments[3])});
  ::getppid();
}

}  // namespace
}  // namespace unroll

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  try {
    if (mode == "check" && argc == 3) {
      unroll::check(argv[2]);
    } else if (mode == "save" && argc == 7) {
      unroll::save(argv[2], argv + 3);
    } else {
      std::fputs("usage: save_probe save FOLDER STEP TAG BEST KEEP | check FOLDER\n", stderr);
      return 2;
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "save_probe: %s\n", error.what());
    return 1;
  }
}
