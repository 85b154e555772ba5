/// What the reader and the writer of checkpoints agree on: names, limits, and the manifest's hash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace unroll::checkpoint_format {

inline constexpr std::string_view kFormat = "unroll-checkpoint";
inline constexpr std::int64_t kFormatVersion = 1;
inline constexpr const char* kManifest = "manifest.json";
inline constexpr const char* kConfig = "config.json";
inline constexpr const char* kVocabulary = "vocab.txt";
inline constexpr const char* kTokenizerJson = "tokenizer.json";
inline constexpr const char* kModel = "model.safetensors";
inline constexpr const char* kState = "state.safetensors";
inline constexpr const char* kHashKey = "xxh3_128";

// Names that only a save gives. Both are invisible to readers, and belong to a save that is under
// way or was killed.
inline constexpr std::string_view kTemporary = ".tmp-";
inline constexpr std::string_view kReplaced = ".old-";

/// The most files of a checkpoint, and the most bytes that a text among them may have, so that a
/// hostile one does not fill the memory.
inline constexpr std::size_t kMostFiles = 16;
std::int64_t most_text_bytes(std::string_view name);

/// Whether a file of a checkpoint may have this name.
bool is_plain_name(std::string_view name);

/// The manifest with a hash over itself, so that a bit flipped in it is found too.
std::string manifest_text(nlohmann::json manifest);

/// "step-00001200".
std::string directory_name(std::int64_t step);
/// The step, if that is a checkpoint's name.
std::optional<std::int64_t> step_of(const std::string& name);

/// Throws std::runtime_error "path: what".
[[noreturn]] void fail(const std::filesystem::path& path, std::string_view what);

// Questions to the file system. Errors: std::runtime_error if it does not say.

/// Whether it is a directory with a manifest.
bool is_checkpoint(const std::filesystem::path& directory);
/// Whether there is something of that name, even a link that leads nowhere.
bool is_there(const std::filesystem::path& path);
/// Names in a folder; none if there is no such folder.
std::vector<std::string> names_in(const std::filesystem::path& folder);
/// Where a link leads.
std::string target_of(const std::filesystem::path& link);

}  // namespace unroll::checkpoint_format
