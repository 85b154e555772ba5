#include "host/train/checkpoint_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "host/base/file.h"
#include "host/base/hash.h"
#include "host/base/strict_json.h"
#include "host/base/utf8.h"

namespace unroll {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kFormat = "unroll-checkpoint";
constexpr std::int64_t kManifestVersion = 1;
constexpr const char* kConfig = "config.json";
constexpr const char* kVocabulary = "vocab.txt";
constexpr const char* kModel = "model.safetensors";
constexpr const char* kState = "state.safetensors";
constexpr const char* kHashKey = "xxh3_128";

/// A new file and its hash, written piece by piece.
class FileWriter {
 public:
  explicit FileWriter(const fs::path& path)
      : path_(path),
        fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), path,
            "cannot be made") {}

  void write(std::span<const std::byte> piece) {
    write_all(fd_.get(), piece, path_);
    hash_.add(piece);
    size_ += piece.size();
  }

  /// Syncs; returns the manifest's entry.
  json finish() {
    if (::fsync(fd_.get()) != 0) fail_call(path_, "cannot be synced");
    fd_.close(path_);
    return {{"bytes", size_}, {kHashKey, hash_.hex()}};
  }

 private:
  fs::path path_;
  Descriptor fd_;
  Hash hash_;
  std::size_t size_ = 0;
};

json write_text(const fs::path& path, std::string_view text) {
  FileWriter file(path);
  file.write(bytes_of(text));
  return file.finish();
}

json write_tensors(const fs::path& path, std::span<const TensorData> tensors,
                   const TensorMetadata& metadata) {
  const SafetensorsImage image = make_safetensors(tensors, metadata);
  FileWriter file(path);
  file.write(bytes_of(image.header));
  for (const TensorBytes& bytes : image.data)
    bytes.for_each_piece([&](std::span<const std::byte> piece) { file.write(piece); });
  return file.finish();
}

/// The most files of a checkpoint, and the most bytes that a text among them may have, so that a
/// hostile one does not fill the memory.
constexpr std::size_t kMostFiles = 16;
std::int64_t most_text_bytes(std::string_view name) {
  return std::int64_t(1) << (name == kManifestName ? 20 : name == kVocabulary ? 30 : 24);
}

void require_room_for(std::string_view name, std::size_t bytes) {
  if (std::int64_t(bytes) > most_text_bytes(name))
    throw std::invalid_argument(fmt::format("a checkpoint's {} of {} bytes, expected at most {}",
                                            name, bytes, most_text_bytes(name)));
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name.front() != '.' &&
         std::ranges::none_of(name, [](char c) { return c == '/' || (c >= 0 && c < ' '); });
}

/// A hash over the manifest itself, so that a bit flipped in it is found too.
std::string manifest_text(json manifest) {
  manifest.erase("check");
  manifest["check"] = hash_of(bytes_of(format_json(manifest, kManifestName)));
  return format_json(manifest, kManifestName);
}

/// One checkpoint directory, held open: it stays the same one while files are read from it, even if
/// a save replaces it.
class Reader {
 public:
  explicit Reader(const fs::path& directory)
      : directory_(directory),
        fd_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), directory,
            "cannot be opened") {
    manifest_ = parse_manifest(
        read(open_file(kManifestName, most_text_bytes(kManifestName)), kManifestName));
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
    const std::string name = path(kManifestName).string();
    json manifest = parse_json(text, name);
    const JsonObject fields(manifest, name);
    if (const std::string format = fields.string("format"); format != kFormat)
      fail_checkpoint(name,
                      fmt::format("got format {}, expected '{}'", in_quotes(format), kFormat));
    if (const auto version = fields.integer("version", 1, kMaxBytes); version > kManifestVersion)
      fail_checkpoint(
          name, fmt::format("got format version {}, expected at most {}: it was written by a newer "
                            "version of this program",
                            version, kManifestVersion));
    fields.integer("step", 0, kMaxBytes);
    fields.object("files");
    if (manifest_text(manifest) != text)
      fail_checkpoint(name, "is damaged: got other text than was written");
    if (const std::size_t count = manifest.at("files").size(); count > kMostFiles)
      fail_checkpoint(name, fmt::format("lists {} files, expected at most {}", count, kMostFiles));
    for (const auto& [file, entry] : manifest.at("files").items())
      if (!is_plain_name(file))
        fail_checkpoint(
            name, "got a file name with a folder or a control character, expected a plain name");
    return manifest;
  }

  JsonObject entry(const std::string& name) const {
    if (!files().contains(name))
      fail_checkpoint(path(kManifestName), fmt::format("lists no {}, expected one", name));
    return {files().at(name), path(kManifestName).string()};
  }

  /// A file of the manifest, of the size that is written there.
  OpenFile listed(const std::string& name, std::int64_t most) const {
    const std::int64_t expected = entry(name).integer("bytes", 0, kMaxBytes);
    OpenFile file = open_file(name, most);
    if (file.bytes != expected)
      fail_checkpoint(path(name),
                      fmt::format("is damaged: got {} bytes, expected {}", file.bytes, expected));
    return file;
  }

  void check_hash(const std::string& name, const std::string& got) const {
    if (const std::string expected = entry(name).string(kHashKey); got != expected)
      fail_checkpoint(path(name), fmt::format("is damaged: got hash '{}', expected {}", got,
                                              in_quotes(expected)));
  }

  OpenFile open_file(const std::string& name, std::int64_t most) const {
    // Non-blocking, or opening a pipe would wait for a writer.
    OpenFile file{Descriptor(::openat(fd_.get(), name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC),
                             path(name), "cannot be opened"),
                  0};
    struct stat status {};
    if (::fstat(file.fd.get(), &status) != 0) fail_call(path(name), "cannot be examined");
    if (!S_ISREG(status.st_mode))
      fail_checkpoint(path(name), "is not a regular file, expected one");
    file.bytes = status.st_size;
    if (file.bytes > most)
      fail_checkpoint(path(name),
                      fmt::format("got {} bytes, expected at most {}", file.bytes, most));
    return file;
  }

  void read_whole(int fd, std::int64_t at, std::span<std::byte> bytes,
                  const std::string& name) const {
    if (const std::size_t got = read_at(fd, at, bytes, path(name)); got < bytes.size())
      fail_checkpoint(path(name), fmt::format("got {} bytes, expected {}", got, bytes.size()));
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

}  // namespace

