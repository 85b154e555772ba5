#include "host/pages/html_page.h"

#include <fmt/format.h>

#include "host/pages/chart.h"
#include "host/pages/page_style.h"

namespace unroll {

std::string page_head(const std::string& title, const char* style) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>{}</title>\n<style>{}{}</style>\n</head>\n<body>\n",
      escape_html(title), kPageStyle, style);
}

std::string summary_item(const std::string& name, const std::string& value,
                         const std::string& remark) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd><dd>{}</dd></div>\n", name, escape_html(value),
                     escape_html(remark));
}

std::string grouped(std::int64_t value) {
  std::string text = std::to_string(value);
  for (std::ptrdiff_t at = std::ssize(text) - 3; at > 0; at -= 3) text.insert(std::size_t(at), ",");
  return text;
}

}  // namespace unroll
