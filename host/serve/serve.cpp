#include "host/serve/serve.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "host/base/file.h"
#include "host/serve/api.h"

namespace unroll::serve {

std::string read_token(const std::string& file) {
  constexpr std::size_t kLongest = 512;
  const Descriptor descriptor = open_regular(file, "a file with a token");
  std::vector<char> bytes(kLongest + 2);
  bytes.resize(read_at(descriptor.get(), 0, std::as_writable_bytes(std::span(bytes)), file));
  std::string token(bytes.begin(), bytes.end());
  if (token.ends_with('\n')) token.pop_back();
  const bool printable = std::ranges::all_of(token, [](char c) { return c > ' ' && c < '\x7F'; });
  if (token.empty() || token.size() > kLongest || !printable)
    throw std::runtime_error(fmt::format(
        "{}: got {}, expected one line of 1 to {} printable ASCII characters without blanks", file,
        token.empty()             ? "no token"
        : token.size() > kLongest ? "a longer line"
                                  : "other characters",
        kLongest));
  return token;
}

void serve(const LoadedModel& model, const Options& options,
           const std::function<void(const std::string& url)>& listening,
           const std::atomic<bool>& stop) {
  task_of<LanguageModelTask>(model);  // before a port is taken
  // Large bodies go back to the system when they are freed. By itself the library keeps pieces of
  // their size, and the memory between those that are in use.
  ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
  Api* api = nullptr;
  bool local = false;
  HttpServer server(
      options.address, options.limits,
      [&](const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
        api->handle(request, reply, local);
      },
      [&] { api->wake(); });
  Api asked(model, options);  // ends before the server, on which its answers go
  api = &asked;
  local = server.is_loopback() && options.token.empty();
  listening("http://" + server.address());
  server.run(stop);
}

}  // namespace unroll::serve