void sync_directory(const fs::path& directory) {
  const Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), directory,
                      "cannot be opened");
  // EINVAL: a file system on which directories need no syncing, or cannot be.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) fail_call(directory, "cannot be synced");
}

void fail_checkpoint(const fs::path& path, std::string_view what) {
  throw std::runtime_error(fmt::format("{}: {}", path.string(), what));
}

void check_content(const CheckpointContent& content) {
  if (!content.config.is_object())
    throw std::invalid_argument(
        fmt::format("a checkpoint's config is {}, expected an object", content.config.type_name()));
  for (const auto& [name, text] : content.files)
    for (const std::string_view taken : {kManifestName, kConfig, kVocabulary, kModel, kState})
      if (!is_plain_name(name) || name == taken)
        throw std::invalid_argument(
            fmt::format("a checkpoint file named '{}', expected a plain name not in use", name));
  constexpr std::size_t kOwn = 4;  // configuration, vocabulary, model, state
  if (content.files.size() + kOwn > kMostFiles)
    throw std::invalid_argument(fmt::format("{} further files of a checkpoint, expected at most {}",
                                            content.files.size(), kMostFiles - kOwn));
  require_room_for(kVocabulary, content.vocabulary.value_or("").size());
  for (const auto& [name, text] : content.files) require_room_for(name, text.size());
}

void write_checkpoint_files(const fs::path& directory, std::int64_t step,
                            const CheckpointContent& content) {
  if (::mkdir(directory.c_str(), 0777) != 0) fail_call(directory, "cannot be made");
  json files;
  files[kConfig] = write_text(directory / kConfig, format_json(content.config, kConfig));
  if (content.vocabulary)
    files[kVocabulary] = write_text(directory / kVocabulary, *content.vocabulary);
  files[kModel] = write_tensors(directory / kModel, content.tensors, content.metadata);
  if (!content.state.empty()) files[kState] = write_tensors(directory / kState, content.state, {});
  for (const auto& [name, text] : content.files) files[name] = write_text(directory / name, text);
  write_text(directory / kManifestName, manifest_text({{"format", kFormat},
                                                       {"version", kManifestVersion},
                                                       {"step", step},
                                                       {"files", std::move(files)}}));
  sync_directory(directory);
}

Checkpoint read_checkpoint_files(const fs::path& directory, const CheckpointLoad& options) {
  const Reader reader(directory);

  Checkpoint checkpoint;
  checkpoint.directory = directory;
  checkpoint.step = reader.step();
  const std::string config = reader.path(kConfig).string();
  checkpoint.config = parse_json(reader.text(kConfig), config);
  if (!checkpoint.config.is_object()) fail_checkpoint(config, "is not a JSON object, expected one");
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

bool is_checkpoint(const fs::path& directory) {
  const fs::path manifest = directory / kManifestName;
  struct stat status {};
  if (::stat(manifest.c_str(), &status) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) fail_call(manifest, "cannot be examined");
  return false;
}

}  // namespace unroll
