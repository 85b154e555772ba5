/// The ways in which cuDNN can compute a recurrent stack, and their names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cuda/cudnn/cudnn.h"

namespace unroll::gpu {

struct CudnnForm {
  cudnn::Algorithm algorithm = cudnn::Algorithm::kStandard;
  bool packed = false;  // false: the unpacked layout, or this one where cuDNN refuses it
  bool half = false;  // operands and activations in float16, whatever the precision of the backend
  bool bare = false;  // only cuDNN's calls, for timing: recurrent_cudnn.h
};

/// Parses "cudnn", "cudnn:FORM" and everything that to_string() returns; nullopt for other texts.
std::optional<CudnnForm> parse_cudnn_form(std::string_view text);

/// "cudnn:standard", ..., followed by ":packed", ":fp16" and ":bare" where they apply.
std::string to_string(const CudnnForm& form);

}  // namespace unroll::gpu
