/// Checkpoints, as they are read: a reader sees a whole one or none. What writes them is
/// host/train/checkpoint_writer.h.
///
///   runs/ptb/step-00001200/  config.json vocab.txt model.safetensors state.safetensors
///                            manifest.json
///   runs/ptb/latest, best    links to such directories
#pragma once

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
/// the size. Texts are bounded: vocab.txt to 1 GiB, tokenizer.json to
/// 64 MiB, the others to 16 MiB.
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
