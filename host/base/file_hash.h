/// Hashes by which a file is recognised, see hash.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace unroll {

/// The hash of all bytes of a file.
/// Errors    std::runtime_error naming `path` if it cannot be read; Interrupted.
std::string file_hash(int fd, const std::filesystem::path& path, const std::atomic<bool>* stop);

/// The hash of the first, the last and 62 evenly spaced blocks of 64 KiB in between: all of a file
/// of up to 4 MiB, and enough of a larger one to notice most damage.
std::string sample_hash(std::span<const std::byte> bytes);

}  // namespace unroll
