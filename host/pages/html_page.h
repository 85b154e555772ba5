/// What the program's HTML pages share, beside the style sheet of page_style.h.
#pragma once

#include <cstdint>
#include <string>

namespace unroll {

/// From <!DOCTYPE html> to <body>. `style` follows the style sheet that all pages have; `title` is
/// escaped.
std::string page_head(const std::string& title, const char* style);

/// A tile of <dl class="summary">; value and remark are escaped.
std::string summary_item(const std::string& name, const std::string& value,
                         const std::string& remark);

/// 26,000
std::string grouped(std::int64_t value);

}  // namespace unroll
