/// The files of one checkpoint: written once, each synced, their sizes and hashes in a manifest
/// that comes last; read only if they are what the manifest says.
#pragma once

#include <cstdint>
#include <filesystem>

#include "host/train/checkpoint.h"

namespace unroll {

inline constexpr const char* kManifestName = "manifest.json";

/// Throws std::runtime_error "path: what".
[[noreturn]] void fail_checkpoint(const std::filesystem::path& path, std::string_view what);

/// Errors    std::invalid_argument unless config is an object, every name in `files` a plain file
///           name that is not taken, and every text small enough to be read again.
void check_content(const CheckpointContent& content);

/// Makes the directory with all files in it, synced.
/// Errors    std::runtime_error if the system fails a call, as when the directory is there.
void write_checkpoint_files(const std::filesystem::path& directory, std::int64_t step,
                            const CheckpointContent& content);

/// `directory` has no links in it, so that it stays the same one.
/// Errors    as load_checkpoint().
Checkpoint read_checkpoint_files(const std::filesystem::path& directory,
                                 const CheckpointLoad& options);

/// Whether it is a directory with a manifest.
/// Errors    std::runtime_error if the system does not say.
bool is_checkpoint(const std::filesystem::path& directory);

/// Errors    std::runtime_error if the system fails a call.
void sync_directory(const std::filesystem::path& directory);

}  // namespace unroll
