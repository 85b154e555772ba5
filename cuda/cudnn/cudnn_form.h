/// Which of cuDNN's ways of computing a recurrent stack, and what each is called.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cuda/cudnn/cudnn.h"

namespace unroll::gpu {

struct CudnnForm {
  cudnn::Algorithm algorithm = cudnn::Algorithm::kStandard;
  bool packed = false;  // else the unpacked layout, and this one only where cuDNN refuses that
  bool half = false;    // operands and activations in float16, whatever the backend's precision
  bool bare = false;    // to be timed without what goes on around cuDNN's calls: recurrent_cudnn.h
};

/// "cudnn", "cudnn:FORM" or that with what to_string() puts behind it; nothing for another text.
std::optional<CudnnForm> parse_cudnn_form(std::string_view text);

/// "cudnn:standard", ..., and behind it, where it is so, ":packed", ":fp16", ":bare".
std::string to_string(const CudnnForm& form);

}  // namespace unroll::gpu
