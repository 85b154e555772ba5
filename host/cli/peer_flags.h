/// Flags of the programs that users come from, and what they are called here.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace unroll::cli {

struct PeerFlag {
  const char* name;  // without dashes, and '-' for '_'
  const char* here;  // the flag that does it, or why none does
};

/// The flags of PyTorch's word_language_model, AWD-LSTM, char-rnn and torch-rnn that differ from
/// ours, and the names that others use for the same.
std::span<const PeerFlag> peer_flags();

/// What to write for a flag that no command of ours has, such as "--rnn_size" or "-rnn_size".
std::optional<std::string> peer_flag_hint(std::string_view flag);

}  // namespace unroll::cli
