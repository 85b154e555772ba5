#include "host/serve/http.h"

#include <nlohmann/json.hpp>

namespace unroll::serve {

HttpAnswer error_answer(int status, std::string_view what) {
  const nlohmann::json json = {{"error", what}};
  return {.status = status,
          .body = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

}  // namespace unroll::serve
