/// The common parts of the program's HTML pages, besides the style sheet of page_style.h.
#pragma once

#include <cstdint>
#include <string>

namespace unroll {

/// The text from <!DOCTYPE html> to <body>. `style` follows the common style sheet; `title` is
/// escaped.
std::string page_head(const std::string& title, const char* style);

/// A tile of <dl class="summary">; value and remark are escaped.
/// An entry of <dl class="summary">; value and remark are escaped.
                         const std::string& remark);

                         /// 26,000
                         /// Groups digits: 26,000.

                         }  // namespace unroll
