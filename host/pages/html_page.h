/// The common parts of the program's HTML pages, besides the style sheet of page_style.h.
#pragma once

#include <cstdint>
#include <string>

namespace unroll {

/// The text from <!DOCTYPE html> to <body>. `style` follows the common style sheet; `title` is
/// escaped.
std::string page_head(const std::string& title, const char* style);

/// An entry of <dl class="summary">; value and remark are escaped.
std::string summary_item(const std::string& name, const std::string& value,
                         const std::string& remark);

/// Groups digits: 26,000.
std::string grouped(std::int64_t value);

}  // namespace unroll
