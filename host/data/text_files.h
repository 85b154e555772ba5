/// Where the training, validation and test text of a corpus lie: in three files of a folder, or in
/// one file, one after the other. text_reader.h reads them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "host/data/tokenizer.h"

namespace unroll {

/// A piece of one of the files.
struct TextPart {
  std::size_t file = 0;
  std::int64_t first = 0, count = 0;  // bytes
};

/// The file itself, or a folder's train.txt, valid.txt and test.txt, or the same as WikiText
/// (wiki.train.tokens) or Mikolov's Penn Treebank (ptb.train.txt) call them, or its input.txt.
/// Errors    std::runtime_error if there is no such thing, or one of the three is missing.
std::vector<std::filesystem::path> find_texts(const std::filesystem::path& path);

/// Cuts a file of `size` bytes: valid_fraction and test_fraction of it come last. A cut moves on to
/// the next end of a line, unless bytes are the tokens. Without a test fraction that part is empty.
/// Errors    std::runtime_error if another part would be empty.
std::array<TextPart, 3> cut_text(const std::filesystem::path& file, std::int64_t size,
                                 TokenizerKind kind, double valid_fraction, double test_fraction);

}  // namespace unroll
