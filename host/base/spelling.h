/// Suggestions for misspelt words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace unroll {

/// The candidate with the fewest edits, if it is close enough to be what was meant; else empty.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

/// "; did you mean X?" to end a message, or nothing.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace unroll
