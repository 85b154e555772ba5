#include "host/base/foreign_file.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "host/base/text.h"
#include "host/base/text_format.h"
#include "host/base/utf8.h"

namespace unroll {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kPickle =
    "is a pickle, as torch.save() writes; it is not read because it may run any code; save the "
    "weights with safetensors.torch.save_file(model.state_dict(), ...)";

struct Magic {
  std::string_view bytes, meaning;
  std::size_t at = 0;
};

constexpr std::array kMagic = {
    Magic{"version https://git-lfs.github.com/spec/"sv,
          "is a git-lfs pointer, not the file itself; fetch the file with git lfs pull"sv},
    // Pickles of protocol 2 to 5, as torch.save() wrote them before version 1.6.
    Magic{"\x80\x02"sv, kPickle}, Magic{"\x80\x03"sv, kPickle}, Magic{"\x80\x04"sv, kPickle},
    Magic{"\x80\x05"sv, kPickle},
    Magic{"\x89HDF\r\n\x1a\n"sv, "is an HDF5 file, as Keras and h5py write"sv},
    Magic{"GGUF"sv, "is a GGUF file, as llama.cpp reads"sv},
    Magic{"\x93NUMPY"sv, "is a NumPy array (.npy)"sv},
    Magic{"TFL3"sv, "is a TensorFlow Lite model"sv, 4},
    Magic{"ustar"sv, "is a tar archive"sv, 257}};

/// Recognises a ZIP archive by the name of its first entry.
std::string_view zip_archive(std::string_view head) {
  constexpr std::size_t kNameLengthAt = 26, kNameAt = 30;
  if (head.size() < kNameAt) return "is a ZIP archive";
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(head[at]); };
  const std::size_t length = byte(kNameLengthAt) + std::size_t{256} * byte(kNameLengthAt + 1);
  const std::string_view name = head.substr(kNameAt, length);
  if (name.ends_with(".pkl")) return kPickle;
  if (name.ends_with(".npy")) return "is a NumPy archive (.npz)";
  if (name == "metadata.json" || name == "config.json" || name == "model.weights.h5")
    return "is a Keras model (.keras)";
  return "is a ZIP archive";
}

/// The first field of ONNX's ModelProto is its version, a small number; the next is one of its
/// texts, its graph or its operators.
bool is_onnx(std::string_view head) {
  return head.size() > 2 && head[0] == 0x08 && head[1] > 0 && head[1] < 32 &&
         "\x12\x1a\x22\x32\x3a\x42"sv.find(head[2]) != head.npos;
}

bool is_text(std::string_view head) {
  const std::size_t good = find_invalid_utf8(head);
  if (head.empty() || (good != head.size() && head.size() - good > 3))
    return false;  // may be cut inside one
  return std::ranges::all_of(head.substr(0, good), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 || "\t\n\r\f"sv.find(c) != std::string_view::npos;
  });
}

std::string_view text_file(std::string_view head) {
  head.remove_prefix(std::min(head.find_first_not_of(" \t\r\n"), head.size()));
  std::string start(head.substr(0, 9));
  std::ranges::transform(start, start.begin(), [](unsigned char c) { return std::tolower(c); });
  if (start.starts_with("<!doctype") || start.starts_with("<html"))
    return "is an HTML page, perhaps from a failed download";
  if (start.starts_with("{") && head.find("\"weight_map\"") != head.npos)
    return "is the index of a model in several files and holds no weights; save the model as one "
           "file";
  return start.starts_with("{") || start.starts_with("[") ? "is JSON" : "is plain text";
}

}  // namespace

std::optional<std::string> foreign_file(std::string_view head) {
  for (const Magic& magic : kMagic)
    if (head.substr(std::min(magic.at, head.size())).starts_with(magic.bytes))
      return std::string(magic.meaning);
  if (head.starts_with("PK\x03\x04") || head.starts_with("PK\x05\x06"))
    return std::string(zip_archive(head));
  if (is_onnx(head)) return "is an ONNX model";
  if (const std::string_view packed = compression_of(head); !packed.empty())
    return text_from("is compressed by ", packed);
  if (const std::string_view encoding = wide_encoding_of(head); !encoding.empty())
    return text_from("is text in ", encoding);
  if (is_text(head)) return std::string(text_file(head));
  return std::nullopt;
}

}  // namespace unroll
