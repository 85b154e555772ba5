/// A store's variables in a safetensors file.
#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "host/base/safetensors.h"
#include "host/base/utf8.h"
#include "unroll/backend.h"
#include "unroll/variable_store.h"

namespace unroll {
namespace {

/// "F32 [2, 3]"
std::string described(StoredType type, std::span<const std::int64_t> shape) {
  std::string text(stored_type_name(type));
  text += " [";
  for (std::size_t k = 0; k < shape.size(); ++k)
    text += (k == 0 ? "" : ", ") + std::to_string(shape[k]);
  return text + "]";
}

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& name,
                         const std::string& why) {
  throw std::runtime_error(file.string() + ": variable " + in_quotes(name) + ": " + why);
}

struct Wanted {
  const std::filesystem::path& file;
  std::span<const std::string> names;
};

void require_stored(const VariableStore& store, const SafetensorsFile& stored,
                    const Wanted& wanted) {
  for (const std::string& name : wanted.names) {
    const TensorData* tensor = stored.find(name);
    if (!tensor) refuse(wanted.file, name, "got none, expected one of that name");
    const View view = store.view(name);
    const StoredType type = stored_type_of(view.dtype);
    const auto shape = view.shape.dims();
    if (tensor->type != type || !std::ranges::equal(tensor->shape, shape))
      refuse(
          wanted.file, name,
          "got " + described(tensor->type, tensor->shape) + ", expected " + described(type, shape));
  }
}

/// All of them are read before the first variable is written: a file that cannot be read to its end
/// changes nothing.
void copy_stored(const SafetensorsFile& stored, std::span<const std::string> names,
                 VariableStore& store) {
  std::vector<std::vector<std::byte>> values;
  for (const std::string& name : names) values.push_back(stored.find(name)->bytes.all());
  for (std::size_t k = 0; k < names.size(); ++k) {
    store.backend().upload(store.view(names[k]).data, values[k].data(), values[k].size());
    store.touch(names[k]);
  }
}

}  // namespace

void VariableStore::save(const std::filesystem::path& file) const {
  std::vector<TensorData> tensors;
  for (const auto& [name, variable] : variables_) {
    const View view = this->view(name);
    const auto read = [this, view](std::int64_t at, std::span<std::byte> to) {
      backend_->download(to.data(), static_cast<const std::byte*>(view.data) + at, to.size());
    };
    const auto shape = view.shape.dims();
    tensors.push_back({name,
                       stored_type_of(view.dtype),
                       {shape.begin(), shape.end()},
                       TensorBytes(std::int64_t(view.bytes()), read)});
  }
  std::filesystem::path partial = file;
  partial += ".partial";
  std::error_code error;
  try {
    write_safetensors(partial, tensors);
  } catch (const std::invalid_argument& refused) {  // a name that the format does not have
    std::filesystem::remove(partial, error);
    throw std::runtime_error(file.string() + ": " + refused.what());
  } catch (...) {
    std::filesystem::remove(partial, error);
    throw;
  }
  std::filesystem::rename(partial, file, error);
  if (!error) return;
  std::error_code ignored;
  std::filesystem::remove(partial, ignored);
  throw std::runtime_error(file.string() + ": cannot be written: " + error.message());
}

void VariableStore::load(const std::filesystem::path& file) {
  const SafetensorsFile stored = SafetensorsFile::read(file);
  const std::vector<std::string> all = names();
  require_stored(*this, stored, {file, all});
  for (const TensorData& tensor : stored.tensors())
    if (!contains(tensor.name))
      refuse(file, tensor.name, "got one, expected no variable of that name");
  copy_stored(stored, all, *this);
}

void VariableStore::load(const std::filesystem::path& file, std::span<const std::string> names) {
  for (const std::string& name : names) find(name);
  const SafetensorsFile stored = SafetensorsFile::read(file);
  require_stored(*this, stored, {file, names});
  copy_stored(stored, names, *this);
}

}  // namespace unroll
