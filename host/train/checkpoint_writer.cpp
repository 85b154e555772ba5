#include "host/train/checkpoint_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "host/base/file.h"
#include "host/base/file_hash.h"
#include "host/base/hash.h"
#include "host/base/strict_json.h"
#include "host/models/checkpoint.h"
#include "host/models/checkpoint_format.h"

namespace unroll {
namespace {

using namespace checkpoint_format;
namespace fs = std::filesystem;
using nlohmann::json;

// ---- the files of one checkpoint

/// A new file and its hash, written piece by piece.
class FileWriter {
 public:
  explicit FileWriter(const fs::path& path)
      : path_(path),
        fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), path,
            "cannot be made") {}

  void write(std::span<const std::byte> piece) {
    write_all(fd_.get(), piece, path_);
    hash_.add(piece);
    size_ += piece.size();
  }

  /// Syncs; returns the manifest's entry.
  json finish() {
    if (::fsync(fd_.get()) != 0) fail_call(path_, "cannot be synced");
    fd_.close(path_);
    return {{"bytes", size_}, {kHashKey, hash_.hex()}};
  }

 private:
  fs::path path_;
  Descriptor fd_;
  Hash hash_;
  std::size_t size_ = 0;
};

json write_text(const fs::path& path, std::string_view text) {
  FileWriter file(path);
  file.write(bytes_of(text));
  return file.finish();
}

json write_tensors(const fs::path& path, std::span<const TensorData> tensors,
                   const TensorMetadata& metadata) {
  const SafetensorsImage image = make_safetensors(tensors, metadata);
  FileWriter file(path);
  file.write(bytes_of(image.header));
  for (const TensorBytes& bytes : image.data)
    bytes.for_each_piece([&](std::span<const std::byte> piece) { file.write(piece); });
  return file.finish();
}

void require_room_for(std::string_view name, std::size_t bytes) {
  if (std::int64_t(bytes) > most_text_bytes(name))
    throw std::invalid_argument(fmt::format("a checkpoint's {} of {} bytes, expected at most {}",
                                            name, bytes, most_text_bytes(name)));
}

/// Errors    std::invalid_argument unless config is an object, every name in `files` a plain file
///           name that is not taken, and every text small enough to be read again.
void check_content(const CheckpointContent& content) {
  if (!content.config.is_object())
    throw std::invalid_argument(
        fmt::format("a checkpoint's config is {}, expected an object", content.config.type_name()));
  for (const auto& [name, text] : content.files)
    for (const std::string_view taken : {kManifest, kConfig, kVocabulary, kModel, kState})
      if (!is_plain_name(name) || name == taken)
        throw std::invalid_argument(
            fmt::format("a checkpoint file named '{}', expected a plain name not in use", name));
  constexpr std::size_t kOwn = 4;  // configuration, vocabulary, model, state
  if (content.files.size() + kOwn > kMostFiles)
    throw std::invalid_argument(fmt::format("{} further files of a checkpoint, expected at most {}",
                                            content.files.size(), kMostFiles - kOwn));
  require_room_for(kVocabulary, content.vocabulary.value_or("").size());
  for (const auto& [name, text] : content.files) require_room_for(name, text.size());
}

/// Makes the directory with all files in it, synced.
/// Errors    std::runtime_error if the system fails a call, as when the directory is there.
void write_checkpoint_files(const fs::path& directory, std::int64_t step,
                            const CheckpointContent& content) {
  if (::mkdir(directory.c_str(), 0777) != 0) fail_call(directory, "cannot be made");
  json files;
  files[kConfig] = write_text(directory / kConfig, format_json(content.config, kConfig));
  if (content.vocabulary)
    files[kVocabulary] = write_text(directory / kVocabulary, *content.vocabulary);
  files[kModel] = write_tensors(directory / kModel, content.tensors, content.metadata);
  if (!content.state.empty()) files[kState] = write_tensors(directory / kState, content.state, {});
  for (const auto& [name, text] : content.files) files[name] = write_text(directory / name, text);
  write_text(directory / kManifest, manifest_text({{"format", kFormat},
                                                   {"version", kFormatVersion},
                                                   {"step", step},
                                                   {"files", std::move(files)}}));
  sync_directory(directory);
}

// ---- the run folder

void move_to(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    fail_call(to, fmt::format("cannot be made from {}", from.filename().string()));
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail(path, fmt::format("cannot be removed: {}", error.message()));
}

void check(std::int64_t step, const CheckpointSave& options) {
  if (step < 0) throw std::invalid_argument(fmt::format("step {}, expected 0 or more", step));
  if (options.keep < 0)
    throw std::invalid_argument(
        fmt::format("{} checkpoints to keep, expected 0 (all) or more", options.keep));
}

