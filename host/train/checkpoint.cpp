#include "host/train/checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <limits>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "host/data/file.h"
#include "host/data/hash.h"
#include "host/data/strict_json.h"
#include "host/data/utf8.h"

namespace unroll {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kFormat = "unroll-checkpoint";
constexpr std::int64_t kVersion = 1;
constexpr std::string_view kPrefix = "step-";
// Both are invisible to readers, and belong to a save that is under way or was killed.
constexpr std::string_view kTemporary = ".tmp-";
constexpr std::string_view kReplaced = ".old-";

constexpr const char* kManifest = "manifest.json";
constexpr const char* kConfig = "config.json";
constexpr const char* kVocabulary = "vocab.txt";
constexpr const char* kModel = "model.safetensors";
constexpr const char* kState = "state.safetensors";
constexpr const char* kHashKey = "xxh3_128";

[[noreturn]] void fail(const fs::path& path, std::string_view what) {
  throw std::runtime_error(fmt::format("{}: {}", path.string(), what));
}

void sync_directory(const fs::path& directory) {
  const Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), directory,
                      "cannot be opened");
  // EINVAL: a file system on which directories need no syncing, or cannot be.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) fail_call(directory, "cannot be synced");
}

void move_to(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    fail_call(to, fmt::format("cannot be made from {}", from.filename().string()));
}

/// Whether there is something of that name, be it a link that leads nowhere.
bool is_there(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) fail_call(path, "cannot be examined");
  return false;
}

/// Follows links.
bool is_folder(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return S_ISDIR(status.st_mode);
  if (errno != ENOENT && errno != ENOTDIR) fail_call(path, "cannot be examined");
  return false;
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail(path, fmt::format("cannot be removed: {}", error.message()));
}

/// Without links.
fs::path real_path(const fs::path& path) {
  std::error_code error;
  fs::path real = fs::canonical(path, error);
  if (error) fail(path, error.message());
  return real;
}

std::string target_of(const fs::path& link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(link, error);
  if (error) fail(link, fmt::format("cannot be read as a link: {}", error.message()));
  return target.string();
}

/// Names in a folder; none if there is no such folder.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    names.push_back(at->path().filename().string());
  if (error && error != std::errc::no_such_file_or_directory)
    fail(folder, fmt::format("cannot be listed: {}", error.message()));
  return names;
}

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

/// The most bytes that a text of a checkpoint may have, so that a hostile one does not fill the
/// memory.
std::int64_t most_text_bytes(std::string_view name) {
  return std::int64_t(1) << (name == kManifest ? 20 : name == kVocabulary ? 30 : 24);
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

void check(const CheckpointContent& content, std::int64_t step, const CheckpointSave& options) {
  if (step < 0) throw std::invalid_argument(fmt::format("step {}, expected 0 or more", step));
  if (options.keep < 0)
    throw std::invalid_argument(
        fmt::format("{} checkpoints to keep, expected 0 (all) or more", options.keep));
  if (!content.config.is_object())
    throw std::invalid_argument(
        fmt::format("a checkpoint's config is {}, expected an object", content.config.type_name()));
  for (const auto& [name, text] : content.files)
    for (const std::string_view taken : {kManifest, kConfig, kVocabulary, kModel, kState})
      if (!is_plain_name(name) || name == taken)
        throw std::invalid_argument(
            fmt::format("a checkpoint file named '{}', expected a plain name not in use", name));
  require_room_for(kVocabulary, content.vocabulary.value_or("").size());
  for (const auto& [name, text] : content.files) require_room_for(name, text.size());
}

/// A hash over the manifest itself, so that a bit flipped in it is found too.
std::string manifest_text(json manifest) {
  manifest.erase("check");
  manifest["check"] = hash_of(bytes_of(format_json(manifest, kManifest)));
  return format_json(manifest, kManifest);
}

void write_directory(const fs::path& directory, std::int64_t step,
                     const CheckpointContent& content) {
  if (::mkdir(directory.c_str(), 0777) != 0) fail_call(directory, "cannot be made");
  json files;
  files[kConfig] = write_text(directory / kConfig, format_json(content.config, kConfig));
  if (content.vocabulary)
    files[kVocabulary] = write_text(directory / kVocabulary, *content.vocabulary);
  files[kModel] = write_tensors(directory / kModel, content.tensors, content.metadata);
  if (!content.state.empty()) files[kState] = write_tensors(directory / kState, content.state, {});
  for (const auto& [name, text] : content.files) files[name] = write_text(directory / name, text);
  write_text(directory / kManifest, manifest_text({{"format", kFormat},
                                                   {"version", kVersion},
                                                   {"step", step},
                                                   {"files", std::move(files)}}));
  sync_directory(directory);
}

std::string directory_name(std::int64_t step) {
  return fmt::format("{}{:08}", kPrefix, step);
}

/// The step, if that is a checkpoint's name.
std::optional<std::int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = 0;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
  if (step < 0 || name != directory_name(step)) return std::nullopt;
  return step;
}

/// Names that only a save gives: others in a folder of the user's are the user's.
bool is_leftover(const std::string& name) {
  if (name.starts_with(kReplaced)) return step_of(name.substr(kReplaced.size())).has_value();
  if (!name.starts_with(kTemporary)) return false;
  const std::string rest = name.substr(kTemporary.size());
  return rest == "latest" || rest == "best" || step_of(rest);
}

/// Removes what a killed save left. The one thing worth keeping is a directory moved aside whose
/// replacement did not arrive.
void remove_leftovers(const fs::path& run_dir) {
  for (const std::string& name : names_in(run_dir)) {
    if (!is_leftover(name)) continue;
    const fs::path original = run_dir / name.substr(kReplaced.size());
    if (name.starts_with(kReplaced) && !is_there(original))
      move_to(run_dir / name, original);
    else
      remove_tree(run_dir / name);
  }
}

