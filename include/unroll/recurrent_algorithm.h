/// The ways to compute a recurrent stack: values with names, which know what they cannot compute.
/// Results of two ways differ only by rounding.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "unroll/recurrent_spec.h"

namespace unroll {

enum class DeviceKind : std::uint8_t;  // device.h

/// How our own kernels compute one pass.
struct PassAlgorithm {
  /// Timesteps K of a block: layers advance block by block, as a wavefront where their sizes allow
  /// it. 0: layer after layer.
  std::int64_t block = 0;
  bool persistent = false;  // one kernel per layer instead, with its weights in shared memory

  bool operator==(const PassAlgorithm&) const = default;
};

/// How our own kernels compute a stack.
struct StackAlgorithm {
  PassAlgorithm forward = {}, backward = {};

  bool operator==(const StackAlgorithm&) const = default;
};

/// cuDNN's algorithms for recurrent stacks.
enum class CudnnAlgorithm : std::uint8_t {
  kStandard,
  kPersistStatic,
  kPersistDynamic,
  kPersistStaticSmallH,
};

/// How cuDNN computes a stack.
struct CudnnForm {
  CudnnAlgorithm algorithm = CudnnAlgorithm::kStandard;
  bool packed = false;  // its packed data layout; false: only where it refuses the other one
  // For comparisons only.
  bool half = false;  // operands and activations in float16, without loss scaling
  bool bare = false;  // only cuDNN's calls, on ready buffers in its own types

  bool operator==(const CudnnForm&) const = default;
};

/// How recurrent stacks are computed.
///
///   auto         The first plan for training of a stack and a batch times our own algorithms on
///                its shape, forward and backward each for itself. Later plans keep the fastest. A
///                pass that it cannot compute in such a plan is stepwise.
///   stepwise     Timestep by timestep, each layer as a whole. It computes everything.
///   stepwise:K   Layers in blocks of K timesteps, as a wavefront where their sizes allow it.
///   persistent   One kernel per layer. Its plans throw Unsupported if the weights exceed the
///                shared memory of the multiprocessors.
///   cudnn:FORM   cuDNN, if libcudnn.so.9 is installed. FORM is standard, persist_static,
///                persist_dynamic or persist_static_small_h; "cudnn" means the first. Add
///                ":packed" for that data layout. Plans for what cuDNN does not do throw
///                Unsupported. For comparisons only: ":fp16" and ":bare" behind it.
///
/// "FORWARD+BACKWARD" joins two of stepwise, stepwise:K and persistent, one for each pass.
class RecurrentAlgorithm {
 public:
  /// What a user may ask for, for the end of "expected ".
  static constexpr std::string_view kNames =
      "auto, stepwise, stepwise:K with K timesteps, 1 or more, persistent, two of these as "
      "FORWARD+BACKWARD, cudnn, or cudnn:FORM or cudnn:FORM:packed with FORM standard, "
      "persist_static, persist_dynamic or persist_static_small_h";

  /// auto
  RecurrentAlgorithm() = default;
  RecurrentAlgorithm(const PassAlgorithm& both) : RecurrentAlgorithm(StackAlgorithm{both, both}) {}
  RecurrentAlgorithm(const StackAlgorithm& ours) : how_(ours) {}
  RecurrentAlgorithm(const CudnnForm& cudnn) : how_(cudnn) {}

  /// Errors    std::invalid_argument for a name that is none.
  static RecurrentAlgorithm parse(std::string_view name);

  bool is_automatic() const { return std::holds_alternative<std::monostate>(how_); }
  /// Null unless it is of our own kernels.
  const StackAlgorithm* ours() const { return std::get_if<StackAlgorithm>(&how_); }
  /// Null unless it is cuDNN's.
  const CudnnForm* cudnn() const { return std::get_if<CudnnForm>(&how_); }
  /// Whether at least one pass is persistent.
  bool is_persistent() const {
    return ours() && (ours()->forward.persistent || ours()->backward.persistent);
  }

  bool operator==(const RecurrentAlgorithm&) const = default;

 private:
  std::variant<std::monostate, StackAlgorithm, CudnnForm> how_;
};

/// The name, which parse() takes. One name if both passes are computed alike, else
/// "FORWARD+BACKWARD"; for cuDNN always with FORM.
std::string to_string(const RecurrentAlgorithm& algorithm);

/// Why no device computes such cells so, or why such a device computes no cells so; the last: one
/// of the two. A part of a line without an end, and empty if it can. Whether weights fit into the
/// memory of a device, and which sequences cuDNN takes, is known only to the device.
std::string why_not(const RecurrentAlgorithm& algorithm, const RecurrentSpec& spec);
std::string why_not(const RecurrentAlgorithm& algorithm, DeviceKind device);
std::string why_not(const RecurrentAlgorithm& algorithm, const RecurrentSpec& spec,
                    DeviceKind device);

}  // namespace unroll