/// Names that only a save gives: others in a folder of the user's are the user's.
bool is_leftover(const std::string& name) {
  if (name.starts_with(kReplaced)) return step_of(name.substr(kReplaced.size())).has_value();
  if (!name.starts_with(kTemporary)) return false;
  const std::string rest = name.substr(kTemporary.size());
  return rest == "latest" || rest == "best" || rest == "metrics.jsonl" || step_of(rest);
}

/// Removes what a killed save left. The one thing worth keeping is a directory moved aside whose
/// replacement did not arrive.
void remove_leftovers(const fs::path& run_dir) {
  for (const std::string& name : names_in(run_dir)) {
    if (!is_leftover(name)) continue;
    const fs::path original = run_dir / name.substr(kReplaced.size());
    if (name.starts_with(kReplaced) && !is_there(original))
      move_to(run_dir / name, original);
    else
      remove_tree(run_dir / name);
  }
}

/// Gives `from` the name `to`. What is there already is exchanged for it in one step where the file
/// system can do that; else it is moved aside, and remove_leftovers undoes that after a kill.
void move_into_place(const fs::path& from, const fs::path& to) {
  if (!is_there(to)) return move_to(from, to);
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
    remove_tree(from);
    return;
  }
  if (errno != EINVAL && errno != ENOSYS) fail_call(to, "cannot be replaced");
  const fs::path aside = to.parent_path() / (std::string(kReplaced) + to.filename().string());
  move_to(to, aside);
  if (::rename(from.c_str(), to.c_str()) != 0) {
    const int error = errno;
    move_to(aside, to);
    errno = error;
    fail_call(to, "cannot be replaced");
  }
  remove_tree(aside);
}

void point_link(const fs::path& link, const std::string& target) {
  const fs::path fresh = link.parent_path() / (std::string(kTemporary) + link.filename().string());
  if (::symlink(target.c_str(), fresh.c_str()) != 0) fail_call(fresh, "cannot be made");
  move_to(fresh, link);
}

void delete_older(const fs::path& run_dir, std::int64_t step, const CheckpointSave& options) {
  if (options.keep == 0) return;
  // If it is not known what `best` points to, nothing may be deleted.
  const fs::path link = run_dir / "best";
  std::string best;
  if (is_there(link)) best = fs::path(target_of(link)).filename().string();
  int kept = 1;
  for (const CheckpointEntry& entry : list_checkpoints(run_dir)) {
    const std::string name = entry.directory.filename().string();
    if (entry.step >= step || kept++ < options.keep || name == best ||
        entry.step == options.protect)
      continue;
    // Out of sight first: killed in the middle of deleting, it must not look like a checkpoint.
    const fs::path hidden = run_dir / (std::string(kTemporary) + name);
    move_to(entry.directory, hidden);
    remove_tree(hidden);
  }
}

}  // namespace

void make_run_folder(const fs::path& run_dir) {
  std::error_code error;
  if (fs::exists(run_dir, error) && !fs::is_directory(run_dir, error))
    fail(run_dir, "is a file, expected a run folder");
  if (is_checkpoint(run_dir)) fail(run_dir, "is a checkpoint, expected a run folder");
  std::vector<fs::path> parents;  // of folders that will be made
  fs::path folder = fs::absolute(run_dir, error).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  for (; !fs::exists(folder, error) && folder.has_relative_path(); folder = folder.parent_path())
    parents.push_back(folder.parent_path());
  fs::create_directories(run_dir, error);
  if (error) fail(run_dir, fmt::format("cannot be made: {}", error.message()));
  for (const fs::path& parent : parents) sync_directory(parent);
}

void repair_run_folder(const fs::path& run_dir, std::optional<std::int64_t> best) {
  remove_leftovers(run_dir);
  if (best && is_checkpoint(checkpoint_directory(run_dir, *best)))
    point_link(run_dir / "best", directory_name(*best));
  sync_directory(run_dir);
}

fs::path save_checkpoint(const fs::path& run_dir, std::int64_t step,
                         const CheckpointContent& content, const CheckpointSave& options) {
  check(step, options);
  check_content(content);
  remove_leftovers(run_dir);

  const std::string name = directory_name(step);
  const fs::path temporary = run_dir / (std::string(kTemporary) + name);
  try {
    write_checkpoint_files(temporary, step, content);
    move_into_place(temporary, run_dir / name);
  } catch (...) {
    std::error_code ignored;  // the first error is the one to report
    fs::remove_all(temporary, ignored);
    throw;
  }
  sync_directory(run_dir);
  point_link(run_dir / "latest", name);
  if (options.best) point_link(run_dir / "best", name);
  sync_directory(run_dir);
  delete_older(run_dir, step, options);
  return run_dir / name;
}

}  // namespace unroll
