#include "host/base/file_hash.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "host/base/file.h"
#include "host/base/hash.h"
#include "host/base/interrupted.h"

namespace unroll {
namespace {

constexpr std::int64_t kSampleBytes = 1 << 16, kSamples = 64;

/// Where the blocks of a sample begin. They overlap or join where the file is that small.
std::vector<std::int64_t> sample_positions(std::int64_t size) {
  std::vector<std::int64_t> positions;
  if (size <= kSamples * kSampleBytes) {
    for (std::int64_t at = 0; at < size; at += kSampleBytes) positions.push_back(at);
    return positions;
  }
  const std::int64_t last = size - kSampleBytes;
  for (std::int64_t k = 0; k < kSamples; ++k)  // last / 63 first, since last * 63 may overflow
    positions.push_back(last / (kSamples - 1) * k + last % (kSamples - 1) * k / (kSamples - 1));
  return positions;
}

}  // namespace

std::string file_hash(int fd, const std::filesystem::path& path, const std::atomic<bool>* stop) {
  std::vector<std::byte> block(std::size_t{1} << 20);
  Hash hash;
  std::int64_t at = 0;
  for (std::size_t got = block.size(); got == block.size(); at += std::int64_t(got)) {
    stop_if_asked(stop);
    got = read_at(fd, at, block, path);
    hash.add(std::span(block).first(got));
  }
  return hash.hex();
}

std::string sample_hash(std::span<const std::byte> bytes) {
  Hash hash;
  for (const std::int64_t at : sample_positions(static_cast<std::int64_t>(bytes.size()))) {
    const auto from = static_cast<std::size_t>(at);
    hash.add(bytes.subspan(from, std::min(bytes.size() - from, std::size_t(kSampleBytes))));
  }
  return hash.hex();
}

}  // namespace unroll
