#include "host/train/tensorboard.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <vector>

#include "host/base/hash.h"
#include "host/train/run_folder.h"

namespace unroll {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "events.out.tfevents.", kSuffix = ".unroll";

std::array<std::uint32_t, 256> crc_table() {
  constexpr std::uint32_t kReversedPolynomial = 0x82f63b78;
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? kReversedPolynomial : 0);
    table[byte] = crc;
  }
  return table;
}

template <typename Number>
std::string little_endian(Number value) {
  std::string bytes;
  for (std::size_t k = 0; k < sizeof(Number); ++k) bytes += char(value >> 8 * k & 0xFF);
  return bytes;
}

std::string masked_crc(std::string_view bytes) {
  return little_endian(std::rotr(crc32c(bytes), 15) + 0xa282ead8U);
}

// Protocol buffers (protobuf.dev, "Encoding"): a field is its number and kind, then its value.
enum class Wire : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += char(value | 0x80);
  return bytes + char(value);
}

std::string key(std::uint32_t field, Wire wire) {
  return varint(field << 3 | std::uint32_t(wire));
}

std::string bytes_field(std::uint32_t field, std::string_view bytes) {
  return key(field, Wire::kBytes) + varint(bytes.size()) + std::string(bytes);
}

/// Summary.Value: tag = 1, simple_value = 2.
std::string scalar(const std::string& tag, double value) {
  return bytes_field(1, tag) + key(2, Wire::kFixed32) +
         little_endian(std::bit_cast<std::uint32_t>(float(value)));
}

/// Event: wall_time = 1, step = 2, and one of file_version = 3 and summary = 5.
std::string event_of(double time, std::int64_t step, const std::string& what) {
  return key(1, Wire::kFixed64) + little_endian(std::bit_cast<std::uint64_t>(time)) +
         key(2, Wire::kVarint) + varint(std::uint64_t(step)) + what;
}

/// The text of a member, empty if there is none: the file may have been edited.
std::string text_of(const nlohmann::ordered_json& line, const char* name) {
  const auto found = line.find(name);
  return found != line.end() && found->is_string() ? found->get<std::string>() : "";
}

std::int64_t step_of(const nlohmann::ordered_json& line) {
  const auto found = line.find("step");
  return found != line.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

/// Seconds since 1970 of the time in a line; 0 if it has none.
double time_of(const nlohmann::ordered_json& line) {
  const std::string text = text_of(line, "time");
  std::tm time{};
  double seconds = 0;
  if (std::sscanf(text.c_str(), "%d-%d-%dT%d:%d:%lfZ", &time.tm_year, &time.tm_mon, &time.tm_mday,
                  &time.tm_hour, &time.tm_min, &seconds) != 6)
    return 0;
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  return double(::timegm(&time)) + seconds;
}

bool is_own(const std::string& name) {
  return name.starts_with(kPrefix) && name.ends_with(kSuffix);
}

/// Removes the files of earlier parts; returns the name of a new one.
fs::path replace_own(const fs::path& run_dir) {
  remove_tensorboard_files(run_dir);
  return run_dir / fmt::format("{}{:010}{}", kPrefix, std::time(nullptr), kSuffix);
}

Descriptor make(const fs::path& file) {
  return {::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), file,
          "cannot be made"};
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static const std::array<std::uint32_t, 256> table = crc_table();
  std::uint32_t crc = ~0U;
  for (const char byte : bytes)
    crc = crc >> 8 ^ table[(crc ^ static_cast<unsigned char>(byte)) & 0xFF];
  return ~crc;
}

std::string tf_record(std::string_view data) {
  const std::string length = little_endian(std::uint64_t(data.size()));
  return length + masked_crc(length) + std::string(data) + masked_crc(data);
}

std::optional<std::string> tensorboard_event(const nlohmann::ordered_json& line) {
  const std::string event = text_of(line, "event");
  if (event != "train" && event != "valid" && event != "test") return std::nullopt;
  std::string summary;
  for (const auto& [name, value] : line.items())
    if (value.is_number() && name != "step" && name != "epoch" && name != "seconds")
      summary += bytes_field(1, scalar(event + "/" + name, value.get<double>()));
  if (summary.empty()) return std::nullopt;
  return event_of(time_of(line), step_of(line), bytes_field(5, summary));
}

void remove_tensorboard_files(const fs::path& run_dir) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(run_dir))
    if (is_own(entry.path().filename().string())) files.push_back(entry.path());
  for (const fs::path& file : files) fs::remove(file);
}

TensorboardLog::TensorboardLog(const fs::path& run_dir)
    : file_(replace_own(run_dir)), fd_(make(file_)) {
  append(event_of(double(std::time(nullptr)), 0, bytes_field(3, "brain.Event:2")));
  std::ifstream metrics(run_dir / MetricsLog::kName, std::ios::binary);
  for (std::string line; std::getline(metrics, line);) {
    const auto json = nlohmann::ordered_json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object()) write(json);
  }
}

void TensorboardLog::write(const nlohmann::ordered_json& line) {
  if (const auto event = tensorboard_event(line)) append(*event);
}

void TensorboardLog::append(std::string_view data) {
  const std::string record = tf_record(data);
  write_all(fd_.get(), bytes_of(record), file_);
}

}  // namespace unroll
