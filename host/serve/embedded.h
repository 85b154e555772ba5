/// Files of this folder that are in the program. CMake makes the source of it.
#pragma once

#include <string_view>

namespace unroll::serve {

extern const std::string_view kPage;         // page.html
extern const std::string_view kDescription;  // openapi.json

}  // namespace unroll::serve