/// Gives `from` the name `to`. What is there already is exchanged for it in one step where the file
/// system can do that; else it is moved aside, and remove_leftovers undoes that after a kill.
void move_into_place(const fs::path& from, const fs::path& to) {
  if (!is_there(to)) return move_to(from, to);
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
    remove_tree(from);
    return;
  }
  if (errno != EINVAL && errno != ENOSYS) fail_call(to, "cannot be replaced");
  const fs::path aside = to.parent_path() / (std::string(kReplaced) + to.filename().string());
  move_to(to, aside);
  if (::rename(from.c_str(), to.c_str()) != 0) {
    const int error = errno;
    move_to(aside, to);
    errno = error;
    fail_call(to, "cannot be replaced");
  }
  remove_tree(aside);
}

void point_link(const fs::path& link, const std::string& target) {
  const fs::path fresh = link.parent_path() / (std::string(kTemporary) + link.filename().string());
  if (::symlink(target.c_str(), fresh.c_str()) != 0) fail_call(fresh, "cannot be made");
  move_to(fresh, link);
}

void delete_older(const fs::path& run_dir, std::int64_t step, const CheckpointSave& options) {
  if (options.keep == 0) return;
  // Not knowing what `best` points to is no licence to delete it.
  const fs::path link = run_dir / "best";
  std::string best;
  if (is_there(link)) best = fs::path(target_of(link)).filename().string();
  int kept = 1;
  for (const CheckpointEntry& entry : list_checkpoints(run_dir)) {
    const std::string name = entry.directory.filename().string();
    if (entry.step >= step || kept++ < options.keep || name == best ||
        entry.step == options.protect)
      continue;
    // Out of sight first: killed in the middle of deleting, it must not look like a checkpoint.
    const fs::path hidden = run_dir / (std::string(kTemporary) + name);
    move_to(entry.directory, hidden);
    remove_tree(hidden);
  }
}

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
    if (const auto version = fields.integer("version", 1, kMaxBytes); version > kVersion)
      fail(name,
           fmt::format("got format version {}, expected at most {}: it was written by a newer "
                       "version of this program",
                       version, kVersion));
    fields.integer("step", 0, kMaxBytes);
    fields.object("files");
    if (manifest_text(manifest) != text) fail(name, "is damaged: got other text than was written");
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

bool is_checkpoint(const fs::path& directory) {
  std::error_code none;
  return fs::exists(directory / kManifest, none);
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
                           kManifest, kPrefix));
  return entries.front().directory;
}

Checkpoint load_directory(const fs::path& path, const CheckpointLoad& options) {
  const fs::path directory = real_path(path);
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
}  // namespace

void make_run_folder(const fs::path& run_dir) {
  std::error_code error;
  if (fs::exists(run_dir, error) && !fs::is_directory(run_dir, error))
    fail(run_dir, "is a file, expected a run folder");
  std::vector<fs::path> parents;  // of folders that will be made
  fs::path folder = fs::absolute(run_dir, error).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  for (; !fs::exists(folder, error) && folder.has_relative_path(); folder = folder.parent_path())
    parents.push_back(folder.parent_path());
  fs::create_directories(run_dir, error);
  if (error) fail(run_dir, fmt::format("cannot be made: {}", error.message()));
  for (const fs::path& parent : parents) sync_directory(parent);
}

void repair_run_folder(const fs::path& run_dir, std::optional<std::int64_t> best) {
  remove_leftovers(run_dir);
  if (best && is_checkpoint(checkpoint_directory(run_dir, *best)))
    point_link(run_dir / "best", directory_name(*best));
  sync_directory(run_dir);
}

fs::path checkpoint_directory(const fs::path& run_dir, std::int64_t step) {
  return run_dir / directory_name(step);
}

fs::path save_checkpoint(const fs::path& run_dir, std::int64_t step,
                         const CheckpointContent& content, const CheckpointSave& options) {
  check(content, step, options);
  remove_leftovers(run_dir);

  const std::string name = directory_name(step);
  const fs::path temporary = run_dir / (std::string(kTemporary) + name);
  try {
    write_directory(temporary, step, content);
    move_into_place(temporary, run_dir / name);
  } catch (...) {
    std::error_code ignored;  // the first error is the one to report
    fs::remove_all(temporary, ignored);
    throw;
  }
  sync_directory(run_dir);
  point_link(run_dir / "latest", name);
  if (options.best) point_link(run_dir / "best", name);
  sync_directory(run_dir);
  delete_older(run_dir, step, options);
  return run_dir / name;
}

Checkpoint load_checkpoint(const fs::path& path, const CheckpointLoad& options) {
  std::error_code none;
  if (!options.damaged || !fs::is_directory(path, none) || is_checkpoint(path))
    return load_directory(resolve(path, options.latest), options);

  fs::path wanted;
  std::string trouble;
  try {
    wanted = real_path(resolve(path, options.latest));
    return load_directory(wanted, options);
  } catch (const std::runtime_error& error) {
    trouble = error.what();
  }
  for (const CheckpointEntry& entry : list_checkpoints(path)) {
    const fs::path name = entry.directory.filename();
    if (name == wanted.filename()) continue;
    try {
      Checkpoint checkpoint = load_directory(entry.directory, options);
      options.damaged(fmt::format("{}; using {} instead", trouble, name.string()));
      return checkpoint;
    } catch (const std::runtime_error&) {
      continue;  // what is wrong with the one that was wanted is the thing to report
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
