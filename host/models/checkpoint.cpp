#include "host/models/checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "host/base/file.h"
#include "host/base/file_hash.h"
#include "host/base/hash.h"
#include "host/base/strict_json.h"
#include "host/base/utf8.h"
#include "host/models/checkpoint_format.h"

namespace unroll {
namespace {

using namespace checkpoint_format;
namespace fs = std::filesystem;
using nlohmann::json;

/// One checkpoint directory, held open: it stays the same one while files are read from it, even if
/// a save replaces it.
class Reader {
 public:
  explicit Reader(const fs::path& directory)
      : directory_(directory),
        fd_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), directory,
            "cannot be opened") {
    manifest_ = parse_manifest(read(open_file(kManifest, most_text_bytes(kManifest)), kManifest));
  }

  std::int64_t step() const { return manifest_.at("step").get<std::int64_t>(); }
  const json& files() const { return manifest_.at("files"); }
  fs::path path(const std::string& name) const { return directory_ / name; }

  /// The file's text, found equal to what was written.
  std::string text(const std::string& name) const {
    const OpenFile file = listed(name, most_text_bytes(name));
    std::string text = read(file, name);
    check_hash(name, hash_of(bytes_of(text)));
    return text;
  }

  /// The file's tensors. All of it is found equal to what was written.
  SafetensorsFile tensors(const std::string& name, std::int64_t most) const {
    OpenFile file = listed(name, most);
    Hash hash;
    const TensorBytes content(file.bytes, [&](std::int64_t at, std::span<std::byte> to) {
      read_whole(file.fd.get(), at, to, name);
    });
    content.for_each_piece([&](std::span<const std::byte> piece) { hash.add(piece); });
    check_hash(name, hash.hex());
    return SafetensorsFile::read(std::move(file.fd), path(name).string());
  }

  void check_size(const std::string& name) const { listed(name, kMaxBytes); }

  static constexpr std::int64_t kMaxBytes = std::numeric_limits<std::int64_t>::max();

 private:
  struct OpenFile {
    Descriptor fd;
    std::int64_t bytes;
  };

  json parse_manifest(std::string_view text) const {
    const std::string name = path(kManifest).string();
    json manifest = parse_json(text, name);
    const JsonObject fields(manifest, name);
    if (const std::string format = fields.string("format"); format != kFormat)
      fail(name, fmt::format("got format {}, expected '{}'", in_quotes(format), kFormat));
    if (const auto version = fields.integer("version", 1, kMaxBytes); version > kFormatVersion)
      fail(name,
           fmt::format("got format version {}, expected at most {}: it was written by a newer "
                       "version of this program",
                       version, kFormatVersion));
    fields.integer("step", 0, kMaxBytes);
    fields.object("files");
    if (manifest_text(manifest) != text) fail(name, "is damaged: got other text than was written");
    if (const std::size_t count = manifest.at("files").size(); count > kMostFiles)
      fail(name, fmt::format("lists {} files, expected at most {}", count, kMostFiles));
    for (const auto& [file, entry] : manifest.at("files").items())
      if (!is_plain_name(file))
        fail(name, "got a file name with a folder or a control character, expected a plain name");
    return manifest;
  }

  JsonObject entry(const std::string& name) const {
    if (!files().contains(name))
      fail(path(kManifest), fmt::format("lists no {}, expected one", name));
    return {files().at(name), path(kManifest).string()};
  }

  /// A file of the manifest, of the size that is written there.
  OpenFile listed(const std::string& name, std::int64_t most) const {
    const std::int64_t expected = entry(name).integer("bytes", 0, kMaxBytes);
    OpenFile file = open_file(name, most);
    if (file.bytes != expected)
      fail(path(name), fmt::format("is damaged: got {} bytes, expected {}", file.bytes, expected));
    return file;
  }

  void check_hash(const std::string& name, const std::string& got) const {
    if (const std::string expected = entry(name).string(kHashKey); got != expected)
      fail(path(name),
           fmt::format("is damaged: got hash '{}', expected {}", got, in_quotes(expected)));
  }

  OpenFile open_file(const std::string& name, std::int64_t most) const {
    // Non-blocking, or opening a pipe would wait for a writer.
    OpenFile file{Descriptor(::openat(fd_.get(), name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC),
                             path(name), "cannot be opened"),
                  0};
    struct stat status {};
    if (::fstat(file.fd.get(), &status) != 0) fail_call(path(name), "cannot be examined");
    if (!S_ISREG(status.st_mode)) fail(path(name), "is not a regular file, expected one");
    file.bytes = status.st_size;
    if (file.bytes > most)
      fail(path(name), fmt::format("got {} bytes, expected at most {}", file.bytes, most));
    return file;
  }

  void read_whole(int fd, std::int64_t at, std::span<std::byte> bytes,
                  const std::string& name) const {
    if (const std::size_t got = read_at(fd, at, bytes, path(name)); got < bytes.size())
      fail(path(name), fmt::format("got {} bytes, expected {}", got, bytes.size()));
  }

