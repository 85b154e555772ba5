#include "host/data/mapped_text.h"

#include "host/base/file_hash.h"

namespace unroll {

std::runtime_error changed_while_read(const std::filesystem::path& file) {
  return std::runtime_error(file.string() + ": changed while it was read");
}

MappedText::MappedText(const std::filesystem::path& path, const SourceStamp& source)
    : path_(path),
      fd_(open_regular(path, "a text file")),
      kept_(source.stamp.to_keep()),
      hash_(source.hash),
      file_(fd_.get(), path) {
  if (stamp_of(fd_.get(), path) != source.stamp) throw changed_while_read(path);
}

TokenIds MappedText::ids() const {
  return {file_.bytes().data(), std::int64_t(file_.bytes().size()), 1};
}

void MappedText::require_unchanged() {
  const FileStamp now = stamp_of(fd_.get(), path_);
  if (now == kept_) return;
  // Reads to the end even when asked to stop: nothing may be saved before the content is known.
  if (file_hash(fd_.get(), path_, nullptr) != hash_)
    throw std::runtime_error(path_.string() +
                             ": was changed while it was in use, expected it to stay as it was; "
                             "what was saved is of the text as it was");
  kept_ = now.to_keep();
}

}  // namespace unroll
