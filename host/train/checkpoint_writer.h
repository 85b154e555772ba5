/// Writes checkpoints: numbered directories in a run folder (host/models/checkpoint.h).
///
/// A directory is written under a name of its own, each file synced, the manifest (sizes and
/// hashes) last, then synced and renamed; links are replaced by rename. A rename never replaces a
/// directory that has content, which is why directories are numbered and links carry the names.
#pragma once

#include <cstdint>
#include <filesystem>
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

}  // namespace unroll