  std::string read(const OpenFile& file, const std::string& name) const {
    std::string text(static_cast<std::size_t>(file.bytes), '\0');
    read_whole(file.fd.get(), 0, std::as_writable_bytes(std::span(text)), name);
    return text;
  }

  fs::path directory_;
  Descriptor fd_;
  json manifest_;
};

/// `directory` has no links in it, so that it stays the same one.
Checkpoint read_checkpoint_files(const fs::path& directory, const CheckpointLoad& options) {
  const Reader reader(directory);

  Checkpoint checkpoint;
  checkpoint.directory = directory;
  checkpoint.step = reader.step();
  const std::string config = reader.path(kConfig).string();
  checkpoint.config = parse_json(reader.text(kConfig), config);
  if (!checkpoint.config.is_object()) fail(config, "is not a JSON object, expected one");
  const auto tensors = [&](const char* name) {
    return reader.tensors(
        name, options.most_bytes ? options.most_bytes(checkpoint, name) : Reader::kMaxBytes);
  };
  checkpoint.model = tensors(kModel);
  for (const auto& [name, entry] : reader.files().items()) {
    if (name == kConfig || name == kModel) continue;
    if (name == kState && !options.state) {
      reader.check_size(name);
    } else if (name == kState) {
      checkpoint.state = tensors(kState);
    } else if (name == kVocabulary) {
      checkpoint.vocabulary = reader.text(name);
    } else {
      checkpoint.files[name] = reader.text(name);
    }
  }
  return checkpoint;
}

/// Follows links.
bool is_folder(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return S_ISDIR(status.st_mode);
  if (errno != ENOENT && errno != ENOTDIR) fail_call(path, "cannot be examined");
  return false;
}

/// Without links.
fs::path real_path(const fs::path& path) {
  std::error_code error;
  fs::path real = fs::canonical(path, error);
  if (error) fail(path, error.message());
  return real;
}

/// The checkpoint directory that `path` means.
fs::path resolve(const fs::path& path, bool latest) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) fail(path, "no such folder");
  if (error) fail(path, error.message());
  if (!fs::is_directory(status))
    fail(path, "is a file, expected a run folder or a checkpoint folder");
  if (is_checkpoint(path)) return path;

  for (const char* name : {"best", "latest"}) {
    if (latest && std::string_view(name) == "best") continue;
    fs::path link = path / name;
    if (!is_there(link)) continue;
    if (is_checkpoint(link)) return link;
    const std::string target = target_of(link);
    // A save was killed between move_into_place's two renames.
    if (fs::path aside = path / (std::string(kReplaced) + target); is_checkpoint(aside))
      return aside;
    fail(link, fmt::format("leads to {}, which is no checkpoint: it has no {}", target, kManifest));
  }
  const std::vector<CheckpointEntry> entries = list_checkpoints(path);
  if (entries.empty())
    fail(path, fmt::format("holds no checkpoint: got neither {} nor {}NNNNNNNN folders, expected "
                           "one of them",
                           kManifest, "step-"));
  return entries.front().directory;
}

}  // namespace

fs::path checkpoint_directory(const fs::path& run_dir, std::int64_t step) {
  return run_dir / directory_name(step);
}

Checkpoint load_checkpoint(const fs::path& path, const CheckpointLoad& options) {
  std::error_code none;
  if (!options.damaged || !fs::is_directory(path, none) || is_checkpoint(path))
    return read_checkpoint_files(real_path(resolve(path, options.latest)), options);

  fs::path wanted;
  std::string trouble;
  try {
    wanted = real_path(resolve(path, options.latest));
    return read_checkpoint_files(wanted, options);
  } catch (const std::runtime_error& error) {
    trouble = error.what();
  }
  for (const CheckpointEntry& entry : list_checkpoints(path)) {
    const fs::path name = entry.directory.filename();
    if (name == wanted.filename()) continue;
    try {
      Checkpoint checkpoint = read_checkpoint_files(real_path(entry.directory), options);
      options.damaged(fmt::format("{}; using {} instead", trouble, name.string()));
      return checkpoint;
    } catch (const std::runtime_error&) {
      continue;  // the fault of the one that was wanted is reported
    }
  }
  throw std::runtime_error(trouble);
}

std::vector<CheckpointEntry> list_checkpoints(const fs::path& run_dir) {
  std::error_code none;
  if (fs::exists(run_dir, none) && !fs::is_directory(run_dir, none))
    fail(run_dir, "is a file, expected a run folder");
  std::vector<CheckpointEntry> entries;
  for (const std::string& name : names_in(run_dir))
    if (const auto step = step_of(name); step && is_folder(run_dir / name))
      entries.push_back({*step, run_dir / name});
  std::sort(entries.begin(), entries.end(),
            [](const CheckpointEntry& a, const CheckpointEntry& b) { return a.step > b.step; });
  return entries;
}

}  // namespace unroll
