/// A run's metrics as an event file of TensorBoard, which finds it in the run folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "host/base/file.h"

namespace unroll {

/// CRC-32C (Castagnoli), as in RFC 3720, appendix B.4.
std::uint32_t crc32c(std::string_view bytes);

/// A record of a TFRecord file: the length of the data in 8 bytes and its checksum, the data and
/// their checksum. Numbers are little-endian; a checksum c is written as rotr(c, 15) + 0xa282ead8.
std::string tf_record(std::string_view data);

/// An Event of TensorBoard with the numbers of a line of metrics.jsonl: {"event": "train", "loss":
/// 2} is the scalar train/loss of the line's step. Nothing if the line has none, or is not of
/// train, valid or test.
std::optional<std::string> tensorboard_event(const nlohmann::ordered_json& line);

/// Those that a TensorboardLog has made. Errors: std::runtime_error.
void remove_tensorboard_files(const std::filesystem::path& run_dir);

class TensorboardLog {
 public:
  /// Makes RUN/events.out.tfevents.SECONDS.unroll of the lines that metrics.jsonl has, and removes
  /// those of earlier parts of the run: their last steps may have been done again.
  /// Errors    std::runtime_error if it cannot be written.
  explicit TensorboardLog(const std::filesystem::path& run_dir);

  /// A line as metrics.jsonl has it. Errors: std::runtime_error if it cannot be written.
  void write(const nlohmann::ordered_json& line);

 private:
  void append(std::string_view data);

  std::filesystem::path file_;
  Descriptor fd_;
};

}  // namespace unroll
