#include "host/infer/token_json.h"

#include "host/base/utf8.h"

namespace unroll {

std::string json_text(const Tokenizer& tokenizer, std::int32_t id) {
  std::string text = tokenizer.text(id);
  return find_invalid_utf8(text) == text.size() ? text : printable(text);
}

}  // namespace unroll
