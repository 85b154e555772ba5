/// Variables of a store as the tensors of a file, and back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/base/safetensors.h"
#include "unroll/session.h"

namespace unroll {

/// Sets variables to zero.
void clear_variables(const std::vector<std::string>& names, VariableStore& store);

/// Variables as tensors that are read from the store when they are written: no copy is made. The
/// store must outlive them.
std::vector<TensorData> variable_tensors(const VariableStore& store,
                                         const std::vector<std::string>& names);

/// Which float32 values of a file are accepted.
enum class Accepted : std::uint8_t { kFinite, kNumbers, kAny };

/// Errors    std::runtime_error, with `where`, unless the tensor has that type and shape. Counters
///           and statistics of a step may lack their last numbers, which earlier versions did not
///           have.
void check_type(const TensorData& tensor, const TensorType& type, const std::string& where);

/// Writes the variable's value, piece by piece; numbers that an earlier version did not have are 0.
/// Errors    std::runtime_error, with `where`, unless type and shape are the variable's and every
///           value is accepted. The variable is then written in part.
void write_variable(const TensorData& tensor, const std::string& where, Accepted accepted,
                    VariableStore& store);

}  // namespace unroll
