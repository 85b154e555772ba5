/// The results of benchmarks, one row for each program, algorithm and pass, and their CSV format:
/// lines that begin with # and say what the times depend on, a header, rows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace unroll::benchmark {

/// cuDNN without the seam, which counts as a separate baseline.
inline constexpr const char* kBareCudnn = "cudnn_bare";

/// Rows with equal `Case` measure the same computation and can be compared.
struct Case {
  std::string task;                  // "rnn": a recurrent stack; "lm": a language model's step
  std::string shape;                 // a name of shapes.h, or "35x20x200x200x2"
  std::string cell;                  // "lstm", "gru", "gru_before", "rnn_tanh", ...
  std::int64_t steps, batch, input;  // T, B, I
  std::string hidden;                // units of each layer: "200/200"
  std::string precision;             // "fp32", "tf32", "bf16"
  std::string pass;                  // "forward" (as in training), "backward", or "step"

  auto operator<=>(const Case&) const = default;
};

/// Times are in microseconds per timestep, all layers together. Unknown values are empty.
struct Result {
  Case of;
  std::string program;        // "unroll"; baselines: "cudnn", kBareCudnn, "onednn", "pytorch"
  std::string algorithm;      // "stepwise:8", "cudnn:standard", "cudnn:standard:fp16", "eager", ...
  std::string execution;      // "graph", "stream" (calls on a GPU), "calls" (on a CPU)
  std::string status = "ok";  // or why there are no times, on one line
  std::optional<double> median, least, most;
  std::int64_t samples = 0;
  std::optional<double> noise;    // of the case: |a / b - 1| for the same code timed twice
  std::optional<double> prepare;  // the part of `median` that follows a change of weights
  std::optional<double> tflops;   // achieved, 1e12 operations per second
  std::optional<double> peak;     // share of the rate of a large matrix product: 0.5
  std::optional<double> floor;    // no schedule can be faster, by the model of floor.h
  std::optional<double> reserve_mib, work_mib;  // kept for backward; used by one pass
};

struct Results {
  std::vector<std::string> about;  // device, clocks, driver, libraries, commit: without the "# "
  std::vector<Result> rows;
};

/// Numbers have enough digits to read back the measured ones; to_csv(read_csv(to_csv(r))) gives the
/// same text.
std::string to_csv(const Results& results);
/// The header line of the CSV, which other programs print too.
std::string csv_header();

/// Errors    std::runtime_error, one line: file, line number, got, expected. Columns may come in
///           any order, and unknown ones are ignored. Several files may be concatenated, each with
///           its # lines and header.
Results read_csv(const std::filesystem::path& file);
/// Reads the text of a file; `name` is its name in errors.
Results read_csv(const std::string& text, const std::filesystem::path& name);

}  // namespace unroll::benchmark
