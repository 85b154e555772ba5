/// Fuzz target: a checkpoint's manifest, beside undamaged files. Its own hash is corrected, because
/// otherwise nothing else of it would be read. If it loads, it has the saved content.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>

#include "host/base/strict_json.h"
#include "host/models/checkpoint.h"
#include "host/train/checkpoint_writer.h"
#include "tests/fuzz/target.h"

#define XXH_INLINE_ALL  // NOLINT(readability-identifier-naming): the library's own name
#include <xxhash.h>

namespace unroll::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr float kWeights[] = {1, 2, 3};

/// One checkpoint, in a folder that is removed at the end of the program.
class Saved {
 public:
  Saved() : run_dir_(fs::temp_directory_path() / fmt::format("unroll-fuzz-{}", ::getpid())) {
    CheckpointContent content;
    content.config = {{"a", 1}};
    content.tensors = {
        {"w", StoredType::kF32, {3}, std::as_bytes(std::span<const float>(kWeights))}};
    content.state = {{"s", StoredType::kF32, {3}, std::as_bytes(std::span<const float>(kWeights))}};
    content.files = {{"notes", "text"}};
    make_run_folder(run_dir_);
    directory_ = save_checkpoint(run_dir_, 7, content, {.best = true});
  }
  ~Saved() {
    std::error_code ignored;
    fs::remove_all(run_dir_, ignored);
  }
  Saved(const Saved&) = delete;
  Saved& operator=(const Saved&) = delete;

  const fs::path& directory() const { return directory_; }
  fs::path manifest() const { return directory_ / "manifest.json"; }

 private:
  fs::path run_dir_, directory_;
};

const Saved& saved() {
  static const Saved kSaved;
  return kSaved;
}

/// The text with a correct `check` if it is an object, otherwise unchanged.
std::string with_check(std::string text) {
  nlohmann::json manifest;
  if (!accepts([&] { manifest = parse_json(text, "manifest"); }) || !manifest.is_object())
    return text;
  manifest.erase("check");
  text = format_json(manifest, "manifest");
  XXH128_canonical_t hash;
  XXH128_canonicalFromHash(&hash, XXH3_128bits(text.data(), text.size()));
  manifest["check"] = fmt::format("{:02x}", fmt::join(hash.digest, ""));
  return format_json(manifest, "manifest");
}

void check(const Checkpoint& checkpoint) {
  require(checkpoint.step >= 0, "a step is not negative");
  require(checkpoint.config == nlohmann::json{{"a", 1}}, "the configuration is what was saved");
  require(checkpoint.model.names() == std::vector<std::string>{"w"}, "so are the tensors");
  for (const auto& [name, text] : checkpoint.files)
    require(fs::path(name).filename() == name, "a file lies in the checkpoint's own folder");
}

}  // namespace

std::vector<std::string> seeds() {
  std::ifstream in(saved().manifest(), std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  nlohmann::json nested = parse_json(text, "manifest");
  nested["files"]["a\nb"] = nested["files"]["notes"];
  return {text, nested.dump(), "{}", "[]"};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  const fuzz::Saved& saved = fuzz::saved();
  {
    std::ofstream out(saved.manifest(), std::ios::binary);
    out << fuzz::with_check(std::string(fuzz::text_of(data, size)));
  }
  Checkpoint checkpoint;
  if (fuzz::accepts([&] { checkpoint = load_checkpoint(saved.directory(), {.state = true}); }))
    fuzz::check(checkpoint);
  return 0;
}
