#include "host/models/checkpoint_format.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <stdexcept>

#include "host/base/file.h"
#include "host/base/file_hash.h"
#include "host/base/hash.h"
#include "host/base/strict_json.h"

namespace unroll::checkpoint_format {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";

}  // namespace

std::int64_t most_text_bytes(std::string_view name) {
  return std::int64_t(1) << (name == kManifest        ? 20
                             : name == kVocabulary    ? 30
                             : name == kTokenizerJson ? 26
                                                      : 24);
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name.front() != '.' &&
         std::ranges::none_of(name, [](char c) { return c == '/' || (c >= 0 && c < ' '); });
}

std::string manifest_text(nlohmann::json manifest) {
  manifest.erase("check");
  manifest["check"] = hash_of(bytes_of(format_json(manifest, kManifest)));
  return format_json(manifest, kManifest);
}

std::string directory_name(std::int64_t step) {
  return fmt::format("{}{:08}", kPrefix, step);
}

std::optional<std::int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = 0;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
  if (step < 0 || name != directory_name(step)) return std::nullopt;
  return step;
}

void fail(const fs::path& path, std::string_view what) {
  throw std::runtime_error(fmt::format("{}: {}", path.string(), what));
}

bool is_checkpoint(const fs::path& directory) {
  const fs::path manifest = directory / kManifest;
  struct stat status {};
  if (::stat(manifest.c_str(), &status) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) fail_call(manifest, "cannot be examined");
  return false;
}

bool is_there(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) fail_call(path, "cannot be examined");
  return false;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    names.push_back(at->path().filename().string());
  if (error && error != std::errc::no_such_file_or_directory)
    fail(folder, fmt::format("cannot be listed: {}", error.message()));
  return names;
}

std::string target_of(const fs::path& link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(link, error);
  if (error) fail(link, fmt::format("cannot be read as a link: {}", error.message()));
  return target.string();
}

}  // namespace unroll::checkpoint_format
