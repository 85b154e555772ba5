/// What a byte-pair encoding does to a text before it looks for words.
#pragma once

#include <string>

#include "host/data/bpe.h"

namespace unroll {

/// `text` is UTF-8. Composed and decomposed forms are utf8proc's. Letters become lower case one by
/// one, whatever is around them.
/// Errors    std::runtime_error if there is no memory for it.
std::string normalize(std::string text, Normalization how);

}  // namespace unroll
