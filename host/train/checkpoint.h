/// Checkpoints: numbered directories in a run folder. A reader sees a whole one or none.
///
///   runs/ptb/step-00001200/  config.json vocab.txt model.safetensors state.safetensors
///                            manifest.json
///   runs/ptb/latest, best    links to such directories
///
/// A directory is written under a name of its own, each file synced, the manifest (sizes and
/// hashes) last, then synced and renamed; links are replaced by rename. A rename never replaces a
/// directory that has content, which is why directories are numbered and links carry the names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/base/safetensors.h"

namespace unroll {

/// What a checkpoint is made of. Tensors are read piece by piece as they are written.
struct CheckpointContent {                     // NOLINT(bugprone-exception-escape): see Checkpoint
  nlohmann::json config{};                     // config.json; an object
  std::optional<std::string> vocabulary{};     // vocab.txt; none is written if absent
  std::vector<TensorData> tensors{};           // model.safetensors
  TensorMetadata metadata{};                   // of model.safetensors, beside {"format": "pt"}
  std::vector<TensorData> state{};             // state.safetensors; none is written if empty
  std::map<std::string, std::string> files{};  // further ones by name, tokenizer.json for instance
};

struct CheckpointSave {
  bool best = false;                         // make `best` point to it, as `latest` will
  int keep = 2;                              // the newest, this one included; 0: all
  std::optional<std::int64_t> protect = {};  // a further step that is not to be deleted
};

/// Saves `content` as run_dir/step-NNNNNNNN, makes the links point to it, and then deletes
/// directories of smaller step, except those that `options` keep and the one that `best` points to.
/// Directories of larger step, left by a run that was taken up from an earlier point, are not
/// touched. A directory of the same step is replaced. Returns the new directory.
///
/// The run folder must be there: make_run_folder() makes it. What a killed save left in it is
/// removed. One writer per run folder: the caller holds the lock.
/// Errors    std::invalid_argument if step or keep is negative, config is not an object, or a name
///           in `files` is taken or not a plain file name; std::runtime_error if the system fails a
///           call. After an error every link still leads to a whole checkpoint.
std::filesystem::path save_checkpoint(const std::filesystem::path& run_dir, std::int64_t step,
                                      const CheckpointContent& content,
                                      const CheckpointSave& options);

/// Makes the folder that checkpoints go to, unless it is there.
/// Errors    std::runtime_error if it is a file or itself a checkpoint, or cannot be made.
void make_run_folder(const std::filesystem::path& run_dir);

/// Undoes what a save that was killed may have left, for a run that goes on: removes temporary
/// directories, and makes `best` point to that step's checkpoint, if it is there. Killed between
/// the two links, the run would know of a best checkpoint that nothing kept. The caller holds the
/// lock.
/// Errors    std::runtime_error if the system fails a call.
void repair_run_folder(const std::filesystem::path& run_dir, std::optional<std::int64_t> best);

/// Where the checkpoint of that step is, or would be.
std::filesystem::path checkpoint_directory(const std::filesystem::path& run_dir, std::int64_t step);

/// A checkpoint, verified. Its tensors lie in its files, which stay open as long as it lives.
struct Checkpoint {  // NOLINT(bugprone-exception-escape): the JSON library's own move
  std::filesystem::path directory;  // links resolved
  std::int64_t step = 0;
  nlohmann::json config;
  std::optional<std::string> vocabulary;  // vocab.txt, not yet parsed
  SafetensorsFile model;
  std::optional<SafetensorsFile> state;      // only where asked for and present
  std::map<std::string, std::string> files;  // all others that the manifest lists
};

struct CheckpointLoad {
  bool latest = false;  // take a run folder's `latest`, as resuming does, and not `best`
  bool state = false;   // read state.safetensors too
  /// Set: if the checkpoint that a run folder means cannot be loaded, this is told why, and the
  /// next newest that can be is loaded instead.
  std::function<void(const std::string&)> damaged = {};
  /// Set: the most bytes that a file of tensors, by its name, may have. Asked when directory and
  /// configuration are known; a larger file is refused before it is read.
  std::function<std::int64_t(const Checkpoint&, const std::string&)> most_bytes = {};
};

/// `path` is a run folder or one checkpoint directory. In a run folder it takes the `best` link,
/// else `latest`, else (the first save was killed before the links) the largest step.
/// Sizes and hashes are compared with the manifest; for a state.safetensors that is not read, only
/// the size. Texts are bounded: vocab.txt to 1 GiB, the others to 16 MiB.
/// Errors    std::runtime_error: no such folder, not a folder, no checkpoint in it, a newer format,
///           a file missing or damaged, or content that its own reader rejects.
Checkpoint load_checkpoint(const std::filesystem::path& path, const CheckpointLoad& options = {});

struct CheckpointEntry {
  std::int64_t step = 0;
  std::filesystem::path directory;
};

/// The checkpoints of a run folder, largest step first, unverified. Empty if there are none, or no
/// such folder.
/// Errors    std::runtime_error if the folder cannot be listed.
std::vector<CheckpointEntry> list_checkpoints(const std::filesystem::path& run_dir);

}  // namespace unroll
