/// Fuzz target: safetensors files. Accepted input is written and read back unchanged, and written
/// again to the same bytes.
#include "host/base/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <span>

#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

std::vector<std::byte> bytes_of(const SafetensorsImage& image) {
  const auto header = std::as_bytes(std::span(image.header.data(), image.header.size()));
  std::vector<std::byte> bytes(header.begin(), header.end());
  for (const TensorBytes& data : image.data) std::ranges::copy(data.all(), back_inserter(bytes));
  return bytes;
}

/// The header's length, the header, and `data` bytes of content.
std::string file_of(const std::string& header, std::size_t data) {
  const std::uint64_t length = header.size();
  std::string text(sizeof length, '\0');
  std::memcpy(text.data(), &length, sizeof length);
  return text + header + std::string(data, 'x');
}

bool same(const TensorData& a, const TensorData& b) {
  return a.name == b.name && a.type == b.type && a.shape == b.shape && a.bytes == b.bytes;
}

void check(const SafetensorsFile& file, std::size_t file_bytes, std::size_t header_bytes) {
  std::size_t total = sizeof(std::uint64_t) + header_bytes;
  for (const TensorData& tensor : file.tensors()) total += std::size_t(tensor.bytes.size());
  require(total == file_bytes, "each byte of data is one tensor's");
  const std::vector<std::byte> written =
      bytes_of(make_safetensors(file.tensors(), file.metadata()));
  const SafetensorsFile again = SafetensorsFile::parse(written, "again");
  TensorMetadata metadata = file.metadata();
  metadata.emplace("format", "pt");
  require(again.metadata() == metadata, "metadata comes back");
  require(std::ranges::equal(again.tensors(), file.tensors(), same), "tensors come back");
  require(bytes_of(make_safetensors(again.tensors(), again.metadata())) == written,
          "the same tensors give the same bytes");
  for (const TensorData& tensor : again.tensors())
    require(again.find(tensor.name) == &tensor, "each tensor is found by its name");
}

}  // namespace

std::vector<std::string> seeds() {
  const std::string f32 = R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]})";
  const std::string overlap = R"(,"b":{"dtype":"U8","shape":[1],"data_offsets":[23,24]}})";
  return {file_of("{}", 0),
          file_of(f32 + overlap, 24),
          file_of(f32 + "}", 24),
          file_of(f32 + R"(,"b":{"dtype":"U8","shape":[],"data_offsets":[24,25]},)"
                        R"("__metadata__":{"format":"pt","k\u00e9\n":"\ud83d\ude00"}} )",
                  25),
          file_of(R"({"h":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]},)"
                  R"("b":{"dtype":"BOOL","shape":[1],"data_offsets":[3,4]}})",
                  4),
          file_of(R"({"e":{"dtype":"I64","shape":[0,4294967296],"data_offsets":[0,0]}})", 0)};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  const auto bytes = std::as_bytes(std::span(data, size));
  std::uint64_t header_bytes = 0;
  if (size >= sizeof header_bytes) std::memcpy(&header_bytes, data, sizeof header_bytes);
  SafetensorsFile file;
  if (fuzz::accepts([&] { file = SafetensorsFile::parse({bytes.begin(), bytes.end()}, "file"); }))
    fuzz::check(file, size, header_bytes);
  return 0;
}
