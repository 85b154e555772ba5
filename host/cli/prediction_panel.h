/// The most probable next tokens as rows of a terminal, with bars.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "host/cli/live_rows.h"
#include "host/cli/next_tokens.h"
#include "host/cli/terminal.h"

namespace unroll::cli {

struct PredictionPanel {
  std::string history;  // that they follow
  std::vector<LikelyToken> tokens;
  std::string warning;  // about words that the model does not know; or empty
};

/// At most so many rows, each narrower than the terminal. A bar's length is the probability beside
/// the largest one.
std::vector<LiveRow> panel_rows(const PredictionPanel& panel, const TerminalTraits& terminal,
                                std::size_t rows);

/// A line that is typed, after "> ", broken into rows, and where its cursor is. Of a line that
/// takes more than so many rows, those around the cursor.
/// `before`: the part of the text before the cursor. Both are printable.
LiveFrame typed_rows(std::string_view before, std::string_view after,
                     const TerminalTraits& terminal, std::size_t rows);

}  // namespace unroll::cli
