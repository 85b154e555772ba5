#include "host/cli/tokenizer_input.h"

#include <string_view>

#include "host/base/file.h"
#include "host/base/hash.h"
#include "host/base/text_format.h"

namespace unroll::cli {

Tokenizer read_tokenizer_file(TokenizerKind kind, const std::filesystem::path& file,
                              const std::function<std::string(std::string_view)>& convert) {
  if (kind == TokenizerKind::kByte) return Tokenizer::parse(kind, "", "");
  const MappedFile mapped(open_regular(file, "the vocabulary").get(), file);
  std::string_view text = text_of(mapped.bytes());
  require_no_other_format(text, file.string());
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  return Tokenizer::parse(kind, convert ? convert(text) : text, file.string());
}

}  // namespace unroll::cli
